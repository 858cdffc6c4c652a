"""Whatever particles come as: other formats, several optics groups, odd names and columns; and bounded memory."""

from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from helpers.align import (
    FEI,
    PhantomSet,
    align,
    angle_difference,
    correlation,
    numbers,
    optics,
    phantom_set,
    read_mrcs,
    results,
    rms,
    star,
    table,
    write_mrcs,
)

pytestmark = pytest.mark.usefixtures("no_report")

BASIC = ("particles.star", "--reference", "ref.mrcs", "-o", "out")
POSE = ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst")


@pytest.fixture(scope="module")
def made() -> PhantomSet:
    """100 particles of 48 px at 4 A with CTF."""
    return phantom_set(100, 48, 4.0, snr=0.5, seed=21, ctf=True)


def warnings_of(folder: Path) -> str:
    """All warnings of a run as one text."""
    return " | ".join(json.loads((folder / "out/run.json").read_text())["warnings"])


def same_poses(one: Path, two: Path, psi: float = 0.01, shift: float = 0.01) -> bool:
    """Tell whether two tables hold the same poses but for rounding."""
    a, b = numbers(one, *POSE), numbers(two, *POSE)
    return (
        np.abs(angle_difference(a[0], b[0])).max() < psi
        and np.abs(a[1] - b[1]).max() < shift
        and np.abs(a[2] - b[2]).max() < shift
    )


@pytest.fixture
def plain(made, tmp_path) -> Path:
    """A folder with the particles, aligned into ``plain``."""
    made.write(tmp_path)
    align(tmp_path, *BASIC[:3], "-o", "plain", "--no-write-stack")
    assert made.errors(tmp_path / "plain/particles.star")[0] < 1.5
    return tmp_path


