"""Input files of scripts/record that the command line does not make: two geometries, .cs, spoilt images, old tables.

Each function takes the folder of all cases and the folder to write into, and reads what `simulate` wrote beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import mrcfile
import numpy as np
import starfile
from numpy.typing import NDArray

Columns = dict[str, list[str]]


def read_star(path: Path, block: str) -> Columns:
    """Return the cells of a block as text."""
    labels = [line.split()[0][1:] for line in path.read_text().splitlines() if line.startswith("_")]
    return starfile.read(path, always_dict=True, parse_as_string=labels)[block].to_dict("list")


def write_star(path: Path, blocks: Mapping[str, Mapping[str, Sequence[object]]]) -> None:
    """Write blocks of columns as loops."""
    text = ""
    for name, columns in blocks.items():
        rows = zip(*columns.values(), strict=True)
        text += f"\ndata_{name}\n\nloop_\n" + "".join(f"_{label}\n" for label in columns)
        text += "".join(" ".join(map(str, row)) + "\n" for row in rows) + "\n"
    path.write_text(text)


def write_mrc(path: Path, data: NDArray, pixel: float, *, volume: bool = False) -> None:
    """Write a stack or a map whose header holds no date."""
    with mrcfile.new(path, data=data.astype(np.float32)) as mrc:
        if not volume:
            mrc.set_image_stack()
        mrc.voxel_size = pixel
        mrc.header.label, mrc.header.nlabl = b"", 0


def numbers(columns: Columns, label: str) -> NDArray[np.float64]:
    """Return a column as numbers."""
    return np.array(columns[label], float)


def make_two(cases: Path, out: Path) -> None:
    """Join two sets of other boxes and pixel sizes: two particles of the first, one of the second, and so on."""
    names = ("sim", "large")
    near, far = (read_star(cases / f"{name}/particles.star", "particles") for name in names)
    groups = [read_star(cases / f"{name}/particles.star", "optics") for name in names]
    optics = {label: [group[label][0] for group in groups] for label in groups[0]}
    optics |= {"rlnOpticsGroup": ["1", "2"], "rlnOpticsGroupName": ["near", "far"]}
    for group, particles in (("1", near), ("2", far)):
        particles["rlnOpticsGroup"] = [group] * len(particles["rlnOpticsGroup"])
    threes = {label: zip(cells[::2], cells[1::2], far[label], strict=True) for label, cells in near.items()}
    joined = {label: [cell for three in cells for cell in three] for label, cells in threes.items()}
    write_star(out / "particles.star", {"optics": optics, "particles": joined})


def make_mag(cases: Path, out: Path) -> None:
    """Give each optics group a magnification matrix, the second the identity."""
    elements = ([1.0075, 1], [0.013, 0], [0.013, 0], [0.9925, 1])
    matrices = dict(zip(("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11"), elements, strict=True))
    for name in ("sim", "flipped", "views", "one"):
        blocks = {block: read_star(cases / f"{name}/particles.star", block) for block in ("optics", "particles")}
        count = len(blocks["optics"]["rlnOpticsGroup"])
        blocks["optics"] |= {label: values[:count] for label, values in matrices.items()}
        write_star(out / f"{name}.star", blocks)


def make_cs(cases: Path, out: Path) -> None:
    """Write particles with true poses as cryoSPARC does."""
    truth, optics = (read_star(cases / "sim/truth.star", block) for block in ("particles", "optics"))
    kinds = [
        ("uid", "<u8"), ("blob/path", "S64"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
        ("blob/sign", "<f4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"),
        ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"),
        ("ctf/exp_group_id", "<u4"), ("alignments2D/pose", "<f4"), ("alignments2D/shift", "<f4", (2,)),
        ("alignments2D/psize_A", "<f4"), ("alignments2D/class", "<u4"), ("alignments2D/split", "<u4"),
    ]  # fmt: skip
    names = [name.split("@") for name in truth["rlnImageName"]]
    rows, size = np.zeros(len(names), kinds), float(optics["rlnImagePixelSize"][0])
    rows["uid"], rows["blob/sign"] = np.arange(len(names)) + 10**18, 1
    rows["blob/path"], rows["blob/idx"] = [f">{path}" for _, path in names], [int(number) - 1 for number, _ in names]
    rows["blob/shape"], rows["blob/psize_A"] = int(optics["rlnImageSize"][0]), size
    rows["ctf/accel_kv"], rows["ctf/cs_mm"], rows["ctf/amp_contrast"] = 300, 2.7, 0.1
    rows["ctf/df1_A"], rows["ctf/df2_A"] = numbers(truth, "rlnDefocusU"), numbers(truth, "rlnDefocusV")
    rows["ctf/df_angle_rad"] = np.deg2rad(numbers(truth, "rlnDefocusAngle"))
    rows["ctf/exp_group_id"] = numbers(truth, "rlnOpticsGroup")
    rows["alignments2D/pose"] = np.deg2rad(numbers(truth, "rlnAnglePsi"))
    shift = [numbers(truth, "rlnOriginXAngst"), numbers(truth, "rlnOriginYAngst")]
    rows["alignments2D/shift"], rows["alignments2D/psize_A"] = np.stack(shift, axis=1) / (2 * size), 2 * size
    rows["alignments2D/class"] = numbers(truth, "rlnClassNumber") - 1
    rows["alignments2D/split"] = np.arange(len(rows)) % 2
    with (out / "particles.cs").open("wb") as handle:
        np.save(handle, rows)


def make_flipped(cases: Path, out: Path) -> None:
    """Flip the first stack."""
    blocks = {block: read_star(cases / "sim/particles.star", block) for block in ("optics", "particles")}
    particles = blocks["particles"]
    write_mrc(out / "stack.mrcs", np.roll(mrcfile.read(cases / "sim/particles_01.mrcs")[..., ::-1], 1, axis=-1), 4.0)
    first = ["_01" in name for name in particles["rlnImageName"]]
    angle = numbers(particles, "rlnDefocusAngle")
    particles["rlnDefocusAngle"] = [f"{180 - a if mine else a:.6f}" for a, mine in zip(angle, first, strict=True)]
    names = particles["rlnImageName"]
    particles["rlnImageName"] = [name.replace("sim/particles_01", "flipped/stack") for name in names]
    write_star(out / "particles.star", blocks)


def make_spoilt(cases: Path, out: Path) -> None:
    """Spoil images of the first stack, with true poses beside them."""
    warnings.filterwarnings("ignore", "Data array contains")
    images = mrcfile.read(cases / "sim/particles_01.mrcs").copy()
    images[1, 3, 5], images[20], images[70], images[71, 0, 0] = np.nan, 0.0, 2.0, np.inf
    write_mrc(out / "stack.mrcs", images, 4.0)
    blocks = {block: read_star(cases / "sim/truth.star", block) for block in ("optics", "particles")}
    names = blocks["particles"]["rlnImageName"]
    blocks["particles"]["rlnImageName"] = [name.replace("sim/particles_01", "spoilt/stack") for name in names]
    write_star(out / "particles.star", blocks)


def make_old(cases: Path, out: Path) -> None:
    """Write the table as RELION 3.0 does: no optics, origins in pixels."""
    particles = read_star(cases / "sim/truth.star", "particles")
    kept = {label: particles[label] for label in ("rlnImageName", "rlnMicrographName", "rlnDefocusU", "rlnDefocusV")}
    kept |= {"rlnDefocusAngle": particles["rlnDefocusAngle"]}
    count = len(kept["rlnImageName"])
    same = {"rlnVoltage": 300, "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1, "rlnDetectorPixelSize": 10}
    kept |= {label: [value] * count for label, value in (same | {"rlnMagnification": 25000}).items()}
    kept |= {f"rlnOrigin{axis}": [f"{o / 4:.6f}" for o in numbers(particles, f"rlnOrigin{axis}Angst")] for axis in "XY"}
    write_star(out / "particles.star", {"": kept})


def make_posed(cases: Path, out: Path) -> None:
    """Write poses near the true ones, classes, and columns of many kinds; the last rows are there twice."""
    blocks = {block: read_star(cases / "sim/truth.star", block) for block in ("optics", "particles")}
    particles, rng = blocks["particles"], np.random.default_rng(7)
    count = len(particles["rlnImageName"])
    psi = numbers(particles, "rlnAnglePsi") + rng.normal(0, 3, count)
    particles["rlnAnglePsi"] = particles["rlnAnglePsiPrior"] = [f"{angle:.6f}" for angle in psi]
    particles |= {
        "rlnCoordinateX": rng.integers(0, 900, count).tolist(), "rlnCoordinateY": rng.integers(0, 900, count).tolist(),
        "rlnRandomSubset": rng.integers(1, 3, count).tolist(), "rlnHelicalTubeID": (np.arange(count) // 8 + 1).tolist(),
        "myWeight": [f"{weight:.4f}" for weight in rng.uniform(0, 2, count)],
        "cryoalignScore": [f"{score:.5f}" for score in rng.uniform(-0.1, 1, count)],
        "myNote": [("one", "'two words'", '""', "4")[kind] for kind in rng.integers(0, 4, count)],
    }  # fmt: skip
    blocks["particles"] = {label: [*cells, *cells[-12:]] for label, cells in particles.items()}
    blocks["mine"] = {"mineAnswer": [42]}
    write_star(out / "particles.star", blocks)


def make_solid(cases: Path, out: Path) -> None:
    """Write a map of blobs, views for it and a noise spectrum."""
    rng, grid = np.random.default_rng(3), np.indices((28, 28, 28)) - 14.0
    centres = rng.normal(0, 3.5, (12, 3))
    blobs = (np.exp(-((grid - centre[:, None, None, None]) ** 2).sum(axis=0) / 4) for centre in centres)
    write_mrc(out / "map.mrc", sum(blobs), 1.0, volume=True)
    angles = {"rlnAngleRot": [0, 40, 200], "rlnAngleTilt": [10, 80, 120]}
    write_star(out / "views.star", {"views": angles})
    power = {"rlnSpectralIndex": list(range(15)), "rlnSigma2Noise": [f"{1 + 9 / (1 + k):.5f}" for k in range(15)]}
    write_star(out / "noise.star", {"model_group_1": power})


def make_edges(cases: Path, out: Path) -> None:
    """Write edges as another program might: named nodes, radians, commas for points."""
    header, *rows = (line.split(",") for line in (cases / "graph/graph.csv").read_text().splitlines() if line[0] != "#")
    i, j, angle = (next(c for c, name in enumerate(header) if name in names) for names in (["i"], ["j"], ["angle_deg"]))
    lines = [f"n{row[i]};n{row[j]};{np.deg2rad(float(row[angle])):.6f};{1 + k % 3}" for k, row in enumerate(rows)]
    (out / "edges.csv").write_text("source;target;angle_rad;weight\n" + "\n".join(lines).replace(".", ",") + "\n")
