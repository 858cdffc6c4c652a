"""`check --fix` repairs a copy: what was measured stays, what was written wrongly is right."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from corpus import BOX, COUNT, Made, cell, header, images, mrc, ramp

from cryoalign.cli.main import main
from cryoalign.core.masks import background_region
from helpers.align import table

COLUMNS = ["--voltage", "300", "--cs", "2.7", "--amplitude-contrast", "0.1"]


@pytest.fixture
def made(tmp_path, monkeypatch) -> Made:
    """A clean set, not written yet, in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Made.clean(tmp_path)


def fix(*words: str, status: int = 0) -> None:
    """Check and repair into F."""
    assert main(["check", *(words or ("p.star",)), "--fix", "F", "-q", "-j", "1"]) == status


def stacks() -> list[Path]:
    """Return the stacks of the copy."""
    return sorted(Path("F/stacks").glob("*"))


def test_images_are_normalised_and_poses_stay(made):
    made.stacks = {name: 7 * ramp(data) + 100 for name, data in made.stacks.items()}
    made.stacks["b.mrcs"][4, 9, 9] = 1e6
    made.write()
    fix()
    region = background_region(BOX, 0.8 * BOX)
    for path, raw in zip(stacks(), (images()[: COUNT // 2], images()[COUNT // 2 :]), strict=True):
        data = mrcfile.read(path)
        assert np.abs(data[:, region].mean(axis=1)).max() < 0.1 and np.abs(data[:, region].std(axis=1) - 1).max() < 0.1
        assert np.abs(data).max() < 8
        assert np.corrcoef(data[0].ravel(), raw[0].ravel())[0, 1] > 0.98
    before, after = table(Path("p.star")), table(Path("F/particles.star"))
    assert before.drop(columns="rlnImageName").equals(after.drop(columns="rlnImageName"))
    assert after["rlnImageName"][COUNT // 2] == "000001@F/stacks/000002_b.mrcs"
    assert main(["check", "F/particles.star", "-q"]) == 0


def test_a_header_gets_its_marks_and_pixels_stay(made, capsys):
    header(at208=b"\0" * 8)(made)
    made.write()
    fix()
    (path,) = stacks()
    assert path.read_bytes()[208:212] == b"MAP "
    np.testing.assert_array_equal(mrcfile.read(path), made.stacks["a.mrcs"])
    assert "no problem found" in capsys.readouterr().out.splitlines()[-1]


def test_line_ends_and_nothing_else(made):
    made.text = lambda text: text.replace("\n", "\r\n")
    made.write()
    fix()
    assert b"\r" not in Path("F/particles.star").read_bytes() and not Path("F/stacks").exists()
    assert table(Path("F/particles.star")).shape == (COUNT, 11)


def test_a_stack_called_mrc_gets_a_link_and_the_columns_that_were_given(made, capsys):
    mrc(made.folder / "c.mrc", images(20, 4))
    fix("c.mrc", "--angpix", "1.5", *COLUMNS)
    (link,) = stacks()
    assert link.is_symlink() and link.resolve() == (made.folder / "c.mrc").resolve() and link.suffix == ".mrcs"
    optics = table(Path("F/particles.star"), "optics")
    assert optics["rlnImagePixelSize"].astype(float).tolist() == [1.5]
    assert optics["rlnVoltage"].astype(float).tolist() == [300]
    assert len(table(Path("F/particles.star"))) == 20
    assert "no problem found" in capsys.readouterr().out.splitlines()[-1]


def test_given_columns_win_over_those_of_the_table(made):
    made.optics["rlnVoltage"] = [0]
    made.write()
    assert main(["check", "p.star", "-q"]) == 1
    fix("p.star", "--voltage", "200")
    assert table(Path("F/particles.star"), "optics")["rlnVoltage"].astype(float).tolist() == [200]


def test_what_a_run_would_refuse_is_not_repaired_and_nothing_is_written(made, capsys):
    cell("rlnAnglePsi", 3, "north")(made)
    made.write()
    assert main(["check", "p.star", "--fix", "F"]) == 1
    assert not Path("F").exists() and "no copy is written" in capsys.readouterr().err


def test_a_copy_is_not_written_over_but_when_asked(made):
    made.text = lambda text: text.replace("\n", "\r\n")
    made.write()
    fix()
    assert main(["check", "p.star", "--fix", "F", "-q"]) == 1
    fix("p.star", "--overwrite")


def test_what_needs_no_repair_is_where_it_was(made):
    made.write()
    fix()
    assert not Path("F/stacks").exists()
    assert table(Path("F/particles.star")).equals(table(Path("p.star")))
