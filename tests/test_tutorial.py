"""The commands of the tutorial and the README work as they are printed, and say what the tutorial says (slow)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import starfile

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
COMMAND = re.compile(r"(?:cryoalign|mkdir|relion_\w+) ")
# What depends on the machine, or on how far its cache is filled.
PASSING = re.compile(r"^(?:compiling |\w+(?:, round \d+ of \d+)?: \d+ of \d+ \w+, )")
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def blocks() -> list[tuple[str, str]]:
    """Return (commands, what they are said to print) in the order of the page; the demo is the first."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        if COMMAND.match(block) or block.startswith(("scripts/", "source ")):
            found.append((block, ""))
        else:
            assert found[-1][1] == "", "two outputs of one command"
            found[-1] = (found[-1][0], block)
    return found


def run(block: str, folder: Path, notes: Path) -> tuple[str, Path]:
    """Run a block in a shell as it stands; return what it printed and the folder it ended in."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = f"set -e\n{block}\npwd > '{notes}'\n"
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}"
    return done.stdout, Path(notes.read_text().strip())


def agree(printed: str, said: str) -> bool:
    """Tell whether two lines have the same words, and numbers that another CPU could have given."""
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", said).split():
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(said), strict=True)
    return all(abs(float(a) - float(b)) <= 0.02 * abs(float(b)) + 0.02 for a, b in pairs)


def missing(printed: str, said: str) -> list[str]:
    """Return the lines of the page that were not printed."""
    lines = printed.splitlines()
    wanted = [line for line in said.splitlines() if not PASSING.match(line)]
    return [line for line in wanted if not any(agree(other, line) for other in lines)]


def write_cs(star: Path, path: Path) -> None:
    """Write the particles of a STAR file as cryoSPARC does."""
    tables = starfile.read(star)
    rows = tables["particles"].merge(tables["optics"], on="rlnOpticsGroup", how="left", sort=False)
    names = [name.split("@") for name in rows["rlnImageName"]]
    columns = {
        "uid": np.arange(len(rows), dtype="<u8"),
        "blob/path": np.array([f">{stack}".encode() for _, stack in names]),
        "blob/idx": np.array([int(frame) - 1 for frame, _ in names], "<u4"),
        "blob/shape": np.repeat(rows["rlnImageSize"].to_numpy("<u4")[:, None], 2, axis=1),
        "blob/psize_A": rows["rlnImagePixelSize"].to_numpy("<f4"),
        "blob/sign": np.ones(len(rows), "<f4"),
        "ctf/exp_group_id": rows["rlnOpticsGroup"].to_numpy("<u4"),
        "ctf/accel_kv": rows["rlnVoltage"].to_numpy("<f4"),
        "ctf/cs_mm": rows["rlnSphericalAberration"].to_numpy("<f4"),
        "ctf/amp_contrast": rows["rlnAmplitudeContrast"].to_numpy("<f4"),
        "ctf/df1_A": rows["rlnDefocusU"].to_numpy("<f4"),
        "ctf/df2_A": rows["rlnDefocusV"].to_numpy("<f4"),
        "ctf/df_angle_rad": np.deg2rad(rows["rlnDefocusAngle"]).to_numpy("<f4"),
        "ctf/phase_shift_rad": np.deg2rad(rows["rlnPhaseShift"]).to_numpy("<f4"),
    }
    table = np.zeros(len(rows), [(name, values.dtype, values.shape[1:]) for name, values in columns.items()])
    for name, values in columns.items():
        table[name] = values
    path.parent.mkdir()
    with path.open("wb") as stream:
        np.save(stream, table)


def test_lines_are_compared_by_words_and_numbers():
    assert missing("a 1.00 b\nc\n", "a 1.01 b\n") == []
    assert missing("a 1.00 b\nc\n", "a 1.1 b\n") == ["a 1.1 b"]
    assert missing("a 1.00 b\n", "a 1.00 d\n") == ["a 1.00 d"]
    assert missing("", "aligning, round 5 of 5: 10 of 10 images, 4 a second, 0 s left\n") == []


def test_the_page_has_commands_and_what_they_say():
    commands = "".join(block for block, _ in blocks())
    assert {"align", "average", "classavg", "compare", "rid-distance", "select", "simulate", "sync"} <= set(
        re.findall(r"cryoalign ([\w-]+)", commands)
    )
    assert sum(bool(said) for _, said in blocks()) >= 6


@pytest.mark.slow
def test_the_tutorial_runs_as_printed(tmp_path):
    folder, wrong = tmp_path, []
    for block, said in blocks():
        here = folder
        if block.startswith("source "):
            continue
        if block.startswith("scripts/"):
            block = re.search(r"align data/.*?-o \"\$out\"", (ROOT / "scripts" / "demo").read_text())[0]
            block, here = f"cryoalign {block}".replace('"$out"', f"{tmp_path}/demo-run"), ROOT
        if "relion_" in block and shutil.which("relion_refine") is None:
            continue
        if ".cs " in block:
            write_cs(folder / "Extract/job003/particles.star", folder / "J20" / "extracted_particles.cs")
        printed, after = run(block, here, tmp_path / ".last")
        folder = folder if here is ROOT else after
        wrong += [f"{block}\n{line}\n  is not in what it printed:\n{printed}" for line in missing(printed, said)]
    assert wrong == []


@pytest.mark.slow
def test_the_commands_of_the_readme_work_on_the_demo(tmp_path):
    (tmp_path / "data").symlink_to(ROOT / "data")
    commands = re.findall(r"`(cryoalign [^`]* -o [^`]*)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) >= 9
    write_cs(tmp_path / "data/demo/particles.star", tmp_path / "J20" / "extracted_particles.cs")
    for command in commands:
        run(command, tmp_path, tmp_path / ".last")
