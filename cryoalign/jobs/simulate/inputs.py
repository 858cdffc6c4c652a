"""What ``simulate`` reads: a map, a list of views, a noise spectrum."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.io.columns import numbers
from cryoalign.io.mrc import read_mrc_header, unpacked
from cryoalign.io.stacks import read_images
from cryoalign.io.star import StarFile, read_star
from cryoalign.jobs.simulate.parameters import COLOURED, NO_NOISE, SINGLE, WHITE, SimulateParameters
from cryoalign.simulation.euler import even_directions
from cryoalign.simulation.noise import NoiseSpectrum, coloured, tabulated, white
from cryoalign.simulation.particles import Projector
from cryoalign.simulation.phantom import built_in_phantom
from cryoalign.simulation.project import MapProjector

_SINGLE_VIEW = np.array([[30.0, 60.0]])
_PHANTOM_DIAMETER = 0.66  # of the field of view
_PHANTOM_ATOM_PX = 1.25


def read_projector(p: SimulateParameters, scratch: Path, warn: Callable[[str], None]) -> tuple[Projector, int, float]:
    """Return what is projected, the box in pixels and the pixel size in A.

    Raises
    ------
    InputError
        If the map is no cube, or its voxel size is nowhere to be found.
    """
    if p.map is None:
        box, pixel_size = p.box or 64, p.pixel_size or 3.0
        return built_in_phantom(_PHANTOM_DIAMETER * box * pixel_size, _PHANTOM_ATOM_PX * pixel_size), box, pixel_size
    header = read_mrc_header(p.map)
    if not header.nx == header.ny == header.count:
        raise InputError("a map must be a cube", path=p.map, value=(header.nx, header.ny, header.count))
    voxels = read_images(header, unpacked(header, scratch), 0, header.count)
    if not np.isfinite(voxels).all():
        raise InputError("the map holds values that are not numbers", path=p.map)
    voxel_size = p.map_angpix or header.voxel_size_angstrom
    if voxel_size is None:
        if p.pixel_size is None:
            raise InputError("the map's header holds no voxel size", path=p.map, hint="give it with --map-angpix")
        warn(f"{p.map}: the header holds no voxel size: taken to be --pixel-size, {p.pixel_size:g} A")
        voxel_size = p.pixel_size
    return MapProjector(voxels, voxel_size), p.box or header.nx, p.pixel_size or voxel_size


def read_views(p: SimulateParameters) -> NDArray[np.float64] | None:
    """Return the views to choose from, (rot, tilt) in degrees, shape (K, 2); None = every particle has its own."""
    if p.views_file is not None:
        star = read_star(p.views_file)
        table = _tables_with(star, ("rlnAngleRot", "rlnAngleTilt"))[0]
        columns = [numbers(table[label], label, path=star.path) for label in ("rlnAngleRot", "rlnAngleTilt")]
        return np.stack(columns, axis=1)
    if p.views == SINGLE:
        return _SINGLE_VIEW
    return None if p.n_views is None else np.stack(even_directions(p.n_views), axis=1)


def read_noise(p: SimulateParameters, pixel_size_angstrom: float) -> NoiseSpectrum | None:
    """Return the noise spectrum; tables of several groups are averaged.

    Without rlnResolution (1/A), shells are spread evenly up to the Nyquist frequency of the images.
    """
    if p.noise_file is None:
        return {WHITE: white, COLOURED: coloured, NO_NOISE: lambda: None}[p.noise]()
    star = read_star(p.noise_file)
    tables = _tables_with(star, ("rlnSpectralIndex", "rlnSigma2Noise"))
    shells = min(len(table) for table in tables)
    power = [numbers(table["rlnSigma2Noise"], "rlnSigma2Noise", path=star.path)[:shells] for table in tables]
    if "rlnResolution" in tables[0]:
        frequency = numbers(tables[0]["rlnResolution"], "rlnResolution", path=star.path)[:shells]
    else:
        index = numbers(tables[0]["rlnSpectralIndex"], "rlnSpectralIndex", path=star.path)[:shells]
        frequency = index / max(index[-1], 1.0) * 0.5 / pixel_size_angstrom
    try:
        return tabulated(frequency, np.mean(power, axis=0))
    except InputError as error:
        raise InputError(error.what, path=star.path) from None


def _tables_with(star: StarFile, labels: tuple[str, ...]) -> list:
    tables = [star.table(name) for name, block in star.blocks.items() if all(label in block for label in labels)]
    tables = [table for table in tables if len(table)]
    if not tables:
        raise InputError(f"no table with {' and '.join(labels)}", path=star.path)
    return tables
