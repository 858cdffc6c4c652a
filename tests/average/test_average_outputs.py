"""averages.star, both halves and frc.star: what they hold, and that empty classes leave no trace."""

from __future__ import annotations

from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import starfile

from cryoalign.averaging.frc import ClassFrc
from cryoalign.passes.average_files import class_scores, write_average_files
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory

BOX, PIXEL = 16, 2.5


def frc_of(shared: int, resolution: float = 12.5) -> ClassFrc:
    ring = np.arange(BOX // 2 + 1)
    return ClassFrc(1 - ring / 10, np.full(len(ring), 0.2), ring / 2, shared, resolution, 2 * resolution)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Write the files of four classes, the third of them empty."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).standard_normal((3, 4, BOX, BOX)).astype(np.float32)
    averages = SimpleNamespace(
        averages=images[0], halves=images[1:], counts=np.array([6, 3, 0, 1]), quality=np.array([0.9, 0.5, 0, 0.25]),
        frc=(frc_of(3), frc_of(BOX // 2, 999.0), None, None),
    )  # fmt: skip
    out = tmp_path / "out"
    with RunDirectory.begin(out, command="average", argv=["average"], parameters={}, reads=Reads()) as run:
        write_average_files(
            run, averages, class_numbers=[2, 5, 6, 9], pixel_size_angstrom=PIXEL,
            extra_columns={"cryoalignScoreMean": np.array([0.5, 0.25, 0, 0.125])},
        )  # fmt: skip
        run.commit(counts={})
    return out, images


def test_stacks_hold_the_classes_that_have_members(made):
    out, images = made
    for name, group in (("averages", 0), ("averages_half1", 1), ("averages_half2", 2)):
        with mrcfile.open(out / f"{name}.mrcs") as mrc:
            np.testing.assert_array_equal(mrc.data, images[group][[0, 1, 3]])
            assert mrc.voxel_size.x == pytest.approx(PIXEL) and mrc.header.ispg == 0


def test_averages_star(made):
    table = starfile.read(made[0] / "averages.star")
    assert table["rlnReferenceImage"].tolist() == [f"{i:06d}@out/averages.mrcs" for i in (1, 2, 3)]
    assert table["rlnClassNumber"].tolist() == [2, 5, 9]
    assert table["rlnClassDistribution"].tolist() == [0.6, 0.3, 0.1]
    assert table["cryoalignCount"].tolist() == [6, 3, 1]
    assert table["rlnEstimatedResolution"].tolist() == [12.5, 999, 999]
    assert table["cryoalignResolutionAtHalf"].tolist() == [25, 1998, 999]
    assert table["cryoalignFrcKind"].tolist() == ["independent", "frc_common_reference", "frc_common_reference"]
    assert table["cryoalignScoreMean"].tolist() == [0.5, 0.25, 0.125]
    assert table["cryoalignQuality"].tolist() == [0.9, 0.5, 0.25]
    assert table["rlnImagePixelSize"].tolist() == [PIXEL] * 3


def test_frc_star_has_a_block_for_each_class_that_has_halves(made):
    blocks = starfile.read(made[0] / "frc.star", always_dict=True)
    assert list(blocks) == ["class_000002", "class_000005"]
    table = blocks["class_000002"]
    assert table["cryoalignRing"].tolist() == list(range(9))
    np.testing.assert_allclose(table["rlnResolution"], np.arange(9) / (BOX * PIXEL), atol=1e-6)
    assert table["rlnAngstromResolution"][0] == 999 and table["rlnAngstromResolution"][4] == 10
    assert table["cryoalignFrc"].tolist() == pytest.approx((1 - np.arange(9) / 10).tolist())
    assert table["cryoalignFrcKind"].tolist() == ["frc_common_reference"] * 4 + ["independent"] * 5
    assert set(blocks["class_000005"]["cryoalignFrcKind"]) == {"frc_common_reference"}
    assert table["cryoalignNoiseCurve"].tolist() == [0.2] * 9
    assert table["cryoalignSsnr"].tolist() == (np.arange(9) / 2).tolist()


def test_mean_scores():
    scores = class_scores(np.array([1.0, 3.0, 5.0, 7.0]), np.array([0, 0, -1, 2]), 3)
    assert scores["cryoalignScoreMean"].tolist() == [2.0, 0.0, 7.0]
    assert class_scores(None, np.array([0]), 1) == {}
