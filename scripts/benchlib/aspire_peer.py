"""ASPIRE's brute-force aligner, run in an environment of its own (GPL: nothing of it is imported here)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import measure
from .truth import TruthSet

VERSION = "0.14.3"


def environment(work: Path) -> Path:
    """Return the Python of ASPIRE's environment; made under the work directory if missing."""
    home = work / "envs" / f"aspire-{VERSION}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        measure.run([sys.executable, "-m", "venv", home])
        measure.run([python, "-m", "pip", "install", "-q", f"aspire=={VERSION}"])
        (home / "ready").touch()
    return python


def pairs_per_second(work: Path, data: TruthSet, *, radius: int, n_images: int) -> dict[str, float]:
    """Time BFTAverager2D.align of every image against every reference; pairs per CPU second, one thread."""
    driver = Path(__file__).with_name("aspire_driver.py")
    home = (work / "aspire").resolve()
    home.mkdir(parents=True, exist_ok=True)
    command = [environment(work).absolute(), "-P", driver.resolve(), data.folder.resolve(), str(radius), str(n_images)]
    # It writes its logs into the folder it runs in.
    cost = measure.run(command, cwd=home, env={**measure.ONE_THREAD, "ASPIREDIR": str(home)})
    return json.loads(cost.output[cost.output.rindex("{") :])
