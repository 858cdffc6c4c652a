"""The same bytes however a run is cut, stopped or spread; and what a finished run leaves behind."""

from __future__ import annotations

import html.parser
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import starfile

import cryoalign
from cryoalign.passes.align.part import AlignPart
from helpers.align import MARKERS, align, correlation, read_mrcs, results, run, table

BASIC = ("particles.star", "--reference", "ref.mrcs", "-o", "out")
CUT = (*BASIC, "--block-size", 64)


@pytest.fixture(scope="module")
def expected(demo_set) -> dict[str, bytes]:
    """The bytes of an undisturbed run on one thread in one block."""
    folder = demo_set[0]
    align(folder, *BASIC, "--block-size", 512)
    found = results(folder / "out")
    assert set(found) >= {"particles.star", "aligned.star", "aligned.mrcs", "averages.star", "averages.mrcs"}
    return found


def markers(folder: Path) -> list[str]:
    """Names of the exit markers."""
    return [name for name in MARKERS if (folder / name).exists()]


# ---- same bytes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "-j 1 --block-size 64",
        "-j 2 --block-size 64",
        "-j 2 --block-size 128",
        "-j 3 --block-size 64",
        "--memory 2G",
        "--full-digest -v",
    ],
)
def test_same_bytes_over_threads_and_blocks(demo, expected, words):
    folder, _ = demo
    assert run(folder, "align", *BASIC, *words.split()).status == 0
    assert results(folder / "out") == expected