# ---- pixels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_packed_stacks(plain, ending, pack):
    stack = plain / "particles.mrcs"
    (plain / f"particles.mrcs{ending}").write_bytes(pack(stack.read_bytes()))
    stack.unlink()
    text = (plain / "particles.star").read_text().replace("particles.mrcs", f"particles.mrcs{ending}")
    (plain / "particles.star").write_text(text)
    align(plain, *BASIC)
    labels = [*POSE, "cryoalignScore"]
    for a, b in zip(
        numbers(plain / "out/particles.star", *labels), numbers(plain / "plain/particles.star", *labels), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert not (plain / "out/.cryoalign").exists()


@pytest.mark.parametrize(
    ("kind", "gain", "level"),
    [(np.float16, 1, 0), (np.int16, 100, 0), (np.uint16, 30, 1000), (np.int8, 20, 0), (">f4", 1, 0)],
)
def test_modes_and_byte_orders(plain, made, kind, gain, level):
    scaled = gain * made.images + level
    if np.dtype(kind).kind in "iu":
        limits = np.iinfo(kind)
        scaled = np.clip(np.rint(scaled), limits.min, limits.max)
    write_mrcs(plain / "particles.mrcs", scaled.astype(kind), 4.0)
    align(plain, *BASIC)
    # Rounding adds noise of its own.
    assert same_poses(plain / "out/particles.star", plain / "plain/particles.star", psi=0.6, shift=0.6)
    aligned = read_mrcs(plain / "out/aligned.mrcs")
    assert aligned.dtype == np.float32 and abs(aligned.mean() / gain - level / gain) < 0.2


@pytest.mark.parametrize("lie", ["no map id", "volume", "voxel size 0", "extended header"])
def test_headers_that_lie(plain, lie):
    path = plain / "particles.mrcs"
    raw = bytearray(path.read_bytes())
    if lie == "no map id":
        raw[208:216] = bytes(8)
    elif lie == "volume":
        raw[88:92] = (1).to_bytes(4, "little")
    elif lie == "voxel size 0":
        raw[40:52] = bytes(12)
    else:
        raw[92:96] = (4096).to_bytes(4, "little")
        raw[1024:1024] = bytes(range(256)) * 16
    path.write_bytes(raw)
    align(plain, *BASIC)
    assert (
        numbers(plain / "out/particles.star", *POSE)[0].tolist()
        == numbers(plain / "plain/particles.star", *POSE)[0].tolist()
    )


def test_a_bare_stack_with_a_pixel_size(plain):
    with mrcfile.open(plain / "particles.mrcs", "r+") as mrc:
        mrc.voxel_size = 1.0
    align(plain, "particles.mrcs", *BASIC[1:], "--angpix", 4.0)
    align(plain, *BASIC[:3], "-o", "no_ctf", "--no-ctf")
    assert same_poses(plain / "out/particles.star", plain / "no_ctf/particles.star")
    groups = table(plain / "out/particles.star", "optics")
    assert float(groups["rlnImagePixelSize"][0]) == 4 and groups["rlnImageSize"][0] == "48"
    said = warnings_of(plain)
    assert "rlnVoltage" in said and "CTF" in said


# ---- tables --------------------------------------------------------------------------------------------------------


def test_cryosparc_particles(plain, made):
    n = len(made.images)
    kinds = [
        ("uid", "<u8"), ("blob/path", "S64"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)), ("blob/psize_A", "<f4"),
        ("blob/sign", "<f4"), ("ctf/accel_kv", "<f4"), ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"),
        ("ctf/df1_A", "<f4"), ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"),
        ("alignments2D/pose", "<f4"), ("alignments2D/shift", "<f4", (2,)), ("alignments2D/psize_A", "<f4"),
        ("alignments2D/class", "<u4"),
    ]  # fmt: skip
    rows = np.zeros(n, kinds)
    rows["uid"], rows["blob/path"], rows["blob/idx"] = np.arange(n) + 10**18, b">particles.mrcs", np.arange(n)
    rows["blob/shape"], rows["blob/psize_A"], rows["blob/sign"] = 48, 4.0, 1
    rows["ctf/accel_kv"], rows["ctf/cs_mm"], rows["ctf/amp_contrast"] = FEI.values()
    rows["ctf/df1_A"], rows["ctf/df2_A"] = made.ctf.defocus_u_angstrom, made.ctf.defocus_v_angstrom
    rows["ctf/df_angle_rad"] = np.deg2rad(made.ctf.defocus_angle_deg)
    rows["alignments2D/pose"] = np.deg2rad(made.poses.psi)
    # Shifts in pixels of an alignment at twice the pixel size.
    rows["alignments2D/shift"] = np.stack([made.poses.dx, made.poses.dy], axis=1) / 2
    rows["alignments2D/psize_A"], rows["alignments2D/class"] = 8.0, 3
    with (plain / "particles.cs").open("wb") as handle:
        np.save(handle, rows)
    # Shifts are searched round those of the file; at 0 px they are taken as they are.
    align(plain, "particles.cs", *BASIC[1:], "--local", 1, "--max-shift-px", 0)
    psi_rms, shift_rms = made.errors(plain / "out/particles.star")
    assert psi_rms < 1.0 and shift_rms < 0.6
    particles = table(plain / "out/particles.star")
    assert set(particles["cryoalignClassNumberInput"]) == {"4"} and set(particles["rlnClassNumber"]) == {"1"}
    assert particles["cryosparcUid"][1] == str(10**18 + 1)
    assert particles["rlnImageName"][0] == "000001@particles.mrcs"
    align(plain, "particles.cs", *BASIC[1:], "--overwrite", "--max-shift-px", 3)
    assert rms(angle_difference(numbers(plain / "out/particles.star", *POSE)[0], made.poses.psi)) < 1.5


def test_relion_30_becomes_31(plain, made):
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(100)]
    columns = {
        "rlnImageName": names, **FEI, "rlnDetectorPixelSize": 10,
        "rlnMagnification": 25000, **made.columns, "rlnOriginX": np.round(made.poses.dx, 6),
        "rlnOriginY": np.round(made.poses.dy, 6),
    }  # fmt: skip
    star(plain / "old.star", **{"": columns})
    align(plain, "old.star", *BASIC[1:], "--max-shift-px", 1.5)
    assert made.errors(plain / "out/particles.star")[0] < 1.5
    particles = table(plain / "out/particles.star")
    assert "rlnOriginX" not in particles and "RELION 3.0" in warnings_of(plain)
    assert float(table(plain / "out/particles.star", "optics")["rlnImagePixelSize"][0]) == 4


def test_input_classes_move_aside_and_nothing_else_is_lost(plain, made):
    rng = np.random.default_rng(1)
    extra = {
        "rlnClassNumber": rng.integers(1, 9, 100), "rlnAngleRot": 12.5, "rlnAngleTilt": 30.25,
        "rlnCoordinateX": "007.50",
        "myNote": [f"'note {i} of mine'" for i in range(100)], "otherEmpty": '""', "rlnMaxValueProbDistribution": 0.5,
    }  # fmt: skip
    made.write(plain, **extra)
    before = table(plain / "particles.star")
    text = (plain / "particles.star").read_text() + "\ndata_mine\n\n_mineAnswer 42\n"
    (plain / "particles.star").write_text(text)
    align(plain, *BASIC)
    after = table(plain / "out/particles.star")
    assert after["cryoalignClassNumberInput"].tolist() == before["rlnClassNumber"].tolist()
    assert set(after["rlnClassNumber"]) == {"1"}
    for label in set(before) - {"rlnClassNumber", "rlnMaxValueProbDistribution"}:
        assert after[label].tolist() == before[label].tolist(), label
    assert after["rlnCoordinateX"][3] == "007.50" and after["myNote"][7] == "note 7 of mine"
    assert "rlnAngleTilt" in warnings_of(plain)
    assert "_mineAnswer" in (plain / "out/particles.star").read_text()


