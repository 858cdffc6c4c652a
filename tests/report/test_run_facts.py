"""What every page says of its run, made from the run directory in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryoalign import __version__
from cryoalign.report.run_facts import RunFacts, given_options, whole_page
from cryoalign.runs.reads import Reads
from cryoalign.runs.rundir import RunDirectory
from helpers.page_reader import Reader


def facts_of(folder: Path, **words) -> RunFacts:
    made = {"parameters": {"-k": "3"}, "counts": {"read": 1200}, "files": {"graph.npz": "the graph"}}
    argv = ["align", "my particles.star", "-o", "out"]
    with RunDirectory.begin(folder, command="align", argv=argv, parameters={}, reads=Reads()) as run:
        run.warn("2 particles were skipped")
        with run.stage("search"):
            pass
        facts = RunFacts.of(run, "A title", **made | words)
        run.leave_partial()
    return facts


def test_a_run_says_its_command_as_a_shell_would_take_it_its_version_warnings_and_stages(tmp_path):
    facts = facts_of(tmp_path)
    assert facts.command_line == "cryoalign align 'my particles.star' -o out"
    assert facts.version == __version__
    assert facts.warnings == ("2 particles were skipped",)
    assert list(facts.timings_s) == ["search"]
    page = Reader(whole_page(facts, summary=f"Done; {facts.warned}.", fact_boxes=(), sections=()))
    assert facts.command_line in page.text and "Done; 1 warning." in page.text
    assert ["-k", "3"] in page.rows and ["read", "1,200"] in page.rows


def test_what_every_run_writes_is_listed_after_its_own_files(tmp_path):
    assert list(facts_of(tmp_path).files) == ["graph.npz", "report.html", "run.json, run.log"]
    files = facts_of(tmp_path / "sheet", sheet="the views side by side").files
    assert files["report.html, montage.png"] == "this report, and the views side by side"


def test_counts_are_single_numbers(tmp_path):
    counts = {"read": 5, "snr": 0.5, "guard": [{"z": 1.0}], "signal": {"z": 2.0}}
    assert facts_of(tmp_path, counts=counts).counts == {"read": 5, "snr": 0.5}


def test_of_how_many_is_said_where_it_was_counted():
    facts = RunFacts(title="", command_line="", version="", counts={"read": 1503})
    assert facts.of_read("averaged") == "of 1,503 read" and facts.warned == "no warnings"
    assert RunFacts(title="", command_line="", version="").of_read("averaged") == "averaged"


def test_options_that_were_given_are_said_as_typed():
    @dataclass
    class Parameters:
        max_distance: float | None = 0.5
        limit: int | None = 1_000_000
        members: Path | None = Path("a/members.star")
        lowpass: float | None = 20.0
        recenter: bool = True
        variance: bool = False
        queries: str | None = None

    p = Parameters()
    names = ("max_distance", "limit", "members", "recenter", "variance", "queries")
    assert given_options(p, *names) == {
        "--max-distance": "0.5", "--limit": "1000000", "--members": "a/members.star", "--recenter": "yes",
    }  # fmt: skip
    assert given_options(p, "lowpass", unit=" A") == {"--lowpass": "20 A"}
