"""Files with one planted fault each, and clean ones: what `cryoalign check` must find, and must not.

``python tests/check/corpus.py DIR`` makes them all, a folder each, without the code under test.
"""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOX, PIXEL, COUNT = 32, 4.0, 48
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def images(count: int = COUNT, seed: int = 0, box: int = BOX) -> NDArray[np.float32]:
    """Make bright blobs in white noise of mean 0 and deviation 1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:box, :box] - box // 2
    blob = np.exp(-(x**2 + y**2) / (2 * (box / 10) ** 2)) + np.exp(-((x - 4) ** 2 + (y + 2) ** 2) / 8)
    return (blob + rng.normal(size=(count, box, box))).astype(np.float32)


def mrc(
    path: Path, data: NDArray, *, mode: int = 2, pixel: float = PIXEL, space_group: int = 0, **edits: bytes
) -> Path:
    """Write a stack as MRC2014 says; ``edits`` write bytes over the header, such as ``at208=b"...."``."""
    n, ny, nx = data.shape
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, nx, ny, n, mode, 0, 0, 0, nx, ny, n if space_group else 1)
    struct.pack_into("<6f3i", header, 40, nx * pixel, ny * pixel, n * pixel, 90, 90, 90, 1, 2, 3)
    struct.pack_into("<i", header, 88, space_group)
    header[208:216] = b"MAP DD\0\0"
    for name, value in edits.items():
        at = int(name.removeprefix("at"))
        header[at : at + len(value)] = value
    kinds = {1: "<i2", 2: "<f4", 12: "<f2"}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(header) + np.asarray(data).astype(kinds.get(mode, "<f4")).tobytes())
    return path


@dataclass
class Made:
    """A set of particles in two stacks, as it will be written; faults are planted in it."""

    folder: Path
    stacks: dict[str, NDArray] = field(default_factory=dict)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    optics: dict[str, list[Any]] = field(default_factory=dict)
    header: dict[str, bytes] = field(default_factory=dict)
    text: Callable[[str], str] = lambda text: text
    mode: int = 2

    @classmethod
    def clean(cls, folder: Path, box: int = BOX) -> Made:
        """Return a set without a fault."""
        data, half = images(box=box), COUNT // 2
        rng = np.random.default_rng(1)
        names = [f"{i + 1:06d}@{stack}.mrcs" for stack in "ab" for i in range(half)]
        columns: dict[str, list[Any]] = {
            "rlnImageName": names, "rlnMicrographName": [f"m{i % 4}.mrc" for i in range(COUNT)],
            "rlnOpticsGroup": [1] * COUNT, "rlnDefocusU": rng.uniform(1e4, 2e4, COUNT).round(1).tolist(),
            "rlnDefocusV": rng.uniform(1e4, 2e4, COUNT).round(1).tolist(), "rlnDefocusAngle": [30.0] * COUNT,
            "rlnAnglePsi": rng.uniform(-180, 180, COUNT).round(2).tolist(),
            "rlnOriginXAngst": rng.normal(0, 3, COUNT).round(2).tolist(),
            "rlnOriginYAngst": rng.normal(0, 3, COUNT).round(2).tolist(),
            "rlnClassNumber": [1 + i % 3 for i in range(COUNT)], "rlnRandomSubset": [1 + i % 2 for i in range(COUNT)],
        }  # fmt: skip
        optics: dict[str, list[Any]] = {
            "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["g1"], "rlnVoltage": [300.0],
            "rlnSphericalAberration": [2.7], "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [PIXEL],
            "rlnImageSize": [box], "rlnImageDimensionality": [2],
        }  # fmt: skip
        return cls(folder, {"a.mrcs": data[:half], "b.mrcs": data[half:]}, columns, optics)

    def write(self) -> None:
        """Write stacks and table."""
        for name, data in self.stacks.items():
            mrc(self.folder / name, data, mode=self.mode, **(self.header if name.startswith("a.") else {}))
        loops = [("optics", self.optics), ("particles", self.columns)]
        text = self.text("".join(_loop(name, columns) for name, columns in loops if columns))
        (self.folder / "p.star").write_bytes(text.encode("utf-8"))


def _loop(name: str, columns: dict[str, list[Any]]) -> str:
    labels = "".join(f"_{label} #{i + 1}\n" for i, label in enumerate(columns))
    rows = "".join(" ".join(map(str, row)) + "\n" for row in zip(*columns.values(), strict=True))
    return f"\ndata_{name}\n\nloop_\n{labels}{rows}\n"


@dataclass(frozen=True)
class Case:
    """A folder of the corpus.

    Parameters
    ----------
    name
        Of the folder.
    kind
        Of its only fault; None = there is none.
    plant
        Puts the fault into a set before it is written.
    refused
        Whether a run would refuse it.
    after
        Puts the fault into the files that were written.
    told
        Parameters of the check, by name; paths within the folder.
    row
        The row, from 1, that has to be named.
    """

    name: str
    kind: str | None
    plant: Callable[[Made], object] = lambda made: None
    refused: bool = True
    after: Callable[[Path], object] = lambda folder: None
    told: dict[str, Any] = field(default_factory=lambda: {"inputs": ("p.star",)})
    row: int | None = None

    def make(self, folder: Path) -> None:
        """Write the files."""
        folder.mkdir(parents=True, exist_ok=True)
        made = Made.clean(folder)
        self.plant(made)
        made.write()
        self.after(folder)


def cell(label: str, row: int, value: object) -> Callable[[Made], object]:
    """Plant a value in a row, from 1."""
    return lambda made: made.columns[label].__setitem__(row - 1, value)


def every(label: str, value: object) -> Callable[[Made], object]:
    """Plant a value in all rows."""
    return lambda made: made.columns.__setitem__(label, [value] * COUNT)


def group(label: str, *values: object) -> Callable[[Made], object]:
    """Plant values in the optics table."""
    return lambda made: made.optics.__setitem__(label, list(values))


def without(label: str) -> Callable[[Made], object]:
    """Leave out a column."""
    return lambda made: (made.columns.pop(label, None), made.optics.pop(label, None))


def edited(change: Callable[[str], str]) -> Callable[[Made], object]:
    """Change the text of the table."""
    return lambda made: setattr(made, "text", change)


def line(row: int, change: Callable[[str], str]) -> Callable[[Made], object]:
    """Change the line of a row, from 1."""

    def change_text(text: str) -> str:
        lines = text.split("\n")
        at = next(i for i, words in enumerate(lines) if words.startswith("000001@a")) + row - 1
        lines[at] = change(lines[at])
        return "\n".join(lines)

    return edited(change_text)


def pixels(stack: str, change: Callable[[NDArray], object]) -> Callable[[Made], object]:
    """Change the pixels of a stack in place."""
    return lambda made: change(made.stacks[stack])


def all_pixels(change: Callable[[NDArray], NDArray]) -> Callable[[Made], object]:
    """Replace the pixels of both stacks."""
    return lambda made: made.stacks.update({name: change(data) for name, data in made.stacks.items()})


def header(**edits: bytes) -> Callable[[Made], object]:
    """Write over the header of the first stack."""
    return lambda made: setattr(made, "header", edits)


def two_groups(made: Made) -> None:
    """Make a second optics group."""
    for label, values in made.optics.items():
        values.append({"rlnOpticsGroup": 2, "rlnOpticsGroupName": "g2"}.get(label, values[0]))
    made.columns["rlnOpticsGroup"] = [1 + i % 2 for i in range(COUNT)]


def ramp(data: NDArray) -> NDArray:
    """Add a plane of 5 deviations from edge to edge."""
    return data + 5 * np.linspace(-0.5, 0.5, BOX, dtype=np.float32)


def graph(folder: Path, **edits: Any) -> None:
    """Write a graph of the particles."""
    arrays: dict[str, Any] = {
        "format_version": np.int64(1), "n": np.int64(COUNT), "i": np.arange(COUNT - 1), "j": np.arange(1, COUNT),
        "distance": np.ones(COUNT - 1, np.float32), "angle_deg": np.zeros(COUNT - 1, np.float32),
        "shift_px": np.zeros((COUNT - 1, 2), np.float32), "mirror": np.zeros(COUNT - 1, bool),
        "name": np.array([f"{i + 1:06d}@{s}.mrcs" for s in "ab" for i in range(COUNT // 2)]), "box": np.int64(BOX),
        "pixel_size_angstrom": np.float64(PIXEL), "metric": np.array("x"),
        "convention": np.array("pose brings j onto i"),
    }  # fmt: skip
    np.savez(folder / "graph.npz", **(arrays | edits))


def references(folder: Path, data: NDArray | None = None, **more: Any) -> None:
    """Write references."""
    mrc(folder / "refs.mrcs", images(2, 9) if data is None else data, **more)


def cs(folder: Path, change: Callable[[NDArray], object] = lambda data: None, drop: str = "") -> None:
    """Write a .cs file of the first stack."""
    fields: list[Any] = [
        ("uid", "<u8"), ("blob/path", "S8"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
        ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"),
        ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("alignments2D/pose", "<f4"),
        ("alignments2D/shift", "<f4", (2,)), ("alignments2D/psize_A", "<f4"),
    ]  # fmt: skip
    data = np.zeros(COUNT // 2, [one for one in fields if one[0] != drop])
    values = {
        "uid": np.arange(COUNT // 2) + 7, "blob/path": b"a.mrcs", "blob/idx": np.arange(COUNT // 2),
        "blob/shape": BOX, "blob/psize_A": PIXEL, "ctf/accel_kv": 300, "ctf/cs_mm": 2.7, "ctf/amp_contrast": 0.1,
        "ctf/df1_A": 15000, "ctf/df2_A": 14500, "alignments2D/psize_A": PIXEL,
    }  # fmt: skip
    for name, value in values.items():
        if name != drop:
            data[name] = value
    change(data)
    with (folder / "p.cs").open("wb") as handle:
        np.save(handle, data)


PARTICLES = {"inputs": ("p.star",)}
WITH_REFERENCES = PARTICLES | {"references": ("refs.mrcs",)}
WITH_GRAPH = PARTICLES | {"graphs": ("graph.npz",)}
CS = {"inputs": ("p.cs",)}
OLD = ("rlnOpticsGroup", "rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality", "rlnOpticsGroupName")


def relion_30(made: Made) -> None:
    """Make the one table of RELION 3.0 and older."""
    made.columns |= {label: values * COUNT for label, values in made.optics.items() if label not in OLD}
    made.columns |= {"rlnDetectorPixelSize": [14.0] * COUNT, "rlnMagnification": [35000.0] * COUNT}
    for axis in "XY":
        made.columns[f"rlnOrigin{axis}"] = made.columns.pop(f"rlnOrigin{axis}Angst")
    made.columns.pop("rlnOpticsGroup")
    made.optics = {}


CLEAN = [
    Case("clean", None),
    Case("clean-two-groups", None, two_groups),
    Case("clean-float16", None, lambda m: setattr(m, "mode", 12)),
    Case("clean-relion-3.0", None, relion_30),
    Case("clean-quoted", None, every("rlnMicrographName", "'m 1.mrc'")),
    Case("clean-comment", None, edited(lambda text: "# a comment\n" + text + "# the end\n")),
    Case("clean-bare-stack", None, told={"inputs": ("a.mrcs",)}),
    Case("clean-cs", None, after=cs, told=CS),
    Case("clean-references", None, after=references, told=WITH_REFERENCES),
    Case("clean-graph", None, after=graph, told=WITH_GRAPH),
    Case("clean-no-ctf", None, lambda m: [m.columns.pop(f"rlnDefocus{w}") for w in ("U", "V", "Angle")]),
]
FAULTS = [
    Case("short-row", "table", line(5, lambda words: words.rsplit(" ", 1)[0])),
    Case("long-row", "table", line(5, lambda words: words + " 1")),
    Case("blank-line", "table", line(5, lambda words: "\n" + words)),
    Case("quote", "table", line(5, lambda words: words.replace("m0.mrc", "'m0.mrc"))),
    Case("second-column", "table", edited(lambda t: t.replace("_rlnDefocusV #5", "_rlnDefocusU #5"))),
    Case("second-block", "table", edited(lambda text: text + "\ndata_particles\n\n_rlnVoltage 300\n")),
    Case("label-outside", "table", edited(lambda text: "_rlnVoltage 300\n" + text)),
    Case("no-rows", "table", edited(lambda text: text[: text.index("000001@a")])),
    Case("no-header", "table", edited(lambda text: text[text.index("000001@a") :])),
    Case("empty-file", "table", edited(lambda text: "")),
    Case("absent", "file", after=lambda f: (f / "p.star").unlink()),
    Case("folder", "file", after=lambda f: ((f / "p.star").unlink(), (f / "p.star").mkdir())),
    Case("mrc-called-star", "file", after=lambda f: (f / "a.mrcs").replace(f / "p.star")),
    Case("gzip-called-star", "file", after=lambda f: (f / "p.star").write_bytes(gzip.compress(b"data_\n"))),
    Case("pointer-called-star", "file", edited(lambda text: LFS)),
    Case("no-image-names", "column", without("rlnImageName")),
    Case("psi-of-words", "value", cell("rlnAnglePsi", 7, "north"), row=7),
    Case("origin-nan", "value", cell("rlnOriginXAngst", 8, "nan"), row=8),
    Case("defocus-inf", "value", cell("rlnDefocusU", 9, "inf"), row=9),
    Case("class-and-a-half", "value", cell("rlnClassNumber", 10, 1.5), row=10),
    Case("third-half", "value", cell("rlnRandomSubset", 11, 3), row=11),
    Case("tilt-of-words", "value", every("rlnAngleTilt", "none"), row=1),
    Case("index-0", "image-name", cell("rlnImageName", 12, "000000@a.mrcs"), row=12),
    Case("index-of-words", "image-name", cell("rlnImageName", 12, "first@a.mrcs"), row=12),
    Case("no-stack-name", "image-name", cell("rlnImageName", 12, "000012@"), row=12),
    Case("past-the-end", "image-index", cell("rlnImageName", 13, "000099@a.mrcs"), row=13),
    Case("no-index", "image-index", cell("rlnImageName", 13, "a.mrcs"), row=13),
    Case("stack-absent", "stack-missing", after=lambda f: (f / "b.mrcs").unlink()),
    Case("stack-truncated", "stack-truncated", after=lambda f: _cut(f / "b.mrcs", 3000)),
    Case("stack-of-text", "stack", after=lambda f: (f / "b.mrcs").write_text("no stack\n" * 300)),
    Case("stack-empty", "stack", after=lambda f: (f / "b.mrcs").write_bytes(b"")),
    Case("stack-pointer", "stack", after=lambda f: (f / "b.mrcs").write_text(LFS)),
    Case("stack-complex", "stack", header(at12=struct.pack("<i", 4))),
    Case("stack-oblong", "stack", lambda m: m.stacks.update({"a.mrcs": m.stacks["a.mrcs"][:, :30]})),
    Case("volume", "volume", after=lambda f: mrc(f / "m.mrc", images(BOX), space_group=1), told={"inputs": ("m.mrc",)}),
    Case("other-box", "box", group("rlnImageSize", 64)),
    Case("two-boxes", "box", lambda m: (m.stacks.update({"b.mrcs": images(24, 3, 40)}), m.optics.pop("rlnImageSize"))),
    Case("odd-box", "box", lambda m: (all_pixels(lambda d: d[:, :-1, :-1])(m), group("rlnImageSize", 31)(m)),
         refused=False),
    Case("unknown-group", "optics", cell("rlnOpticsGroup", 14, 9), row=14),
    Case("group-twice", "optics", lambda m: [values.append(values[0]) for values in m.optics.values()]),
    Case("no-groups", "optics", lambda m: (two_groups(m), m.columns.pop("rlnOpticsGroup"))),
    Case("pixel-size-0", "pixel-size", group("rlnImagePixelSize", 0)),
    Case("no-pixel-size", "pixel-size", header(at40=struct.pack("<f", BOX)), told={"inputs": ("a.mrcs",)}),
    Case("scaled-down", "pixel-size", group("rlnImagePixelSize", 2 * PIXEL), refused=False),
    Case("voltage-0", "ctf", group("rlnVoltage", 0)),
    Case("contrast-7", "ctf", group("rlnAmplitudeContrast", 7)),
    Case("voltage-in-volts", "ctf", group("rlnVoltage", 3e5)),
    Case("defocus-in-um", "ctf", lambda m: [cell(f"rlnDefocus{w}", 9, 1.5)(m) for w in "U"], row=9),
    Case("growing-bfactor", "ctf", lambda m: (every("rlnCtfBfactor", 0)(m), cell("rlnCtfBfactor", 17, -24000)(m)),
         row=17),
    Case("psi-1e18", "pose", cell("rlnAnglePsi", 18, 1e18), row=18),
    Case("psi-unknown", "pose", cell("rlnAnglePsi", 18, -999.0), row=18),
    Case("origin-beyond", "pose", cell("rlnOriginYAngst", 19, 5e4), row=19),
    Case("one-half", "halves", every("rlnRandomSubset", 1), refused=False),
    Case("twice", "duplicate", cell("rlnImageName", 15, "000003@a.mrcs"), refused=False, row=15),
    Case("pixel-nan", "bad-image", pixels("a.mrcs", lambda d: d[5].__setitem__((3, 3), np.nan)), row=6),
    Case("pixel-inf", "bad-image", pixels("b.mrcs", lambda d: d[5].__setitem__((3, 3), np.inf)), row=COUNT // 2 + 6),
    Case("constant", "bad-image", pixels("a.mrcs", lambda d: d[6].fill(2.0)), row=7),
    Case("hot", "hot-pixels", pixels("a.mrcs", lambda d: d[7].__setitem__((9, 9), 1e4)), refused=False, row=8),
    Case("loud", "outlier", pixels("a.mrcs", lambda d: np.multiply(d[8], 30, out=d[8])), refused=False, row=9),
    Case("high", "outlier", pixels("a.mrcs", lambda d: np.add(d[9], 20, out=d[9])), refused=False, row=10),
    Case("ramps", "not-normalised", all_pixels(ramp), refused=False),
    Case("raw-counts", "not-normalised", all_pixels(lambda d: 12 * d + 300), refused=False),
    Case("dark", "contrast", all_pixels(lambda d: -d), refused=False),
    Case("no-map-id", "header", header(at208=b"\0\0\0\0"), refused=False),
    Case("no-stamp", "header", header(at212=b"\0\0\0\0"), refused=False),
    Case("windows", "line-ends", edited(lambda text: text.replace("\n", "\r\n")), refused=False),
    Case("no-voltage", "relion", without("rlnVoltage"), refused=False),
    Case("called-mrc", "relion", lambda m: _called_mrc(m), refused=False),
    Case("reference-box", "reference", after=lambda f: references(f, images(2, 9, 40)), told=WITH_REFERENCES),
    Case("reference-scale", "reference", after=lambda f: references(f, pixel=3.0), told=WITH_REFERENCES),
    Case("reference-flat", "reference", after=lambda f: references(f, 0 * images(2)), told=WITH_REFERENCES),
    Case("reference-absent", "file", told=WITH_REFERENCES),
    Case("edge-beyond", "graph", after=lambda f: graph(f, j=np.arange(2, COUNT + 1)), told=WITH_GRAPH, row=COUNT - 1),
    Case("edge-to-itself", "graph", after=lambda f: graph(f, j=np.arange(COUNT - 1)), told=WITH_GRAPH, row=1),
    Case("distance-nan", "graph", after=lambda f: graph(f, distance=np.full(COUNT - 1, np.nan)), told=WITH_GRAPH),
    Case("other-particles", "graph", after=lambda f: graph(f, name=np.array(["x"] * COUNT)), told=WITH_GRAPH),
    Case("no-graph", "graph", after=lambda f: np.savez(f / "graph.npz", x=1), told=WITH_GRAPH),
    Case("cs-nan", "cs", after=lambda f: cs(f, lambda d: d["ctf/df1_A"].__setitem__(3, np.nan)), told=CS, row=4),
    Case("cs-no-blobs", "cs", after=lambda f: cs(f, drop="blob/idx"), told=CS),
    Case("cs-other-box", "cs", after=lambda f: cs(f, lambda d: d["blob/shape"].fill(2 * BOX)), told=CS),
    Case("joined-with-a-stack", "join", after=lambda f: mrc(f / "c.mrcs", images(8, 5)),
         told={"inputs": ("p.star", "c.mrcs")}),
    Case("cs-text", "cs", after=lambda f: (f / "p.cs").write_text("no .cs file"), told=CS),
]  # fmt: skip


def _cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def _called_mrc(made: Made) -> None:
    made.stacks = {name.removesuffix("s"): data for name, data in made.stacks.items()}
    made.columns["rlnImageName"] = [name.removesuffix("s") for name in made.columns["rlnImageName"]]


if __name__ == "__main__":
    for case in (*CLEAN, *FAULTS):
        case.make(Path(sys.argv[1]) / case.name)