def test_names_with_spaces(plain, tmp_path):
    folder = tmp_path / "my particles"
    folder.mkdir()
    (plain / "particles.mrcs").rename(folder / "stack one.mrcs")
    text = (plain / "particles.star").read_text()
    for i in range(1, 101):
        quote = "'" if i % 2 else '"'
        text = text.replace(f"{i:06d}@particles.mrcs", f"{quote}{i:06d}@my particles/stack one.mrcs{quote}")
    (plain / "particles.star").write_text(text)
    align(plain, *BASIC[:3], "-o", "out put")
    after = table(plain / "out put/particles.star")
    assert after["rlnImageName"][4] == "000005@my particles/stack one.mrcs"
    assert table(plain / "out put/aligned.star")["rlnImageName"][4] == "000005@out put/aligned.mrcs"
    align(plain, "out put/aligned.star", *BASIC[1:], "--limit", 20)


def test_duplicates_and_any_order_are_legal(plain, made):
    order = np.concatenate([np.arange(99, -1, -3), [5, 5, 5], np.arange(0, 100, 2)])
    names = [f"{i + 1}@./particles.mrcs" for i in order]
    columns = {"rlnImageName": names, "rlnOpticsGroup": 1}
    columns |= {label: np.asarray(values)[order] for label, values in made.columns.items()}
    star(plain / "particles.star", optics=optics(48, 4.0), particles=columns)
    align(plain, *BASIC)
    after = table(plain / "out/particles.star")
    assert after["rlnImageName"].tolist() == names
    psi = after["rlnAnglePsi"].astype(float).to_numpy()
    assert rms(angle_difference(psi, made.poses.psi[order])) < 1.5
    fives = psi[order == 5]
    assert len(fives) >= 3 and np.ptp(fives) < 0.02
    assert len(read_mrcs(plain / "out/aligned.mrcs")) == len(order)


def test_optics_groups_need_not_count_from_one(plain, made):
    groups = {label: [value] * 2 for label, value in optics(48, 4.0).items()}
    groups |= {"rlnOpticsGroup": [7, 3], "rlnOpticsGroupName": ["late", "early"]}
    names = [f"{i + 1:06d}@particles.mrcs" for i in range(100)]
    member = np.where(np.arange(100) % 3 == 0, 7, 3)
    star(
        plain / "particles.star",
        optics=groups,
        particles={"rlnImageName": names, "rlnOpticsGroup": member, **made.columns},
    )
    align(plain, *BASIC)
    after = table(plain / "out/particles.star")
    assert after["rlnOpticsGroup"].tolist() == [str(m) for m in member]
    assert table(plain / "out/particles.star", "optics")["rlnOpticsGroup"].tolist() == ["7", "3"]
    assert made.errors(plain / "out/particles.star")[0] < 1.5


def test_several_inputs_are_joined(plain, made):
    text = (plain / "particles.star").read_text()
    (plain / "second.star").write_text(text)
    align(plain, "particles.star", "second.star", *BASIC[1:])
    after = table(plain / "out/particles.star")
    assert len(after) == 200 and after["rlnOpticsGroup"].tolist() == ["1"] * 100 + ["2"] * 100
    psi = after["rlnAnglePsi"].astype(float).to_numpy()
    assert np.abs(angle_difference(psi[:100], psi[100:])).max() < 0.05


def test_one_stack_for_each_micrograph_and_datadir(plain, made):
    folder = plain / "data/Micrographs"
    folder.mkdir(parents=True)
    names, micrographs = [], []
    for m in range(10):
        write_mrcs(folder / f"mic_{m}.mrcs", made.images[m::10], 4.0)
    for i in range(100):
        names.append(f"{i // 10 + 1:06d}@Micrographs/mic_{i % 10}.mrcs")
        micrographs.append(f"mic_{i % 10}.mrc")
    particles = {"rlnImageName": names, "rlnOpticsGroup": 1, "rlnMicrographName": micrographs, **made.columns}
    star(plain / "particles.star", optics=optics(48, 4.0), particles=particles)
    align(plain, *BASIC, "--datadir", "data")
    after = table(plain / "out/particles.star")
    assert after["rlnImageName"][11] == "000002@data/Micrographs/mic_1.mrcs"
    assert same_poses(plain / "out/particles.star", plain / "plain/particles.star")
    align(plain, *BASIC, "--datadir", "data", "--noise-group", "micrograph", "--overwrite")
    assert made.errors(plain / "out/particles.star")[0] < 1.8


