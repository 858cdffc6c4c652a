"""graph.npz: which particles are neighbours, how far apart they are, and the pose that brings one onto the other.

The pose of an edge (i, j) brings image j onto image i (`cryoalign.core.poses`). Rows count from 0 in the file, and from
1 in messages and in text. Lists of nearest neighbours hold an edge in both directions or in one; where every edge has
i < j, each pair is there once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.errors import InputError
from cryoalign.core.poses import PosedEdges
from cryoalign.io.file_kind import open_file, read_head
from cryoalign.io.image_index import other_images
from cryoalign.io.npz import read_npz, write_npz
from cryoalign.io.star import refuse_damaged_text
from cryoalign.io.writing import naming

FORMAT_VERSION = 1
CONVENTION = "pose brings j onto i"
_EDGE_TYPES: dict[str, Any] = {
    "i": np.int64, "j": np.int64, "distance": np.float32, "angle_deg": np.float32, "shift_px": np.float32,
    "mirror": np.bool_, "weight": np.float32, "score": np.float32,
}  # fmt: skip
_KNOWN = {*_EDGE_TYPES, "format_version", "n", "name", "box", "pixel_size_angstrom", "metric", "convention"}


@dataclass(frozen=True, eq=False)
class Graph(PosedEdges):
    """E edges between n particles.

    Parameters
    ----------
    n
        Number of particles.
    i, j
        0-based rows, int64 (E,).
    distance
        float32 (E,), not negative, not squared; the unit is the metric's.
    angle_deg, shift_px, mirror
        Pose that brings j onto i: psi in (-180, 180], float32 (E,); (dx, dy) in pixels of ``box``, float32 (E, 2);
        bool (E,).
    name
        rlnImageName of each particle, fixed-length unicode (n,).
    box, pixel_size_angstrom
        Side of the images in pixels, and their pixel size in A.
    metric
        What the distance is.
    weight
        float32 (E,) in [0, 1]; None where there is none.
    score
        What the method ranked by, the higher the nearer, float32 (E,); None where there is none.
    unused
        Names of other arrays in the file.
    """

    n: int
    i: NDArray[np.int64]
    j: NDArray[np.int64]
    distance: NDArray[np.float32]
    angle_deg: NDArray[np.float32]
    shift_px: NDArray[np.float32]
    mirror: NDArray[np.bool_]
    name: NDArray[np.str_]
    box: int
    pixel_size_angstrom: float
    metric: str
    weight: NDArray[np.float32] | None = None
    score: NDArray[np.float32] | None = None
    unused: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Count the edges."""
        return len(self.i)

    @property
    def each_pair_once(self) -> bool:
        """Whether every edge has i < j."""
        return bool((self.i < self.j).all())


def write_graph(path: Path, graph: Graph) -> None:
    """Write graph.npz: the same bytes for the same graph, on any day.

    Raises
    ------
    ValueError
        If the graph breaks a rule of the file.
    """
    flaw = _flaw(graph)
    if flaw is not None:
        raise ValueError(str(flaw))
    arrays = {"format_version": np.asarray(FORMAT_VERSION, np.int64), "n": np.asarray(graph.n, np.int64)}
    for label, kind in _EDGE_TYPES.items():
        values = getattr(graph, label)
        if values is not None:
            arrays[label] = np.ascontiguousarray(values, dtype=kind)
    arrays["name"] = np.asarray(graph.name, dtype=np.str_)
    arrays["box"] = np.asarray(graph.box, dtype=np.int64)
    arrays["pixel_size_angstrom"] = np.asarray(graph.pixel_size_angstrom, dtype=np.float64)
    arrays["metric"], arrays["convention"] = np.asarray(graph.metric), np.asarray(CONVENTION)
    with naming(path), Path(path).open("wb") as handle:
        write_npz(handle, arrays)


def read_graph(path: Path, names: Sequence[str] | None = None) -> Graph:
    """Read a graph and check everything in it.

    Parameters
    ----------
    path
        graph.npz.
    names
        rlnImageName of the particles at hand, in their order: the graph must be one of just these.

    Raises
    ------
    InputError
        If the file is no graph, is damaged, or holds rows out of range, values that are not finite, or negative
        distances; if it belongs to other particles.
    """
    path = Path(path)
    arrays, unused = _arrays(path)
    missing = [name for name in ("n", "i", "j", "distance", "angle_deg", "name") if name not in arrays]
    if missing:
        raise InputError(f"this is no graph: it has no {', '.join(missing)}", path=path, hint=_HINT)
    version = _whole(path, arrays, "format_version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise InputError("a graph of another version of this format", path=path, value=version)
    convention = _text(path, arrays, "convention", CONVENTION)
    if convention != CONVENTION:
        raise InputError("poses of another convention", path=path, value=convention, hint=f"expected: {CONVENTION}")
    graph = _graph(path, arrays, unused)
    flaw = _flaw(graph)
    if flaw is not None:
        raise InputError(flaw.what, path=path, row=flaw.row, value=flaw.value)
    if names is not None:
        _refuse_other_particles(graph, names, path)
    return graph


_HINT = "give the graph.npz of rid-distance or classavg"


def _arrays(path: Path) -> tuple[dict[str, NDArray], list[str]]:
    """Return the arrays that graphs have, and the names of others in the file."""
    if not read_head(path, 2).startswith(b"PK"):
        raise InputError("this is no .npz file", path=path, hint=_HINT)
    with open_file(path) as handle:
        try:
            return read_npz(handle, _KNOWN)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror or error}", path=path) from None
        except ValueError as error:
            raise InputError(f"damaged, or not made of plain arrays: {error}", path=path, hint=_HINT) from None