def test_same_bytes_in_another_process(demo, expected):
    folder, _ = demo
    words = [sys.executable, "-m", "cryoalign.cli.main", "align", *BASIC, "-q", "-j", "2", "--block-size", "64"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0 and done.stderr == ""
    assert results(folder / "out") == expected


@pytest.mark.slow
def test_same_bytes_whether_kernels_are_compiled_or_loaded(demo, expected, tmp_path):
    folder, _ = demo
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    words = [sys.executable, "-m", "cryoalign.cli.main", "align", *BASIC, "-q", "--overwrite"]
    for _ in ("compiled", "loaded"):
        subprocess.run(words, cwd=folder, env=environment, check=True, timeout=200)
        assert results(folder / "out") == expected


def test_same_bytes_on_mirrors_and_several_rounds(demo):
    folder, _ = demo
    for name, words in (("a", "-j 1 --block-size 512"), ("b", "-j 2 --block-size 64")):
        align(folder, *BASIC[:3], "-o", "out", "--mirror", "--iterations", 2, *words.split())
        (folder / "out").rename(folder / name)
    first, second = results(folder / "a"), results(folder / "b")
    assert "flipped.mrcs" in first and first == second


def test_another_order_of_options_and_a_resume_of_nothing(demo, expected):
    folder, _ = demo
    align(folder, "--resume", "-o", "out", "--reference", "ref.mrcs", "--i", "particles.star")
    assert results(folder / "out") == expected


class Stop:
    """Stands before the part function, and does something when it is called for the n-th time."""

    def __init__(self, monkeypatch, at: int, action) -> None:
        self.calls, whole = 0, AlignPart.__call__

        def part(this, one):
            self.calls += 1
            if self.calls == at:
                action()
            return whole(this, one)

        monkeypatch.setattr(AlignPart, "__call__", part)


def test_an_interrupted_run_resumes_to_the_same_bytes(demo, expected, monkeypatch):
    folder, _ = demo

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        Stop(patch, 3, interrupt)
        ran = align(folder, *CUT, status=130)
    assert len(ran.errors) == 1 and markers(folder / "out") == ["RELION_JOB_EXIT_ABORTED"]
    assert results(folder / "out") == {}
    refused = align(folder, *CUT, status=1)
    assert "--resume" in refused.lines[0] and "--overwrite" in refused.lines[0]
    with monkeypatch.context() as patch:
        again = Stop(patch, 0, None)
        align(folder, *CUT, "--resume", "-j", 2)
    assert again.calls == 3  # of five parts, two were done
    assert results(folder / "out") == expected
    assert markers(folder / "out") == ["RELION_JOB_EXIT_SUCCESS"]


def test_relion_asks_to_stop(demo, expected, monkeypatch):
    folder, _ = demo
    with monkeypatch.context() as patch:
        Stop(patch, 2, lambda: (folder / "out/RELION_JOB_ABORT_NOW").touch())
        align(folder, *CUT, status=143)
    assert results(folder / "out") == {} and markers(folder / "out") == ["RELION_JOB_EXIT_ABORTED"]
    align(folder, *CUT, "--resume")
    assert results(folder / "out") == expected
    assert not (folder / "out/RELION_JOB_ABORT_NOW").exists()


def test_a_killed_run_resumes_to_the_same_bytes(demo, expected):
    folder, _ = demo
    program = textwrap.dedent("""
        import os, signal, sys
        from cryoalign.cli.main import main
        from cryoalign.passes.align.part import AlignPart
        whole, calls = AlignPart.__call__, []
        def part(self, one):
            calls.append(one)
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(self, one)
        AlignPart.__call__ = part
        main(sys.argv[1:])
    """)
    words = [sys.executable, "-c", program, "align", *map(str, CUT), "-j", "1"]
    assert subprocess.run(words, cwd=folder, capture_output=True, timeout=200).returncode == -signal.SIGKILL
    assert results(folder / "out") == {}
    align(folder, *CUT, "--resume")
    assert results(folder / "out") == expected


def test_interrupted_within_the_second_round(demo, monkeypatch):
    folder, _ = demo
    words = (*CUT, "--iterations", 2)
    align(folder, *words)
    whole = results(folder / "out")
    (folder / "out").rename(folder / "whole")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        Stop(patch, 7, interrupt)
        align(folder, *words, status=130)
    align(folder, *words, "--resume", "-j", 2)
    assert results(folder / "out") == whole


def test_resuming_with_other_parameters_is_refused_by_name(demo, monkeypatch):
    folder, _ = demo

    def interrupt() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        Stop(patch, 2, interrupt)
        align(folder, *CUT, status=130)
    ran = align(folder, *CUT, "--resume", "--lowpass", 20, status=1)
    assert len(ran.lines) == 1 and "lowpass" in ran.lines[0]
    (folder / "ref.mrcs").unlink()
    (folder / "ref.mrcs").write_bytes((folder / "particles.mrcs").read_bytes()[:1024])
    ran = align(folder, *CUT, "--resume", status=1)
    assert len(ran.lines) == 1 and "ref.mrcs" in ran.lines[0]


def test_a_job_array_and_merge_give_the_same_bytes(demo, expected):
    folder, _ = demo
    align(folder, *CUT, "--part", "2/2")
    assert results(folder / "out") == {} and markers(folder / "out") == []
    early = run(folder, "merge", "out")
    assert early.status == 1 and "1/2" in early.errors[0]
    align(folder, *CUT, "--part", "1/2", "-j", 2)
    assert run(folder, "merge", "-q", "out").status == 0
    assert results(folder / "out") == expected
    assert markers(folder / "out") == ["RELION_JOB_EXIT_SUCCESS"]
    assert (folder / "out/report.html").exists() and not (folder / "out/.cryoalign").exists()


def test_a_single_part_finishes_by_itself(demo, expected):
    folder, _ = demo
    align(folder, *CUT, "--part", "1/1")
    if not (folder / "out/particles.star").exists():
        assert run(folder, "merge", "-q", "out").status == 0
    assert results(folder / "out") == expected


# ---- what a finished run leaves ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(demo_set) -> Path:
    """The run directory of a run with everything at its default."""
    folder = demo_set[0]
    align(folder, *BASIC[:3], "-o", "finished")
    return folder / "finished"


def test_run_json_says_what_was_done(finished):
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "finished" and record["exit_status"] == 0 and record["schema_version"] == 1
    assert record["command"] == "align" and record["command_line"].startswith("cryoalign align -q -j 1 particles.star")
    assert record["parameters"]["reference"] == "ref.mrcs" and record["parameters"]["iterations"] == 1
    assert record["versions"]["cryoalign"] == cryoalign.__version__ and record["seed"] == 0
    names = {Path(entry["path"]).name: entry for entry in record["inputs"]}
    assert set(names) == {"particles.star", "particles.mrcs", "ref.mrcs"}
    assert names["particles.star"]["size"] == (finished.parent / "particles.star").stat().st_size
    assert record["counts"]["read"] == record["counts"]["aligned"] == 260 and record["counts"]["skipped"] == 0
    assert all(seconds >= 0 for seconds in record["timings_s"].values()) and "align" in record["timings_s"]
    assert 30e6 < record["peak_memory_bytes"] < 4e9
    for name in record["files"]:
        assert (finished / name).is_file()
    assert set(results(finished)) - {"RELION_OUTPUT_NODES.star"} <= set(record["files"])


def test_result_files_hold_no_dates_hosts_or_outside_paths(finished):
    year = str(json.loads((finished / "run.json").read_text())["attempts"][0]["started"])[:4]
    for name, content in results(finished).items():
        head = content[:1024] if name.endswith(".mrcs") else content
        assert str(finished.parent).encode() not in head and b"/tmp" not in head, name
        if name.endswith(".mrcs"):
            assert year.encode() not in head
        else:
            assert f"{year}-".encode() not in head


def test_particles_star_keeps_the_input_and_adds_ours(finished):
    before, after = table(finished.parent / "particles.star"), table(finished / "particles.star")
    assert list(after)[: len(before.columns)] == list(before)
    for label in before:
        assert after[label].tolist() == before[label].tolist()
    assert set(after) - set(before) == {
        "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst", "rlnClassNumber", "cryoalignScore",
        "cryoalignScoreMargin", "cryoalignPsiError", "cryoalignShiftError", "cryoalignFlag",
    }  # fmt: skip
    optics_before, optics_after = (
        table(f, "optics") for f in (finished.parent / "particles.star", finished / "particles.star")
    )
    assert optics_before.equals(optics_after)
    numbers = after.drop(columns="rlnImageName").astype(float)
    assert np.isfinite(numbers.to_numpy()).all()
    assert numbers["rlnAnglePsi"].between(-180, 180).all() and (numbers["rlnAnglePsi"] > -180).all()
    assert numbers["cryoalignScore"].between(-1, 1).all() and (numbers["cryoalignScoreMargin"] >= 0).all()
    assert (numbers["cryoalignPsiError"] > 0).all() and (numbers["cryoalignShiftError"] > 0).all()


def test_poses_are_right_and_errors_honest(finished, demo_set):
    made = demo_set[1]
    particles = table(finished / "particles.star")
    assert np.mean(particles["rlnClassNumber"].astype(int) == made.view + 1) > 0.99
    psi_rms, shift_rms = made.errors(finished / "particles.star")
    stated_psi = np.sqrt(np.mean(particles["cryoalignPsiError"].astype(float) ** 2))
    stated_shift = np.sqrt(np.mean(particles["cryoalignShiftError"].astype(float) ** 2)) / made.pixel
    assert psi_rms < 1.5 and shift_rms < 0.4
    assert 0.7 < psi_rms / stated_psi < 1.4
    assert 0.7 < shift_rms / stated_shift < 2.0  # radial, or each coordinate


def test_aligned_star_has_nothing_left_to_apply(finished):
    aligned, particles = table(finished / "aligned.star"), table(finished / "particles.star")
    for label in ("rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"):
        assert (aligned[label].astype(float) == 0).all()
    assert aligned["rlnOriginalParticleName"].tolist() == particles["rlnImageName"].tolist()
    assert aligned["rlnImageName"].tolist() == [f"{i + 1:06d}@finished/aligned.mrcs" for i in range(260)]
    assert aligned["cryoalignScore"].tolist() == particles["cryoalignScore"].tolist()


def test_averages_are_those_of_the_classes(finished):
    averages = table(finished / "averages.star", "averages")
    classes = table(finished / "particles.star")["rlnClassNumber"].astype(int).to_numpy()
    images, halves = read_mrcs(finished / "averages.mrcs"), []
    for half in (1, 2):
        halves.append(read_mrcs(finished / f"averages_half{half}.mrcs"))
    frc = starfile.read(finished / "frc.star", always_dict=True)
    assert averages["rlnReferenceImage"].tolist() == [f"00000{i}@finished/averages.mrcs" for i in (1, 2)]
    assert averages["rlnClassNumber"].tolist() == ["1", "2"]
    for i, number in enumerate((1, 2)):
        mine = classes == number
        assert int(averages["cryoalignCount"][i]) == mine.sum()
        assert float(averages["rlnClassDistribution"][i]) == pytest.approx(mine.mean(), abs=1e-6)
        assert set(averages["cryoalignFrcKind"]) == {"frc_common_reference"}
        assert float(averages["rlnEstimatedResolution"][i]) == 999
        assert correlation(halves[0][i], halves[1][i], 19) > 0.5
        assert correlation(images[i], halves[0][i] + halves[1][i], 19) > 0.9
        curve = frc[f"class_{number:06d}"]
        assert len(curve) == images.shape[-1] // 2 + 1 and set(curve["cryoalignFrcKind"]) == {"frc_common_reference"}


class Links(html.parser.HTMLParser):
    """Collect what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href") and value]


def test_the_report_is_one_file_and_the_montage_a_picture(finished):
    text = (finished / "report.html").read_text()
    links = Links()
    links.feed(text)
    assert links.found and all(link.startswith(("data:", "#")) for link in links.found)
    for word in ("ref.mrcs", "260", "particles.star", cryoalign.__version__):
        assert word in text
    picture = matplotlib.image.imread(finished / "montage.png")
    assert min(picture.shape[:2]) > 100 and picture.std() > 0.05


def test_the_log_states_the_defaults(finished):
    log = (finished / "run.log").read_text()
    for words in (
        "read 260 particles",
        "read 2 references",
        "mask 51.2 px",
        "5.33 px",
        "CTF corrected",
        "whitening on",
    ):
        assert words in log
