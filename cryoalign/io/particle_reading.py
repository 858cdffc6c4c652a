"""From files to a ParticleSet: tables, stacks behind them, boxes and pixel sizes, all checked before first use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.limits import PIXEL_SIZES_ANGSTROM, SAME_GEOMETRY
from cryoalign.core.refusals import AllNoted, collected, refuse
from cryoalign.io.columns import format_number, text_series
from cryoalign.io.cs import read_cs, refuse_other_stacks
from cryoalign.io.magnification import with_magnification, without_magnification
from cryoalign.io.mrc import MrcHeader, no_image_error, read_mrc_header, volume_error
from cryoalign.io.optics import (
    IMAGE_SIZE,
    PIXEL_SIZE,
    build_optics,
    check_boxes,
    group_of_particles,
    image_sizes,
    pixel_sizes_of_columns,
    pixel_sizes_of_optics,
)  # fmt: skip
from cryoalign.io.particle_layout import join_particles
from cryoalign.io.particle_set import IMAGE_NAME, ParticleSet
from cryoalign.io.paths import (
    ImageNames,
    image_name,
    is_found_here,
    name_from_here,
    resolve_stacks,
    search_folders,
    split_image_names,
)  # fmt: skip
from cryoalign.io.references import listed_references
from cryoalign.io.star import Table, read_star

_STACK_ENDINGS = (".mrcs", ".mrc", ".st", ".map", ".mrcs.gz", ".mrc.gz", ".map.gz", ".mrcs.bz2", ".mrc.bz2", ".map.bz2")

_TOMOGRAPHY = "rlnTomo"
"""How the labels of tilt series begin."""


@dataclass
class _Input:
    """One input file while it is being read."""

    path: Path
    dialect: str
    particles: pd.DataFrame
    optics: pd.DataFrame | None = None
    other: dict[str, Table] = field(default_factory=dict)
    pixel_size: NDArray[np.float64] | None = None
    box: NDArray[np.int32] | None = None
    stated_shape: NDArray[np.int64] | None = None  # rows and columns of each image, (n, 2), of a .cs file
    block_names: tuple[str, ...] = ("particles", "optics")
    warnings: list[str] = field(default_factory=list)

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.arange(1, len(self.particles) + 1)


def read_particles(
    paths: Sequence[Path | str], *, datadir: Path | None = None, angpix: float | None = None,
    limit: int | None = None, check_stacks: bool = True, apply_mag_matrix: bool | None = None,
) -> ParticleSet:  # fmt: skip
    """Read particles from .star, .mrcs/.mrc or .cs files; several are joined, with optics groups renumbered.

    Parameters
    ----------
    paths
        Input files.
    datadir
        Folder in which relative stack names are looked up first.
    angpix
        Pixel size in A. Where the table says another one, this one wins, and a warning says so.
    limit
        Read only so many rows.
    check_stacks
        Find all stacks and check their headers: sizes, boxes, image numbers. Without it nothing but the table is
        read, and ``box`` is 0 where the table does not say.
    apply_mag_matrix
        Correct images by the magnification matrices of the optics table as they are read; if not, a warning says that
        there are some. None = nobody looks at images.

    Raises
    ------
    InputError
        One line that names file, line or row, value and what to do.
    """
    if not paths:
        raise InputError("no input particles")
    low, high = PIXEL_SIZES_ANGSTROM
    if angpix is not None and not low <= angpix <= high:
        raise InputError(f"the pixel size must be from {low:g} to {high:g} A", value=angpix)
    sets: list[ParticleSet] = []
    for path in map(Path, paths):
        left = None if limit is None else limit - sum(map(len, sets))
        if left is not None and left <= 0:
            break
        source = _open(path)
        if left is not None and left < len(source.particles):
            source.particles = source.particles.iloc[:left]
            source.pixel_size = None if source.pixel_size is None else source.pixel_size[:left]
            source.box = None if source.box is None else source.box[:left]
            source.stated_shape = None if source.stated_shape is None else source.stated_shape[:left]
        sets.append(_complete(source, datadir, angpix, check_stacks))
    if apply_mag_matrix and len(sets) > 1:
        for particles in sets:
            with_magnification(particles)  # errors name the file, and its group as it is called there
    particles = sets[0] if len(sets) == 1 else join_particles(sets)
    if apply_mag_matrix is None:
        return particles
    return with_magnification(particles) if apply_mag_matrix else without_magnification(particles)


def _open(path: Path) -> _Input:
    name = path.name.lower()
    if name.endswith(".cs"):
        cs = read_cs(path)
        box = None if cs.shape is None else cs.shape[:, 1].astype(np.int32)
        return _Input(path, "cs", cs.table, pixel_size=cs.pixel_size_angstrom, box=box, stated_shape=cs.shape,
                      warnings=cs.warnings)  # fmt: skip
    if name.endswith(_STACK_ENDINGS):
        header = read_mrc_header(path)
        if header.looks_like_volume:
            raise volume_error(header)
        names = [image_name(frame, str(path)) for frame in range(header.count)]
        return _Input(path, "stack", pd.DataFrame({IMAGE_NAME: text_series(names)}))
    return _open_star(path)


def _open_star(path: Path) -> _Input:
    star = read_star(path)
    with_images = [name for name, block in star.blocks.items() if IMAGE_NAME in block]
    if not with_images:
        references = listed_references(star)
        if references is not None:
            names, size = references
            sizes = None if size is None else np.full(len(names), size)
            return _Input(path, "references", pd.DataFrame({IMAGE_NAME: text_series(names)}), pixel_size=sizes)
        if all(len(block) == 0 for block in star.blocks.values()):
            raise InputError("empty table: no rows", path=path, line=min(star.lines.values()), kind="table")
        tomography = any(label.startswith(_TOMOGRAPHY) for block in star.blocks.values() for label in block)
        hint = "these are particles or tilts of tomograms, not yet extracted" if tomography else "give a particle table"
        raise InputError(f"no table with {IMAGE_NAME}", path=path, hint=hint, kind="column")
    chosen = "particles" if "particles" in with_images else with_images[0]
    if chosen != "particles" and len(with_images) > 1:
        listed = ", ".join(f"data_{name} (line {star.lines[name]})" for name in with_images)
        raise InputError(f"several tables with {IMAGE_NAME}: {listed}", path=path, hint="name one data_particles")
    table = star.filled(chosen)
    has_optics = "optics" in star.blocks and chosen != "optics"
    optics = star.table("optics") if has_optics else None
    other = {
        name: block for name, block in star.blocks.items() if name not in (chosen, "optics" if has_optics else chosen)
    }
    return _Input(path, "3.1" if has_optics else "3.0", table, optics, other, block_names=(chosen, "optics"))


def _complete(source: _Input, datadir: Path | None, angpix: float | None, check_stacks: bool) -> ParticleSet:
    names = split_image_names(source.particles[IMAGE_NAME].tolist(), path=source.path)
    stacks, headers = [Path(name) for name in names.stacks], None
    if check_stacks:
        stacks, headers = _find_stacks(source, names, datadir)
        _check_frames(source, names, headers)
        if source.dialect == "cs":
            refuse_other_stacks(source.path, source.stated_shape, source.pixel_size, headers, names.stack_index, angpix)
        source.box = np.array([h.nx for h in headers], np.int32)[names.stack_index]
        _rename_found_elsewhere(source, names, stacks)
    optics_index = _match_optics(source, headers, names, angpix)
    assert source.pixel_size is not None and source.box is not None and source.optics is not None
    if headers is not None:
        check_boxes(
            source.optics, optics_index, source.box, lambda row: names.stacks[names.stack_index[row]], path=source.path
        )
    count = len(source.particles)
    done = ParticleSet(
        source.path, source.particles.reset_index(drop=True), source.optics, source.other, source.dialect,
        source.warnings, stacks, names.stack_index, np.maximum(names.frame, 0), optics_index, source.pixel_size,
        source.box, headers, [source.path], np.zeros(count, np.int32), source.rows, source.block_names,
    )  # fmt: skip
    return done if angpix is None else _with_pixel_size(done, angpix)


def _find_stacks(source: _Input, names: ImageNames, datadir: Path | None) -> tuple[list[Path], list[MrcHeader]]:
    if source.dialect == "stack":
        stacks = [source.path]
    else:
        folders = search_folders(source.path, datadir=datadir, project=source.dialect == "cs")
        stacks = resolve_stacks(names.stacks, folders, path=source.path)
    headers = _headers_of(stacks)
    odd: dict[str, list[Path]] = {}
    for header in headers:
        for oddity in header.oddities:
            odd.setdefault(oddity, []).append(header.path)
    for oddity, where in odd.items():
        more = f" and {len(where) - 1} more stacks" if len(where) > 1 else ""
        source.warnings.append(f"{where[0]}{more}: {oddity}")
    return stacks, headers


def _headers_of(stacks: list[Path]) -> list[MrcHeader]:
    """Read the headers of all stacks; where mistakes are collected, the first good one stands in for bad ones."""
    found: dict[Path, MrcHeader] = {}
    for stack in stacks:
        try:
            header = read_mrc_header(stack)
            if header.nx != header.ny:
                raise InputError("images are not square", path=stack, value=f"{header.nx} x {header.ny}")
            found[stack] = header
        except InputError as error:
            if stack.exists() or not collected():  # else it was refused as missing
                error.kind = "stack" if error.kind in (None, "file") else error.kind
                refuse(error)
    if not found:
        raise AllNoted("none of the stacks can be read", path=stacks[0])
    first = replace(next(iter(found.values())), oddities=(), count=np.iinfo(np.int32).max)
    return [found.get(stack) or replace(first, path=stack) for stack in stacks]


def _check_frames(source: _Input, names: ImageNames, headers: list[MrcHeader]) -> None:
    counts = np.array([h.count for h in headers])[names.stack_index]
    wrong = np.flatnonzero((names.frame >= counts) | ((names.frame < 0) & (counts != 1)))
    for row in wrong.tolist():
        header, name = headers[names.stack_index[row]], source.particles[IMAGE_NAME].iloc[row]
        tables = (source.particles, *source.other.values())
        if names.frame[row] < 0 and any(label.startswith(_TOMOGRAPHY) for table in tables for label in table):
            raise InputError(
                f"particles of a tilt series: this name is a stack of {header.count} tilts, no single image",
                path=source.path, row=row + 1, value=name, kind="image-index",
                hint=f"list single tilts as {image_name(0, name)}, or make one projection of each particle",
            )  # fmt: skip
        error = no_image_error(header, name, int(names.frame[row]), source.path, row + 1)
        assert error is not None
        refuse(error)
    names.frame[wrong] = 0


def _rename_found_elsewhere(source: _Input, names: ImageNames, stacks: list[Path]) -> None:
    """Rewrite the names of stacks that were not found from the current folder, where RELION will look for them."""
    renamed = {}
    for i, (name, stack) in enumerate(zip(names.stacks, stacks, strict=True)):
        if source.dialect != "stack" and not is_found_here(name, stack):
            renamed[i] = name_from_here(stack)
    if not renamed:
        return
    cells = source.particles[IMAGE_NAME].tolist()
    for row in np.flatnonzero(np.isin(names.stack_index, list(renamed))).tolist():
        at = int(names.stack_index[row])
        cells[row] = cells[row].removesuffix(names.stacks[at]) + renamed[at]
    source.particles = source.particles.copy(deep=False)
    source.particles[IMAGE_NAME] = text_series(cells, source.particles.index)
    first = next(iter(renamed))
    more = f" (and {len(renamed) - 1} more)" if len(renamed) > 1 else ""
    source.warnings.append(f"{source.path}: {names.stacks[first]} found at, and written as, {renamed[first]}{more}")


def _match_optics(
    source: _Input, headers: list[MrcHeader] | None, names: ImageNames, angpix: float | None
) -> NDArray[np.int32]:
    """Fill in the pixel size, box and optics of a source; return the optics row of each particle."""
    count = len(source.particles)
    if source.optics is not None:
        index, warnings = group_of_particles(source.particles, source.optics, path=source.path, rows=source.rows)
        source.warnings += warnings
        sizes = pixel_sizes_of_optics(source.optics, path=source.path)
        if sizes is not None:
            source.pixel_size = sizes[index]
        if source.box is None:
            source.box = np.zeros(count, np.int32)
            if IMAGE_SIZE in source.optics:
                source.box = image_sizes(source.optics, path=source.path)[index]
    if source.box is None:
        known = IMAGE_SIZE in source.particles
        source.box = image_sizes(source.particles, path=source.path) if known else np.zeros(count, np.int32)
    if source.pixel_size is None:
        source.pixel_size = pixel_sizes_of_columns(source.particles, path=source.path, rows=source.rows)
    if source.pixel_size is None:
        size = angpix if angpix is not None else _pixel_size_of_headers(source, headers, names)
        source.pixel_size = np.full(count, size)
    if source.optics is None:
        source.optics, index, warnings = build_optics(source.particles, source.pixel_size, source.box)
        source.warnings += warnings
        if source.dialect == "3.0":
            source.warnings.append(
                f"{source.path}: table of RELION 3.0 or older; written with an optics table, as RELION 3.1 reads it"
            )
    elif PIXEL_SIZE not in source.optics:
        first = [source.pixel_size[index == group][:1].tolist() for group in range(len(source.optics))]
        source.optics = source.optics.copy()
        source.optics[PIXEL_SIZE] = text_series([format_number(s[0] if s else source.pixel_size[0]) for s in first])
        source.warnings.append(f"{source.path}: optics table without {PIXEL_SIZE}; added")
    return index


def _pixel_size_of_headers(source: _Input, headers: list[MrcHeader] | None, names: ImageNames) -> float:
    """Return the pixel size that the stacks' headers agree on.

    Sizes that say nothing (see `MrcHeader.stated_pixel_size_angstrom`) are none.
    """
    sizes = {h.voxel_size_angstrom for h in headers} if headers else {None}
    size = headers[0].stated_pixel_size_angstrom if headers else None
    if len(sizes) > 1 or size is None:
        said = "" if headers is None else f" (header: {', '.join(str(s) for s in sorted(sizes, key=str))})"
        hint = "give it in Angstrom with --angpix"
        refuse(InputError(f"no pixel size{said}", path=source.path, hint=hint, kind="pixel-size"))
        return 1.0
    source.warnings.append(f"{source.path}: pixel size {size:g} A guessed from the header of {names.stacks[0]}")
    return size


def _with_pixel_size(particles: ParticleSet, angpix: float) -> ParticleSet:
    """Return the particles with --angpix as pixel size; offsets in A are rescaled, since pixels are what was moved."""
    old = particles.pixel_size_angstrom
    if np.allclose(old, angpix, rtol=1e-6, atol=0):
        return particles
    if old.max() > old.min() * (1 + SAME_GEOMETRY):
        what = "--angpix would make several pixel sizes one"
        raise InputError(what, path=particles.path, value=angpix, kind="pixel-size")
    labels = [name for name in particles.particles if name.startswith("rlnOrigin") and name.endswith("Angst")]
    scaled = {name: particles.needed(name) * (angpix / old) for name in labels}
    optics = particles.optics.copy()
    optics[PIXEL_SIZE] = text_series([format_number(angpix)] * len(optics))
    sizes = np.full(len(particles), float(angpix))
    done = replace(particles.with_columns(scaled), optics=optics, pixel_size_angstrom=sizes)
    done.warnings.append(f"{particles.path}: pixel size {angpix:g} A as given, instead of {old[0]:g} A")
    return done
