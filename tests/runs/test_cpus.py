"""CPUs that this process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cryoalign.core.errors import InputError
from cryoalign.runs.cpus import BASE_MEMORY_BYTES, available_cpus, threads_within

MIB = 1 << 20


def test_no_more_cpus_than_the_machine_has():
    assert 1 <= available_cpus() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_is_obeyed():
    cpu = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{cpu}}})\n"
    program += "from cryoalign.runs.cpus import available_cpus; print(available_cpus())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"


@pytest.mark.parametrize(("memory", "threads"), [(None, 8), (1 << 40, 8), (BASE_MEMORY_BYTES + 35 * MIB, 3)])
def test_threads_are_as_many_as_fit(memory, threads):
    said = []
    assert threads_within(8, memory, 10 * MIB, said.append) == threads
    assert said == (["--memory leaves room for 3 of 8 threads"] if threads == 3 else [])


def test_memory_for_no_thread_is_refused_with_what_is_needed():
    with pytest.raises(InputError, match=r"no room for one thread \('155M'\); give 161M or more"):
        threads_within(8, BASE_MEMORY_BYTES + 5 * MIB, 10 * MIB + 1, lambda text: None)
    assert threads_within(8, 161 * MIB, 10 * MIB + 1, lambda text: None) == 1