def _graph(path: Path, arrays: dict[str, NDArray], unused: list[str]) -> Graph:
    """Bring the arrays to their types; shapes are checked here, since everything else builds on them."""
    n = _whole(path, arrays, "n")
    edges = arrays["i"].size
    columns: dict[str, NDArray | None] = {}
    defaults = {"shift_px": np.zeros((edges, 2), np.float32), "mirror": np.zeros(edges, np.bool_)}
    for label, kind in _EDGE_TYPES.items():
        values = arrays.get(label, defaults.get(label))
        if values is None:
            columns[label] = None
            continue
        shape = (edges, 2) if label == "shift_px" else (edges,)
        whole = label in ("i", "j")
        if values.dtype.kind not in ("iu" if whole else "biuf") or values.shape != shape:
            raise InputError(f"{label} must be {'whole ' if whole else ''}numbers of shape {shape}", path=path,
                             value=f"{values.dtype} {values.shape}")  # fmt: skip
        if label == "mirror" and not np.isin(values, (0, 1)).all():
            row = int(np.flatnonzero(~np.isin(values, (0, 1)))[0])
            raise InputError("mirror is neither 0 nor 1", path=path, row=row + 1, value=values[row].item())
        with np.errstate(over="ignore"):  # what does not fit is infinite, and found below
            columns[label] = values.astype(kind)
    name = arrays["name"]
    if name.dtype.kind != "U" or name.shape != (n,):
        raise InputError(f"name must be text of shape ({n},)", path=path, value=f"{name.dtype} {name.shape}")
    _refuse_damaged_names(path, name)
    box, pixel_size = _whole(path, arrays, "box", 0), _number(path, arrays, "pixel_size_angstrom", 0.0)
    for label, size in (("box", box), ("pixel_size_angstrom", pixel_size)):
        if size < 0:
            raise InputError(f"{label} is negative", path=path, value=size)
    metric = _text(path, arrays, "metric", "")
    return Graph(n=n, name=name, box=box, pixel_size_angstrom=pixel_size, metric=metric, unused=tuple(unused),
                 **columns)  # type: ignore[arg-type]  # fmt: skip


def _one(path: Path, arrays: dict[str, NDArray], label: str, kinds: str, what: str) -> Any:
    """Return the only element of an array."""
    value = arrays[label]
    if value.size != 1 or value.dtype.kind not in kinds:
        raise InputError(f"{label} must be one {what}", path=path, value=f"{value.dtype} {value.shape}")
    try:
        return value.reshape(-1)[0].item()
    except ValueError:  # UTF-32 that is none
        raise InputError(f"{label} is damaged text", path=path) from None


def _whole(path: Path, arrays: dict[str, NDArray], label: str, default: int | None = None) -> int:
    if label not in arrays and default is not None:
        return default
    return int(_one(path, arrays, label, "iu", "whole number"))


def _number(path: Path, arrays: dict[str, NDArray], label: str, default: float) -> float:
    value = float(_one(path, arrays, label, "fiu", "number")) if label in arrays else default
    if not np.isfinite(value):
        raise InputError(f"{label} is not a number", path=path, value=value)
    return value


def _text(path: Path, arrays: dict[str, NDArray], label: str, default: str) -> str:
    if label not in arrays:
        return default
    text = str(_one(path, arrays, label, "U", "text"))
    refuse_damaged_text(text, label, path)
    return text


def _refuse_damaged_names(path: Path, name: NDArray[np.str_]) -> None:
    try:
        words = name.tolist()
    except ValueError:  # UTF-32 that is none
        raise InputError("name is damaged text", path=path) from None
    for row, word in enumerate(words):
        refuse_damaged_text(word, "name", path, row)


def _flaw(graph: Graph) -> InputError | None:
    """Return what is wrong with a graph, its row being the 1-based edge; None where nothing is."""
    checks: list[tuple[str, NDArray[np.bool_], NDArray]] = [
        ("an edge leads to a row that does not exist", (graph.i < 0) | (graph.i >= graph.n), graph.i),
        ("an edge leads to a row that does not exist", (graph.j < 0) | (graph.j >= graph.n), graph.j),
        ("an edge joins a particle with itself", graph.i == graph.j, graph.i),
        ("a distance is negative or not finite", ~((graph.distance >= 0) & (graph.distance < np.inf)), graph.distance),
        ("an angle is not finite", ~np.isfinite(graph.angle_deg), graph.angle_deg),
        ("a shift is not finite", np.asarray(~np.isfinite(graph.shift_px).all(axis=-1)), graph.shift_px),
    ]  # fmt: skip
    if graph.weight is not None:
        checks.append(("a weight is not in [0, 1]", ~((graph.weight >= 0) & (graph.weight <= 1)), graph.weight))
    if graph.score is not None:
        checks.append(("a score is not finite", ~np.isfinite(graph.score), graph.score))
    for what, bad, values in checks:
        rows = np.flatnonzero(bad)
        if len(rows):
            value = values[rows[0]]
            shown = value.tolist() if values.dtype.kind == "f" else int(value) + 1
            return InputError(f"{what} ({len(rows)} such edges)", row=int(rows[0]) + 1, value=shown)
    if not len(graph):
        return InputError("the graph has no edges")
    return None


def _refuse_other_particles(graph: Graph, names: Sequence[str], path: Path) -> None:
    hint = "give the particles, in the order, from which the graph was made"
    if graph.n != len(names):
        raise InputError(f"a graph of {graph.n} particles, not of these {len(names)}", path=path, hint=hint)
    other = other_images(graph.name.tolist(), names)
    if len(other):
        row = int(other[0])
        raise InputError(
            f"a graph of other particles: {len(other)} names differ, the first is {names[row]} here", path=path,
            row=row + 1, value=str(graph.name[row]), hint=hint,
        )  # fmt: skip
