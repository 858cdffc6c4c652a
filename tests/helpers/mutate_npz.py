"""Damaged .cs files, graph.npz and tables of edges, by the thousand, from a seed; each with what it may be read as.

Needs numpy and the standard library only, so that scripts can use it as well:

    for mutant in mutants("cs", seed=1, count=1000):
        mutant.name, mutant.ending, mutant.data, mutant.rows

``rows`` is how many particles or edges a program may say it read, if it reads the file at all: any other number has
lost some, or made them up.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

CS_ROWS, NODES, EDGES = 12, 12, 30
BOX, PIXEL, STACK = 8, 2.0, "p.mrcs"
ODD_VALUES = (np.nan, np.inf, -np.inf, -1, 0, 1e38, -1e38, 2**31, 2**63, 1e300, 0.5, -999)
ODD_TYPES = ("<f2", "<f4", "<f8", ">f4", ">u4", "<i1", "<i2", "<i4", "<i8", "<u1", "<u8", "?", "S5", "<U5", "<c8",
             "<M8[s]", "V3", "S0", "<f16")  # fmt: skip
ODD_SHAPES = ((0,), (1,), (2,), (3,), (4,), (2, 2), (1, 1), (5000,))
ODD_COUNTS = (0, 1, 7, 10**6, 10**12, 2**62, 10**30, -1)
ODD_CELLS = (
    "", "nan", "inf", "-1", "0", "1e400", "1e308", "0x10", "1,5", '"', "'", "\0", "#", "x" * 5000, "\u0661", "None",
    "999999999999999999999", "-0.0", " ", "\t", "data_", "loop_", "_x", "\udcff", "1e18", "=1+1",
)  # fmt: skip
ODD_LINES = ("", "#", "1", "data_other", "loop_", "_more", "\0\0", "'open", "a b c d e f g h", "1\u20282\u20283")
_OF_ARRAYS = (
    "drop", "rename", "type", "type", "shape", "shape", "value", "value", "value", "objects", "count", "bytes", "bytes",
    "bytes", "bytes", "none",
)  # fmt: skip
_OF_TEXT = (
    "cell", "cell", "cell", "line", "label", "short", "long", "separator", "endings", "bytes", "bytes", "bytes", "none",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A damaged file: what was done to it, how it is called, its bytes, and the rows it may be read as."""

    name: str
    ending: str
    data: bytes
    rows: int


def cs_table(n: int = CS_ROWS) -> np.ndarray:
    """Return a table as cryoSPARC writes it, with one field of every kind that is read."""
    fields = [
        ("uid", "<u8"), ("blob/path", "S12"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
        ("blob/sign", "<f4"), ("ctf/type", "S9"), ("ctf/exp_group_id", "<u4"), ("ctf/accel_kv", "<f4"),
        ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"),
        ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"), ("ctf/scale", "<f4"), ("ctf/bfactor", "<f4"),
        ("ctf/tilt_A", "<f4", (2,)), ("ctf/anisomag", "<f4", (4,)), ("alignments2D/pose", "<f4"),
        ("alignments2D/shift", "<f4", (2,)), ("alignments2D/psize_A", "<f4"), ("alignments2D/class", "<u4"),
        ("alignments2D/split", "<u4"), ("alignments3D/pose", "<f4", (3,)), ("alignments3D/shift", "<f4", (2,)),
        ("alignments3D/psize_A", "<f4"), ("alignments3D/class", "<u4"), ("alignments3D/split", "<u4"),
        ("alignments3D/class_posterior", "<f4"), ("location/micrograph_path", "S12"),
        ("location/micrograph_shape", "<u4", (2,)), ("location/micrograph_psize_A", "<f4"),
        ("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4"), ("filament/filament_uid", "<u8"),
        ("filament/position_A", "<f4"),
    ]  # fmt: skip
    r, d = np.random.default_rng(0), np.zeros(n, fields)
    d["uid"], d["blob/path"], d["blob/idx"] = np.arange(n, dtype="u8") + 2**63, STACK.encode(), np.arange(n)
    d["blob/shape"], d["blob/psize_A"], d["blob/sign"] = BOX, PIXEL, 1
    d["ctf/type"], d["ctf/accel_kv"], d["ctf/cs_mm"], d["ctf/amp_contrast"] = b"imported", 300, 2.7, 0.1
    d["ctf/df1_A"], d["ctf/df2_A"], d["ctf/scale"], d["ctf/bfactor"] = 10000, 9000, 1, 5
    d["ctf/tilt_A"], d["ctf/anisomag"] = 300, 0.01
    for name in ("alignments2D", "alignments3D"):
        d[f"{name}/pose"] = r.normal(0, 1, d[f"{name}/pose"].shape)
        d[f"{name}/shift"], d[f"{name}/psize_A"] = r.normal(0, 1, (n, 2)), 2 * PIXEL
        d[f"{name}/split"] = np.arange(n) // 3 % 2
    d["alignments3D/class_posterior"] = 1
    d["location/micrograph_path"], d["location/micrograph_shape"] = b">m1.mrc", (400, 600)
    d["location/micrograph_psize_A"] = PIXEL
    d["location/center_x_frac"], d["location/center_y_frac"] = r.random(n), r.random(n)
    d["filament/filament_uid"], d["filament/position_A"] = 2**63 + np.arange(n, dtype="u8") // 3, np.arange(n) % 3
    return d


def npy_bytes(array: np.ndarray, *, pickles: bool = False) -> bytes:
    """Return an array as a .npy file."""
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), allow_pickle=pickles)
    return out.getvalue()


