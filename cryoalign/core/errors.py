"""The one exception that carries a user's mistake, and how it is worded.

Every message is one line: where (file, line or row), what, the offending value, and what to do about it.
"""

from __future__ import annotations

from os import PathLike

from cryoalign.core.plain_text import VALUE, shortened


class CryoalignError(Exception):
    """Anything cryoalign refuses to do; the command line prints it as one line and exits with 1."""


class InputError(CryoalignError):
    """A file, a row or an option that cannot be used.

    Parameters
    ----------
    what
        What is wrong, as a phrase without a full stop.
    path
        The file it was found in.
    line
        1-based line of a text file.
    row
        1-based row of a table (users count particles from 1, as RELION does).
    value
        The offending value, shown with ``repr``, the middle of a long one left out.
    hint
        What to do.
    kind
        What kind of mistake it is, in a word that programs read (`cryoalign check`); None = that of its file.
    """

    def __init__(
        self,
        what: str,
        *,
        path: str | PathLike[str] | None = None,
        line: int | None = None,
        row: int | None = None,
        value: object = None,
        hint: str | None = None,
        kind: str | None = None,
    ) -> None:
        where = "" if path is None else str(path)
        if line is not None:
            where += f":{line}"
        if row is not None:
            where += f"{', ' if where else ''}row {row}"
        message = f"{where}: {what}" if where else what
        if value is not None:
            message += f" ({shortened(repr(value), VALUE)})"
        if hint is not None:
            message += f"; {hint}"
        super().__init__(" ".join(message.split()))
        self.what, self.path, self.line, self.row, self.value, self.hint = what, path, line, row, value, hint
        self.kind = kind
