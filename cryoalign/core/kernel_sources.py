"""Of what a kernel is made: a digest of its code and of all that it calls or reads, in whatever file that stands.

Machine code holds the functions that a kernel calls and the constants that it reads. The digest follows both from the
kernel's own names, so that a kernel is compiled anew when one of them changes, and only then. It is of what Python has
loaded: files may have changed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


def source_digest(kernel: Any) -> str:
    """Return a digest, hexadecimal, of a compiled function, its options and what it uses.

    Followed are functions and classes of the kernel's own package, compiled or not, and what these use; others are
    taken to belong to numba and numpy.
    """
    parts = "\n".join(_parts(kernel, kernel.__module__.partition(".")[0], set()))
    return hashlib.sha256(parts.encode()).hexdigest()


def _parts(value: Any, package: str, seen: set[int]) -> Iterator[str]:
    """Yield a line for everything that a value is made of, in an order that is always the same."""
    if isinstance(value, _PLAIN):
        yield repr(value)
    elif id(value) in seen:
        yield "as before"
    elif isinstance(value, CodeType):
        yield f"code {value.co_code.hex()} {value.co_flags} {value.co_argcount} {value.co_names} {value.co_varnames}"
        yield from _parts(value.co_consts, package, seen)
    elif isinstance(value, (tuple, list)):
        yield f"{len(value)} in a row"
        for one in value:
            yield from _parts(one, package, seen)
    elif isinstance(value, (set, frozenset)):
        yield f"set {sorted(map(repr, value))}"
    elif isinstance(value, dict):
        yield from _parts(sorted(value.items(), key=repr), package, seen)
    elif isinstance(value, np.ndarray):
        yield f"array {value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    elif _package(value) == package:
        seen.add(id(value))
        yield from _parts_of_ours(value, package, seen)
    else:
        words = str(value)
        yield type(value).__name__ if " at 0x" in words or isinstance(value, ModuleType) else words


def _parts_of_ours(value: Any, package: str, seen: set[int]) -> Iterator[str]:
    """Yield the lines of a function, class or module of the kernel's package."""
    if isinstance(value, FunctionType):
        yield f"function {value.__module__}.{value.__qualname__}"
        yield from _parts(value.__code__, package, seen)
        for name in sorted(_names(value.__code__) & set(value.__globals__)):
            yield name
            yield from _parts(value.__globals__[name], package, seen)
        yield from _parts([cell.cell_contents for cell in value.__closure__ or ()], package, seen)
        yield from _parts(value.__defaults__, package, seen)
    elif isinstance(value, (type, ModuleType)):
        yield f"{type(value).__name__} {value.__name__}"
        for name, one in sorted(vars(value).items()):
            if isinstance(one, (FunctionType, *_PLAIN)):
                yield name
                yield from _parts(one, package, seen)
    else:  # a compiled function, or an operation of our own
        yield from _parts(getattr(value, "targetoptions", None), package, seen)
        yield from _parts(getattr(value, "__wrapped__", None), package, seen)


def _package(value: Any) -> str:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return str(name).partition(".")[0]


def _names(code: CodeType) -> set[str]:
    """Return the names that a function uses, those of the functions within it too."""
    inner = (one for one in code.co_consts if isinstance(one, CodeType))
    return set(code.co_names).union(*map(_names, inner))
