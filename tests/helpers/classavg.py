"""Simulated particles of all views with their truth, and the command itself: for end-to-end tests of ``classavg``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from helpers.align import Ran, run, table

FILES = {
    "averages.mrcs", "averages.star", "averages_half1.mrcs", "averages_half2.mrcs", "frc.star", "members.star",
    "run_data.star", "run_model.star", "run_classes.mrcs", "graph.npz", "report.html", "montage.png", "run.json",
    "run.log", "RELION_JOB_EXIT_SUCCESS", "RELION_OUTPUT_NODES.star",
}  # fmt: skip


def simulate(folder: Path, n: int, box: int, *words: object) -> Path:
    """Make particles.star and particles.mrcs in ``folder/sim`` with truth.star."""
    basic = ("-n", n, "--box", box, "--pixel-size", 4, "--noise", "white", "--shift-sd", 1, "--seed", 5)
    ran = run(folder, "simulate", "-q", "-o", "sim", "-j", 1, *basic, *words)
    assert ran.status == 0, ran.lines
    return folder


def classavg(folder: Path, *words: object, status: int = 0, out: str = "out") -> Ran:
    """Run ``cryoalign classavg sim/particles.star`` on one thread and hold its exit status."""
    ran = run(folder, "classavg", "-q", "-j", 1, "sim/particles.star", "-o", out, *words)
    assert ran.status == status, ran.lines
    return ran


def true_views(folder: Path) -> np.ndarray:
    """Return the unit vector of each particle's viewing direction, (n, 3)."""
    truth = table(folder / "sim/truth.star")
    rot, tilt = (np.deg2rad(truth[f"rlnAngle{name}"].astype(float)) for name in ("Rot", "Tilt"))
    return np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)


def view_angles(folder: Path, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Return true angles in degrees between the views of rows i and j; opposite views are mirror images of one."""
    views = true_views(folder)
    return np.rad2deg(np.arccos(np.clip(np.abs(np.sum(views[i] * views[j], axis=1)), 0, 1)))


def rows_of(names: list[str] | np.ndarray) -> np.ndarray:
    """Return the 0-based rows of images of the one stack."""
    return np.array([int(str(name).partition("@")[0]) - 1 for name in names])
