"""RELION's marker files: how a job in the pipeline says that it is done, failed or stopped, and what it made.

RELION looks for one empty file in the job directory; without it the GUI shows "running" for ever. Output nodes are
listed in RELION_OUTPUT_NODES.star with an integer type, which 3.1 reads, and a type label, which 4 and 5 read.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from cryoalign.io.writing import naming

Exit = Literal["SUCCESS", "FAILURE", "ABORTED"]
NodeKind = Literal["particles", "references2d", "pdf"]

ABORT_NOW = "RELION_JOB_ABORT_NOW"
OUTPUT_NODES = "RELION_OUTPUT_NODES.star"
_EXITS: tuple[Exit, ...] = ("SUCCESS", "FAILURE", "ABORTED")
_NODE_TYPES: dict[str, tuple[int, str]] = {
    "particles": (3, "ParticleGroupMetadata.star.relion"),
    "references2d": (5, "Image2DGroupMetadata.star.relion"),
    "pdf": (13, "LogFile.pdf.relion"),
}


def exit_marker(kind: Exit) -> str:
    """Return the file name of an exit marker."""
    return f"RELION_JOB_EXIT_{kind}"


def remove_exit_markers(directory: Path) -> None:
    """Remove what says how a job ended."""
    for kind in _EXITS:
        (directory / exit_marker(kind)).unlink(missing_ok=True)


def is_marked(directory: Path) -> bool:
    """Tell whether anything says how the job ended."""
    return any((directory / exit_marker(kind)).exists() for kind in _EXITS)


def remove_markers(directory: Path) -> None:
    """Remove exit markers, output nodes and a request to abort that an earlier run left behind."""
    remove_exit_markers(directory)
    for name in (ABORT_NOW, OUTPUT_NODES):
        (directory / name).unlink(missing_ok=True)


def write_exit_marker(directory: Path, kind: Exit) -> None:
    """Leave exactly one exit marker in the directory."""
    for other in _EXITS:
        if other != kind:
            (directory / exit_marker(other)).unlink(missing_ok=True)
    (directory / exit_marker(kind)).touch()


def mark_failure_if_unmarked(directory: Path) -> None:
    """Write the FAILURE marker where a job directory has none, so that no caller waits for ever.

    Used for errors before a run begins; a directory that does not exist is not made, and nothing is said for another
    run that holds a lock in it.
    """
    if directory.is_dir() and not is_marked(directory) and not any(directory.glob(".cryoalign/lock*")):
        (directory / exit_marker("FAILURE")).touch()


def is_relion_job(directory: Path) -> bool:
    """Tell whether RELION made this directory for a job."""
    return any((directory / name).exists() for name in ("job.star", "run.job", "job_pipeline.star", "note.txt"))


def abort_requested(directory: Path) -> bool:
    """Tell whether RELION asks the job to stop."""
    return (directory / ABORT_NOW).exists()


def write_output_nodes(directory: Path, text: str) -> None:
    """Write RELION_OUTPUT_NODES.star; names may hold any byte."""
    with naming(directory / OUTPUT_NODES):
        (directory / OUTPUT_NODES).write_bytes(text.encode("utf-8", "surrogateescape"))


def output_nodes_text(job_directory: str, nodes: Iterable[tuple[str, NodeKind]]) -> str:
    """Return the text of RELION_OUTPUT_NODES.star.

    Parameters
    ----------
    job_directory
        As RELION names it, relative to the project directory.
    nodes
        (file name within the job directory, kind).

    Raises
    ------
    ValueError
        For a kind that is not known.
    """
    lines = ["", "data_output_nodes", "", "loop_"]
    lines += ["_rlnPipeLineNodeName #1", "_rlnPipeLineNodeType #2", "_rlnPipeLineNodeTypeLabel #3"]
    prefix = job_directory.rstrip("/")
    for name, kind in nodes:
        if kind not in _NODE_TYPES:
            raise ValueError(f"unknown node kind {kind!r}")
        number, label = _NODE_TYPES[kind]
        node = f"{prefix}/{name}"
        if any(c.isspace() for c in node):
            node = f'"{node}"'
        lines.append(f"{node} {number} {label}")
    return "\n".join(lines) + "\n\n"
