"""What tables of particles say: read as a run reads them, with every mistake noted instead of the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cryoalign.core.refusals import collecting
from cryoalign.io.columns import format_number, text_series
from cryoalign.io.ctf_columns import NO_CTF, read_ctf
from cryoalign.io.particle_layout import as_relion31, join_particles
from cryoalign.io.particles import ParticleSet, missing_for_relion, read_particles
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.problems import MOST_ROWS, Problems

_NUMBERS = ("rlnAngleRot", "rlnAngleTilt", "rlnCoordinateX", "rlnCoordinateY")
_SAME_SIZE = 0.02
"""To this share a header may differ from the table in the pixel size without a word."""
_FEWEST_IN_HALF = 0.05


def read_tables(p: CheckParameters, problems: Problems) -> ParticleSet | None:
    """Read all particles and check all that a run would read of their tables and headers; None where none can be read.

    The set has the columns that were given in its optics table.
    """
    sets = []
    for path in p.particles:
        found: list[ParticleSet] = []
        with problems.reading("cs" if path.suffix.lower() == ".cs" else "table"):
            found.append(read_particles([path], datadir=p.datadir, angpix=p.angpix))
        for particles in found:
            particles = with_given_columns(particles, p.given_columns)
            _check_cells(particles, problems)
            _check_headers(particles, p, problems)
            _check_for_relion(particles, problems)
            sets.append(particles)
        _check_line_ends(path, problems)
    if len(sets) < 2:
        return sets[0] if sets else None
    joined: list[ParticleSet] = []
    with problems.reading("join"):
        joined.append(join_particles(sets))
    return joined[0] if joined else None


def with_given_columns(particles: ParticleSet, given: dict[str, float]) -> ParticleSet:
    """Return particles whose optics groups all have the values that were given, whatever table had the column."""
    given = {label: value for label, value in given.items() if label != "rlnImagePixelSize"}  # reading saw to that
    if not given:
        return particles
    optics = particles.optics.copy()
    for label, value in given.items():
        optics[label] = text_series([format_number(value)] * len(optics), optics.index)
    table = particles.particles.drop(columns=[label for label in given if label in particles.particles])
    return replace(particles, optics=optics, particles=table)


def ctf_in_words(particles: ParticleSet) -> str:
    """Say whether the CTF can be corrected."""
    with collecting(lambda error: None):  # it was checked before
        if read_ctf(particles) is None:
            said = next((text for text in particles.warnings if text.startswith(NO_CTF)), NO_CTF)
            return f"cannot be corrected: {said.removeprefix(NO_CTF)}"
    return "can be corrected"


def _check_cells(particles: ParticleSet, problems: Problems) -> None:
    """Check the cells of all columns that a command may ask for."""
    with problems.reading("ctf"):
        read_ctf(particles)
    with problems.reading("pose"):
        particles.poses()
    with problems.reading("pose"):
        particles.psi_prior()
    for label in _NUMBERS:
        with problems.reading("value"):
            particles.numbers(label)
    with problems.reading("value"):
        particles.whole_numbers("rlnClassNumber")
    with problems.reading("halves"):
        half = particles.random_subset()
        if half is not None and min(np.bincount(half, minlength=3)[1:]) < _FEWEST_IN_HALF * len(half):
            first, second = np.bincount(half, minlength=3)[1:].tolist()
            problems.add(
                "halves", f"rlnRandomSubset puts {first} particles in one half and {second} in the other",
                path=particles.path, hint="remove the column: halves are made anew then",
            )  # fmt: skip
    if problems.stood_in(particles.path):
        return
    image = np.stack([particles.stack_index, particles.frame])
    _, first_row, count = np.unique(image, axis=1, return_index=True, return_counts=True)
    if (count > 1).any():
        again = np.setdiff1d(np.arange(len(particles)), first_row)
        _add_rows(
            problems, "duplicate", f"{len(again)} rows list an image that a row before them lists", particles, again,
            hint="cryoalign select --unique keeps one of each",
        )  # fmt: skip


def _check_headers(particles: ParticleSet, p: CheckParameters, problems: Problems) -> None:
    """Check headers of stacks that can be read, but say odd things."""
    odd = np.flatnonzero(particles.box % 2)
    if odd.size:
        _add_rows(
            problems, "box", "the box is odd: RELION refines even boxes only", particles, odd,
            value=int(particles.box[odd[0]]), hint="extract the particles with an even box",
        )  # fmt: skip
    odd_headers: dict[str, list[Path]] = {}
    other_sizes: dict[tuple[float, float], list[Path]] = {}
    _, first = np.unique(particles.stack_index, return_index=True)
    for row in first.tolist():
        header = (particles.headers or [])[particles.stack_index[row]]
        for oddity in header.oddities:
            odd_headers.setdefault(oddity, []).append(header.path)
        size, stated = header.voxel_size_angstrom, float(particles.pixel_size_angstrom[row])
        if size is not None and size != 1.0 and 0.1 <= size <= 100.0 and abs(stated / size - 1) > _SAME_SIZE:
            other_sizes.setdefault((size, stated), []).append(header.path)
    for oddity, files in odd_headers.items():
        hint = "--fix DIR writes a copy that other programs read"
        problems.add("header", oddity + _in_more(files), path=files[0], files=files, hint=hint)
    if p.angpix is not None or any(problem.kind == "pixel-size" for problem in problems):
        return
    for (size, stated), files in other_sizes.items():
        what = f"the header says {size:g} A where the table has {stated:g} A{_in_more(files)}"
        hint = "one of them is of another scale; --angpix decides"
        problems.add("pixel-size", what, path=files[0], files=files, hint=hint)


def _in_more(files: list[Path]) -> str:
    more = len(files) - 1
    return f" (and in {more} more stack{'s' if more > 1 else ''})" if more else ""


def _check_for_relion(particles: ParticleSet, problems: Problems) -> None:
    if particles.dialect == "stack":  # it says nothing, and that is no mistake
        return
    with collecting(lambda error: None):  # whatever it is was noted before
        for text in missing_for_relion(as_relion31(particles)):
            problems.add("relion", text, path=particles.path, hint="--fix DIR, with the columns as options, mends it")


def _check_line_ends(path: Path, problems: Problems) -> None:
    if path.suffix.lower() == ".star" and path.is_file():
        with path.open("rb") as handle:
            if b"\r\n" in handle.read(1 << 16):
                what = "lines end as on Windows, on which RELION stumbles"
                problems.add("line-ends", what, path=path, hint="--fix DIR writes a copy")


def _add_rows(
    problems: Problems, kind: str, what: str, particles: ParticleSet, rows: np.ndarray, **more: object
) -> None:
    """Note a problem of rows of a table, the first of which stands for all."""
    path, first = particles.where(int(rows[0]))
    listed = [particles.where(int(row))[1] for row in rows[:MOST_ROWS]]
    problems.add(kind, what, path=path, row=first, rows=listed, **more)  # type: ignore[arg-type]