# ---- several boxes and pixel sizes -----------------------------------------------------------------------------


def test_optics_groups_with_their_own_boxes_and_pixel_sizes(tmp_path):
    """Three microscopes look at one particle; the references fit the first."""
    sizes = [(64, 3.0), (48, 4.0), (56, 3.3)]
    sets = [phantom_set(90, box, pixel, snr=0.5, seed=30 + i, diameter=115.0) for i, (box, pixel) in enumerate(sizes)]
    for i, made in enumerate(sets):
        write_mrcs(tmp_path / f"stack{i}.mrcs", made.images, made.pixel)
    groups = {label: [value] * 3 for label, value in optics(0, 0).items()}
    groups |= {
        "rlnOpticsGroup": [1, 2, 5], "rlnOpticsGroupName": ["a", "b", "c"], "rlnImageSize": [b for b, _ in sizes],
        "rlnImagePixelSize": [p for _, p in sizes],
    }  # fmt: skip
    member = np.arange(270) % 3  # interleaved: every tile holds all three
    names = [f"{i // 3 + 1:06d}@stack{i % 3}.mrcs" for i in range(270)]
    star(
        tmp_path / "particles.star", optics=groups,
        particles={"rlnImageName": names, "rlnOpticsGroup": np.array([1, 2, 5])[member]},
    )  # fmt: skip
    write_mrcs(tmp_path / "ref.mrcs", sets[0].references, 3.0)
    align(tmp_path, *BASIC)
    psi, x, y = numbers(tmp_path / "out/particles.star", *POSE)
    aligned = table(tmp_path / "out/aligned.star")
    averages = read_mrcs(tmp_path / "out/averages.mrcs")
    assert averages.shape[1:] == (64, 64) and correlation(averages[0], sets[0].references[0], 24) > 0.97
    for i, made in enumerate(sets):
        mine = member == i
        assert rms(angle_difference(psi[mine], made.poses.psi)) < 2.0, i
        assert rms(np.hypot(x[mine] / made.pixel - made.poses.dx, y[mine] / made.pixel - made.poses.dy)) < 0.45, i
        mean_shift = np.hypot(
            np.mean(x[mine] / made.pixel - made.poses.dx), np.mean(y[mine] / made.pixel - made.poses.dy)
        )
        assert mean_shift < 0.12, i
        stacks = {name.split("@")[1] for name in aligned["rlnImageName"][mine]}
        assert len(stacks) == 1
        images = read_mrcs(tmp_path / stacks.pop())
        assert images.shape == (90, made.images.shape[1], made.images.shape[1])
        assert correlation(images.mean(axis=0), made.references[0], 20) > 0.95, i
    first = results(tmp_path / "out")
    align(tmp_path, *BASIC, "--overwrite", "-j", 2, "--block-size", 64)
    assert results(tmp_path / "out") == first


# ---- memory --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_memory_does_not_grow_with_the_images(tmp_path):
    """20,000 images of 128 px (1.3 GB): below 1 GB, and hardly more than 2,000 images take."""
    box, count = 128, 20_000
    made = phantom_set(500, box, 2.0, snr=0.1, seed=2)
    with (tmp_path / "particles.mrcs").open("wb") as handle:
        write_mrcs(tmp_path / "some.mrcs", made.images, 2.0)
        header = bytearray((tmp_path / "some.mrcs").read_bytes()[:1024])
        header[8:12] = count.to_bytes(4, "little")
        handle.write(header)
        for _ in range(count // 500):
            handle.write(made.images.tobytes())
    write_mrcs(tmp_path / "ref.mrcs", made.references, 2.0)
    peaks = []
    for limit in (2000, count):
        words = ["particles.mrcs", *BASIC[1:], "--limit", str(limit), "--overwrite", "-q", "-j", "2"]
        program = [sys.executable, "-m", "cryoalign.cli.main", "align", *words]
        subprocess.run(program, cwd=tmp_path, check=True, timeout=570)
        peaks.append(json.loads((tmp_path / "out/run.json").read_text())["peak_memory_bytes"])
    assert peaks[1] <= 1e9
    assert peaks[1] <= peaks[0] + 100e6  # the table of 20,000 rows
