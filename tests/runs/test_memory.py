"""Peak memory: what counts and what does not."""

from __future__ import annotations

import mmap
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cryoalign.runs.memory import PeakMemory, current_bytes, descendants

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
MIB = 1 << 20


def test_memory_that_was_given_back_is_remembered():
    with PeakMemory(interval_s=0.01) as memory:
        before = memory.peak_bytes
        # Pages of our own: an array may come out of, and go back to, what the allocator holds already.
        with mmap.mmap(-1, 64 * MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
            for start in range(0, 64 * MIB, MIB):
                block[start : start + MIB] = bytes(MIB)
            time.sleep(0.1)
        time.sleep(0.05)
    assert current_bytes() < memory.peak_bytes - 32 * MIB
    assert 60 * MIB < memory.peak_bytes - before < 90 * MIB


def test_pages_of_a_mapped_file_do_not_count(tmp_path):
    path = tmp_path / "stack"
    path.write_bytes(bytes(64 * MIB))
    with PeakMemory(interval_s=0.01) as memory:
        before = memory.peak_bytes
        assert np.memmap(path, np.uint8, mode="r").sum() == 0
        time.sleep(0.05)
    assert memory.peak_bytes - before < 16 * MIB


def test_children_count():
    program = "import sys; block = b'x' * (64 << 20); print('ready', flush=True); sys.stdin.read()"
    with (
        PeakMemory(interval_s=0.01) as memory,
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        before = current_bytes()
        assert child.stdout.readline() == b"ready\n"
        if not descendants_known(child.pid):
            child.communicate()
            pytest.skip("this kernel does not list children")
        peak = memory.peak_bytes
        child.communicate()
    assert peak - before > 60 * MIB


def descendants_known(pid: int) -> bool:
    """Tell whether the kernel lists children."""
    import os

    return pid in descendants(os.getpid())


def test_unknown_processes_have_no_memory():
    assert current_bytes(2**22 + 1) is None and descendants(2**22 + 1) == []


def test_sampling_is_cheap():
    start = time.process_time()
    for _ in range(100):
        PeakMemory().sample()
    assert (time.process_time() - start) / 100 < 0.005
