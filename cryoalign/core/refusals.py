"""Mistakes in files: the first one ends a run; a check collects them and goes on.

Readers say ``refuse(error)`` where they could go on with a stand-in. In a run that raises the error. Within
`collecting` it is noted instead, and the reader returns what it can, so that one reader serves both: what a check does
not find, a run does not refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cryoalign.core.errors import InputError

Note = Callable[[InputError], None]


class AllNoted(InputError):
    """Nobody can go on, and what is wrong was noted: raised only where mistakes are collected."""


_note: ContextVar[Note | None] = ContextVar("note", default=None)


def refuse(error: InputError) -> None:
    """Raise an error or, where mistakes are collected, note it and return: then the caller goes on with a stand-in."""
    note = _note.get()
    if note is None:
        raise error
    note(error)


def collected() -> bool:
    """Tell whether mistakes are collected here: `refuse` returns."""
    return _note.get() is not None


@contextmanager
def collecting(note: Note) -> Iterator[None]:
    """Note mistakes within, those too that end the block by an exception; in this thread alone."""
    token = _note.set(note)
    try:
        yield
    except AllNoted:
        pass
    except InputError as error:
        note(error)
    finally:
        _note.reset(token)


@contextmanager
def told_as(change: Callable[[InputError], InputError]) -> Iterator[None]:
    """Change what is said of mistakes within, whether they are raised or noted: where a row is in the file, say."""
    outer = _note.get()
    token = _note.set(None if outer is None else lambda error: outer(change(error)))
    try:
        yield
    except AllNoted:
        raise
    except InputError as error:
        raise change(error) from None
    finally:
        _note.reset(token)
