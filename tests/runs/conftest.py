"""Fixtures of the job framework: an input file, and ways to run the toy job."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import toyjob


@pytest.fixture
def source(tmp_path) -> Path:
    """A small input table."""
    path = tmp_path / "particles.star"
    path.write_text("data_\n\nloop_\n_rlnImageName #1\n000001@stack.mrcs\n")
    return path


@pytest.fixture
def start_toy(source, tmp_path) -> Callable[..., subprocess.Popen]:
    """Start the toy job in a process of its own."""
    started = []

    def start(directory: Path, rows: int, *words: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-P", toyjob.__file__, str(directory), str(source), str(rows), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run_toy(start_toy) -> Callable[..., tuple[int, str]]:
    """Run the toy job to its end; returns the exit code and what it said on stderr."""

    def run(directory: Path, rows: int, *words: str) -> tuple[int, str]:
        process = start_toy(directory, rows, *words)
        _, stderr = process.communicate(timeout=60)
        return process.returncode, stderr

    return run


@pytest.fixture
def record_of() -> Callable[[Path], dict]:
    """Read run.json."""
    return lambda directory: json.loads((directory / "run.json").read_text())
