"""Particles that a user chose: rows as ``1,5-8``, a file with a row number on each line, or a STAR file with names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.file_kind import open_file
from cryoalign.io.image_index import MISSING, TWICE, ImageIndex
from cryoalign.io.particle_set import IMAGE_NAME
from cryoalign.io.particles import ParticleSet
from cryoalign.io.star import read_star
from cryoalign.io.star_check import scan_star
from cryoalign.passes.class_lists import parse_classes


def chosen_file(text: str) -> Path | None:
    """Return the file that is meant; None for a list of rows."""
    return None if re.fullmatch(r"[\d\s,-]+", text) else Path(text)


def chosen_rows(text: str, particles: ParticleSet, *, option: str) -> NDArray[np.int64]:
    """Return the 0-based rows that were chosen, each once, in the order given.

    Parameters
    ----------
    text
        ``1,5-8`` (rows count from 1), or the name of a file: .star with rlnImageName, or a row number on each line.
    particles
        The table.
    option
        How the option is called, for messages.

    Raises
    ------
    InputError
        If the file cannot be read, a row is out of range, or a name is not among the particles or is there twice.
    """
    path = chosen_file(text)
    if path is None:
        numbers, lines = _listed(text, option, len(particles)), None
    elif not path.is_file():
        raise InputError(f"{option} is neither rows such as 1,5-8 nor a file", value=text)
    elif path.suffix == ".star":
        return _unique(_rows_of_names(path, particles))
    else:
        numbers, lines = _numbered(path)
    outside = np.flatnonzero((numbers < 1) | (numbers > len(particles)))
    if len(outside):
        raise InputError(
            f"{option} names a row that is not there", path=path, value=int(numbers[outside[0]]),
            line=None if lines is None else lines[int(outside[0])], hint=f"rows count from 1 to {len(particles)}",
        )  # fmt: skip
    if not len(numbers):
        raise InputError(f"{option} names no rows", path=path)
    return _unique(numbers - 1)


def _unique(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]


def _listed(text: str, option: str, n: int) -> NDArray[np.int64]:
    try:
        ranges = parse_classes(text)
    except InputError:
        raise InputError(f"{option} is no list of rows such as 1,5-8", value=text) from None
    # Long ranges beyond the end are refused by their first row outside, and never spelt out.
    return np.concatenate([np.arange(first, min(last, max(n, first) + 1) + 1) for first, last in ranges])


def _numbered(path: Path) -> tuple[NDArray[np.int64], list[int]]:
    """Read a row number from each line; blank lines and what follows a # do not count."""
    numbers, lines = [], []
    try:
        with open_file(path) as stream:
            text = stream.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or 'no text'}", path=path) from None
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.partition("#")[0].strip()
        if not word:
            continue
        if not re.fullmatch("[0-9]{1,15}", word):
            raise InputError("a row number is expected on each line", path=path, line=number, value=word[:40])
        numbers.append(int(word))
        lines.append(number)
    return np.asarray(numbers, np.int64), lines


def _rows_of_names(path: Path, particles: ParticleSet) -> NDArray[np.int64]:
    star = read_star(path)
    name = next((name for name, block in star.blocks.items() if IMAGE_NAME in block and name != "optics"), None)
    if name is None:
        raise InputError(f"no table with {IMAGE_NAME}", path=path)
    wanted = star.filled(name)[IMAGE_NAME].tolist()
    try:
        rows = ImageIndex(particles.image_names()).rows_of(wanted)
        at, what = int(np.argmax(rows < 0)), "is not among the particles"
    except InputError as error:
        rows, at, what = np.array([MISSING]), (error.row or 1) - 1, f"is none: {error.what}"
    if (rows < 0).any():
        what = "is among the particles more than once" if rows[min(at, len(rows) - 1)] == TWICE else what
        lines = {block.name: block for block in scan_star(path).blocks}[name].row_lines
        raise InputError(f"this image {what}", path=path, line=lines[at], value=wanted[at])
    return rows
