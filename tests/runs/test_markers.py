"""RELION's markers and output nodes."""

from __future__ import annotations

import pytest
import starfile

from cryoalign.runs import markers

EXITS = ["RELION_JOB_EXIT_SUCCESS", "RELION_JOB_EXIT_FAILURE", "RELION_JOB_EXIT_ABORTED"]


@pytest.mark.parametrize("kind", ["SUCCESS", "FAILURE", "ABORTED"])
def test_exactly_one_exit_marker_is_left_and_it_is_empty(tmp_path, kind):
    for name in EXITS:
        (tmp_path / name).touch()
    markers.write_exit_marker(tmp_path, kind)
    assert [path.name for path in tmp_path.iterdir()] == [f"RELION_JOB_EXIT_{kind}"]
    assert (tmp_path / f"RELION_JOB_EXIT_{kind}").stat().st_size == 0


def test_stale_files_of_relion_are_removed_and_others_kept(tmp_path):
    names = [*EXITS, "RELION_JOB_ABORT_NOW", "RELION_OUTPUT_NODES.star"]
    for name in [*names, "job.star"]:
        (tmp_path / name).touch()
    markers.remove_markers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["job.star"]


def test_output_nodes_have_both_kinds_of_type(tmp_path):
    path = tmp_path / "nodes.star"
    nodes = [("particles.star", "particles"), ("averages.mrcs", "references2d"), ("report.pdf", "pdf")]
    path.write_text(markers.output_nodes_text("External/job001/", nodes))
    table = starfile.read(path, always_dict=True)["output_nodes"]
    assert list(table["rlnPipeLineNodeName"]) == [f"External/job001/{name}" for name, _ in nodes]
    assert list(table["rlnPipeLineNodeType"]) == [3, 5, 13]
    assert list(table["rlnPipeLineNodeTypeLabel"]) == [
        "ParticleGroupMetadata.star.relion",
        "Image2DGroupMetadata.star.relion",
        "LogFile.pdf.relion",
    ]


def test_names_with_blanks_are_quoted(tmp_path):
    path = tmp_path / "nodes.star"
    path.write_text(markers.output_nodes_text("my job", [("a.star", "particles"), ("b.star", "particles")]))
    table = starfile.read(path, always_dict=True)["output_nodes"]
    assert list(table["rlnPipeLineNodeName"]) == ["my job/a.star", "my job/b.star"]


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="movie"):
        markers.output_nodes_text("x", [("a", "movie")])


def test_a_job_that_never_began_is_marked_unless_somebody_works_there(tmp_path):
    markers.mark_failure_if_unmarked(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()
    (tmp_path / ".cryoalign").mkdir()
    lock = tmp_path / ".cryoalign" / "lock"
    lock.touch()
    markers.mark_failure_if_unmarked(tmp_path)
    assert not list(tmp_path.glob("RELION*"))
    lock.unlink()
    markers.mark_failure_if_unmarked(tmp_path)
    assert [path.name for path in tmp_path.glob("RELION*")] == ["RELION_JOB_EXIT_FAILURE"]


def test_a_marked_job_is_left_as_it_is(tmp_path):
    (tmp_path / "RELION_JOB_EXIT_SUCCESS").touch()
    markers.mark_failure_if_unmarked(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["RELION_JOB_EXIT_SUCCESS"]
