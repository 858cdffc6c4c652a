"""Text from files and paths made fit to be shown: on a terminal, in a log, on a page.

A file name may hold any byte, and a cell of a table any character: escape sequences that colour or clear a terminal,
line breaks that forge a line of a log, marks that turn the direction of reading, bytes that are no UTF-8. None of them
is passed on; what stands for it tells what it was.
"""

from __future__ import annotations

import re

LINE = 1500
"""Characters of the longest line that a terminal gets."""
VALUE = 200
"""Characters of the longest value that a message quotes."""

_HARMLESS_ASCII = re.compile(r"[ -~]*")
_CONTROL = (
    r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1: line breaks, escape sequences
    r"\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # directions of reading, characters without width
    r"\u2028\u2029"  # line breaks
    r"\ud800-\udfff"  # bytes that are no UTF-8, as Python holds them
    r"\ufff9-\ufffb\U000e0000-\U000e007f"  # notes between lines, invisible tags
)
_UNSAFE = re.compile(f"[{_CONTROL}]")
_BREAKS = re.compile(r"[\t\n\r\f\v]+ *")


def shown(text: str, longest: int = LINE) -> str:
    """Return text as one line that is safe to show, and no longer than told.

    Line breaks and tabs become one blank; other control characters, marks of direction and bytes that are no UTF-8
    become their escapes (``\\x1b``, ``\\u202e``, ``\\xff``). Of what is too long the middle is left out, and counted.

    Parameters
    ----------
    text
        Anything.
    longest
        Characters.
    """
    line = _BREAKS.sub(" ", text)
    if not _HARMLESS_ASCII.fullmatch(line):
        line = _UNSAFE.sub(_escaped, line)
    return shortened(line, longest)


def shortened(text: str, longest: int) -> str:
    """Return text no longer than told: of a longer one the middle is left out, and counted."""
    if len(text) <= longest:
        return text
    gap = f" ... ({len(text) - longest} characters left out) ... "
    # What to do stands at the end of a message, and where it happened at its beginning.
    tail = max(0, longest - len(gap)) * 2 // 5
    return text[: max(0, longest - len(gap) - tail)] + gap + text[len(text) - tail :]


def safe_lines(text: str, longest: int) -> str:
    """Return text of several lines, each as `shown` makes it: for tracebacks in a log."""
    return "\n".join(shown(line, longest) for line in text.splitlines())


def _escaped(match: re.Match[str]) -> str:
    number = ord(match[0])
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"  # the byte itself
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