def csdat_bytes(table: np.ndarray) -> bytes:
    """Return a table as a CSDAT file, columns packed as literals of LZ4."""
    heap, places = bytearray(b"\0"), {b"": 0}
    dtype, body = [], bytearray()
    for name in table.dtype.names:
        column = np.ascontiguousarray(table[name])
        base, shape = (column.dtype, column.shape[1:])
        if base.kind == "S":
            for text in dict.fromkeys(column.ravel().tolist()):
                if text not in places:
                    places[text] = len(heap)
                    heap += text + b"\0"
            column = np.array([places[text] for text in column.ravel().tolist()], "<u8")
            base, shape = np.dtype(object), ()
        dtype.append([name, base.str, *([list(shape)] if shape else [])])
        raw = column.tobytes() if name == "uid" else lz4_literals(column.tobytes())
        body += struct.pack("<I", len(raw)) + raw
    packed = [name for name in table.dtype.names if name != "uid"]
    head = json.dumps(
        {"length": len(table), "dtype": dtype, "compression": "lz4", "compressed_fields": packed}
    ).encode()
    return b"\x95CSDAT" + struct.pack("<I", len(head)) + head + bytes(body if len(table) else b"") + bytes(heap)


def lz4_literals(data: bytes) -> bytes:
    """Return an LZ4 block that repeats nothing."""
    length = len(data)
    if length < 15:
        return bytes([length << 4]) + data
    more = length - 15
    return b"\xf0" + b"\xff" * (more // 255) + bytes([more % 255]) + data


def graph_arrays() -> dict[str, np.ndarray]:
    """Return the arrays of a graph.npz of a ring and some chords."""
    r = np.random.default_rng(1)
    i = np.arange(EDGES) % NODES
    j = (i + 1 + np.arange(EDGES) // NODES) % NODES
    psi = r.uniform(-180, 180, NODES)
    return {
        "format_version": np.asarray(1), "n": np.asarray(NODES), "i": i.astype(np.int64), "j": j.astype(np.int64),
        "distance": r.random(EDGES).astype(np.float32), "angle_deg": (psi[j] - psi[i]).astype(np.float32),
        "shift_px": r.normal(0, 1, (EDGES, 2)).astype(np.float32), "mirror": np.zeros(EDGES, bool),
        "weight": r.random(EDGES).astype(np.float32), "name": np.array([f"{k + 1:06d}@{STACK}" for k in range(NODES)]),
        "box": np.asarray(BOX), "pixel_size_angstrom": np.asarray(PIXEL), "metric": np.asarray("ncc"),
        "convention": np.asarray("pose brings j onto i"),
    }  # fmt: skip


def npz_bytes(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return .npy files as an .npz file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), data, method)
    return out.getvalue()


def edge_text(kind: str) -> str:
    """Return a table of edges: csv, tsv, spaces (no header) or star."""
    g = graph_arrays()
    rows = [[str(a + 1), str(b + 1), f"{t:.4f}", f"{w:.4f}"] for a, b, t, w in
            zip(g["i"], g["j"], g["angle_deg"], g["weight"], strict=True)]  # fmt: skip
    names = ["i", "j", "angle_deg", "weight"]
    if kind == "star":
        head = "data_edges\n\nloop_\n" + "".join(f"_{name} #{k}\n" for k, name in enumerate(names, 1))
        return head + "".join(" ".join(row) + "\n" for row in rows) + "\n"
    separator = {"csv": ",", "tsv": "\t", "txt": " "}[kind]
    return "".join(separator.join(row) + "\n" for row in ([] if kind == "txt" else [names]) + rows)


def mutants(kind: str, *, seed: int, count: int) -> Iterator[Mutant]:
    """Yield damaged files of a kind: cs (both forms), graph or edges."""
    make: Callable[[np.random.Generator], Mutant] = {"cs": _cs, "graph": _graph, "edges": _edges}[kind]
    for number in range(count):
        yield make(np.random.default_rng([seed, number]))


def _pick(r: np.random.Generator, things):
    return things[int(r.integers(len(things)))]


def _damaged_bytes(r: np.random.Generator, data: bytes, head: int) -> tuple[str, bytes]:
    """Cut, prolong, overwrite or flip bits, half of the time within the first ``head`` bytes."""
    where = min(head, len(data)) if r.random() < 0.5 else len(data)
    what = _pick(r, ("cut", "prolong", "flip", "flip", "flip", "zeros", "noise", "drop"))
    at = int(r.integers(where))
    changed = bytearray(data)
    if what == "cut":
        return f"cut at {at}", data[:at]
    if what == "prolong":
        return "prolonged", data + r.bytes(int(r.integers(1, 300)))
    if what == "drop":
        return f"a byte dropped at {at}", data[:at] + data[at + 1 :]
    if what == "flip":
        for _ in range(int(r.integers(1, 9))):
            changed[int(r.integers(where))] ^= 1 << int(r.integers(8))
        return "bits flipped", bytes(changed)
    length = int(r.integers(1, 40))
    changed[at : at + length] = bytes(length) if what == "zeros" else r.bytes(length)
    return f"{what} at {at}", bytes(changed)


def _cast(column: np.ndarray, kind: str) -> np.ndarray:
    with np.errstate(all="ignore"):
        try:
            return column.astype(kind)
        except (ValueError, TypeError):
            return np.zeros(column.shape, kind)


def _odd_value(r: np.random.Generator, column: np.ndarray) -> np.ndarray:
    """Return the column with an odd value in some rows."""
    column, value = column.copy(), _pick(r, ODD_VALUES)
    if not column.size:
        return column
    rows = r.random(column.shape[0] if column.ndim else 1) < _pick(r, (0.05, 0.5, 1.1))
    rows[int(r.integers(len(rows)))] = True
    if column.dtype.kind in "SU":
        text = _pick(r, ("", "\x01", "a\nb", "x" * 12, "'a \"b", "\x7f", "a@b", "../..", "/dev/zero"))
        odd = text if column.dtype.kind == "U" else text.encode()
    else:
        with np.errstate(all="ignore"):
            odd = np.array(value, np.float64).astype(column.dtype)
    if column.ndim == 0:
        return np.asarray(odd, column.dtype)
    column[rows] = odd
    return column


def _odd_shape(r: np.random.Generator, column: np.ndarray) -> np.ndarray:
    """Return the column with other axes behind the first."""
    shape = _pick(r, ODD_SHAPES) if column.ndim else (1, *_pick(r, ODD_SHAPES))
    return np.resize(column, (len(column) if column.ndim else 1, *shape)) if column.size else column


def _cs(r: np.random.Generator) -> Mutant:
    table, pickles, rows = cs_table(), False, CS_ROWS
    columns = {name: table[name] for name in table.dtype.names}
    what, name = _pick(r, (*_OF_ARRAYS, "nested", "axes", "rows")), _pick(r, tuple(columns))
    if what == "drop":
        del columns[name]
    elif what == "rename":
        columns = {(f"{k[:-1]}X" if k == name else k): v for k, v in columns.items()}
    elif what == "type":
        columns[name] = _cast(columns[name], _pick(r, ODD_TYPES))
    elif what == "shape":
        columns[name] = _odd_shape(r, columns[name])
    elif what == "value":
        columns[name] = _odd_value(r, columns[name])
    elif what == "objects":
        columns[name], pickles = columns[name].astype(object) if columns[name].ndim == 1 else columns[name], True
    elif what == "nested":
        columns[name] = np.zeros(CS_ROWS, [("a", "<f4"), ("b", "S3")])
    elif what == "rows":
        rows = _pick(r, (0, 1, CS_ROWS - 1))
        columns = {k: v[:rows] for k, v in columns.items()}
    if r.random() < 0.3 and what in ("drop", "rename", "value", "rows", "bytes", "none", "shape"):
        form, data = "csdat", csdat_bytes(_structured(columns))
    else:
        whole = _structured(columns)
        if what == "axes":
            whole = _pick(r, (whole.reshape(3, -1), whole[0], whole.reshape(1, -1), whole.view(np.uint8)))
        form, data = "npy", npy_bytes(whole, pickles=pickles)
    if what == "count":
        number = _pick(r, ODD_COUNTS)
        data = data.replace(f"'shape': ({CS_ROWS},)".encode(), f"'shape': ({number},)".encode())
        data = _with_header_length(data)
    elif what == "bytes":
        what, data = _damaged_bytes(r, data, 700)
    elif r.random() < 0.05:
        what, data = "a pickle", pickle.dumps(columns)
    return Mutant(f"{form}: {what} {name}", ".cs", data, rows)


def _structured(columns: dict[str, np.ndarray]) -> np.ndarray:
    fields = [(name, v.dtype.descr if v.dtype.names else v.dtype.str, v.shape[1:]) for name, v in columns.items()]
    table = np.zeros(len(next(iter(columns.values()))), fields)
    for name, values in columns.items():
        table[name] = values
    return table


def _with_header_length(data: bytes) -> bytes:
    """Make the length of a .npy header right again after its text was changed."""
    end = data.index(b"\n") + 1
    return data[:8] + struct.pack("<H", end - 10) + data[10:]


def _graph(r: np.random.Generator) -> Mutant:
    arrays, rows = graph_arrays(), EDGES
    what, name = _pick(r, (*_OF_ARRAYS, "twice", "bomb", "fewer", "member")), _pick(r, tuple(arrays))
    if what == "drop":
        del arrays[name]
    elif what == "rename":
        arrays = {(f"{k}_" if k == name else k): v for k, v in arrays.items()}
    elif what == "type":
        arrays[name] = _cast(arrays[name], _pick(r, ODD_TYPES))
    elif what == "shape":
        arrays[name] = _odd_shape(r, arrays[name])
    elif what == "value":
        arrays[name] = _odd_value(r, arrays[name])
    elif what == "fewer":
        rows = _pick(r, (0, 1, EDGES - 1))
        arrays = {k: v[:rows] if v.ndim and len(v) == EDGES else v for k, v in arrays.items()}
    members = {}
    for key, array in arrays.items():
        objects = what == "objects" and key == name
        members[key] = npy_bytes(array.astype(object) if objects else array, pickles=objects)
    if what == "count":
        number, old = _pick(r, ODD_COUNTS), f"({EDGES},)".encode()
        if old in members[name]:
            members[name] = _with_header_length(members[name].replace(old, f"({number},)".encode(), 1))
    elif what == "bomb":
        members[name] = npy_bytes(np.zeros(_pick(r, (10**5, 10**7)), np.int64))
    elif what == "member":
        what, members[name] = _damaged_bytes(r, members[name], 100)
        what = f"member: {what}"
    method = _pick(r, (*[zipfile.ZIP_STORED] * 5, *[zipfile.ZIP_DEFLATED] * 3, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    data = npz_bytes(members, zipfile.ZIP_DEFLATED if what == "bomb" else method)
    if what == "twice":
        data = npz_bytes({**members, f"{name}2": members[name]}, zipfile.ZIP_STORED)
        data = data.replace(f"{name}2.npy".encode(), f"{name}.npy\0".encode()) if r.random() < 0.5 else data
    elif what == "bytes":
        what, data = _damaged_bytes(r, data, 200)
    return Mutant(f"graph: {what} {name} {method}", ".npz", data, rows)


def _edges(r: np.random.Generator) -> Mutant:
    kind = _pick(r, ("csv", "tsv", "txt", "star"))
    text = edge_text(kind)
    lines = text.split("\n")
    first = len(lines) - len([line for line in lines if line[:1].isdigit()]) - text.endswith("\n\n") - 1
    at = int(r.integers(first, first + EDGES))
    separator = {"csv": ",", "tsv": "\t"}.get(kind, " ")
    what = _pick(r, _OF_TEXT)
    if what == "cell":
        cells = lines[at].split(separator)
        cells[int(r.integers(len(cells)))] = _pick(r, ODD_CELLS)
        lines[at] = separator.join(cells)
    elif what == "line":
        lines.insert(at, _pick(r, ODD_LINES))
    elif what == "label":
        where = int(r.integers(max(first, 1)))
        line = lines[where]
        lines[where] = _pick(r, (line.upper(), line.replace("j", "i"), line.replace("angle", "x"), "", "#"))
    elif what == "short":
        lines[at] = separator.join(lines[at].split(separator)[:-1])
    elif what == "long":
        lines[at] += f"{separator}7"
    elif what == "separator":
        lines[at] = lines[at].replace(separator, _pick(r, (";", ",", "\t", "  ", "|")))
    ending = _pick(r, ("\r\n", "\r", "\n")) if what == "endings" else "\n"
    data = ending.join(lines).encode("utf-8", "surrogateescape")
    if what == "bytes":
        what, data = _damaged_bytes(r, data, 60)
    return Mutant(f"{kind}: {what}", f".{kind}", data, _rows_of_text(data, kind))


def _rows_of_text(data: bytes, kind: str) -> int:
    """Count the lines that hold edges: neither blank nor a comment, nor a header (a STAR file's keywords)."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    said = [line.strip() for line in lines if line.strip(" \t\f\v") and not line.lstrip().startswith("#")]
    if kind == "star":
        keywords = ("data_", "loop_", "_")
        return len([line for line in said if len(line.split()) > 2 or not line.startswith(keywords)])
    cells = said[0].replace(",", " ").replace("\t", " ").replace(";", " ").split() if said else []
    header = bool(cells) and not any(_number(cell) for cell in cells)
    return len(said) - header


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
