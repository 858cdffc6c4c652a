"""What a word names: the images of a file, or one of them as ``N@FILE``, counted from 1."""

from __future__ import annotations

import re
from pathlib import Path

from cryoalign.core.errors import InputError


def named_image(text: str) -> tuple[int | None, Path]:
    """Return the number of the image that is meant, None = all, and the file.

    Raises
    ------
    InputError
        If there is no such file as the whole word, and what stands before its @ is no number from 1 up.
    """
    match = re.fullmatch(r"([^@/]*)@(.+)", text)
    if match is None or Path(text).is_file():
        return None, Path(text)
    number = int(match[1]) if re.fullmatch(r"[0-9]{1,15}", match[1]) else 0
    if number < 1:
        raise InputError("one image is N@FILE with N counted from 1", value=text, hint="such as 3@averages.mrcs")
    return number, Path(match[2])
