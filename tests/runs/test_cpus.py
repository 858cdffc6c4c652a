"""CPUs that this process may use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cryoalign.runs.cpus import available_cpus


def test_no_more_cpus_than_the_machine_has():
    assert 1 <= available_cpus() <= os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_affinity_is_obeyed():
    cpu = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, {{{cpu}}})\n"
    program += "from cryoalign.runs.cpus import available_cpus; print(available_cpus())"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "1\n"
