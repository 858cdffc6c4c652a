"""Errors of estimated poses against the truth, and the figures made from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray]


@dataclass(frozen=True)
class Errors:
    """Error figures of n images: psi in degrees, shift in pixels (radial: length of the error of d).

    ``far`` is the share of images on a wrong peak, beyond 15 degrees; the ``near`` figures leave them out.
    """

    n: int
    psi_rms: float
    psi_median: float
    psi_mean: float
    psi_mean_se: float
    shift_rms: float
    shift_median: float
    shift_mean_x: float
    shift_mean_y: float
    far: float
    psi_rms_near: float
    shift_rms_near: float
    right: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def wrap(angle_deg: NDArray) -> NDArray:
    """Bring angles into [-180, 180), degrees."""
    return np.mod(np.asarray(angle_deg, float) + 180.0, 360.0) - 180.0


def pose_errors(found: Arrays, truth: Arrays) -> tuple[NDArray, NDArray]:
    """Return the signed psi error (n,) in degrees and the error of the origin vector (n, 2) in pixels.

    Both origins live in the image frame (they are applied before the rotation), so they subtract directly.
    """
    psi = wrap(found["psi"] - truth["psi"])
    return psi, np.stack([found["dx"] - truth["dx"], found["dy"] - truth["dy"]], axis=1)


def judge(found: Arrays, truth: Arrays, far_deg: float = 15.0) -> Errors:
    """Compare found poses with true ones, row by row; poses count only where the reference is right."""
    psi, shift = pose_errors(found, truth)
    right = np.ones(len(psi), bool)
    if "reference" in found and "reference" in truth:
        right = found["reference"] == truth["reference"]
        psi, shift = psi[right], shift[right]
    radial = np.hypot(shift[:, 0], shift[:, 1])
    near = np.abs(psi) <= far_deg
    return Errors(
        n=len(right),
        psi_rms=float(np.sqrt(np.mean(psi**2))),
        psi_median=float(np.median(np.abs(psi))),
        psi_mean=float(np.mean(psi)),
        psi_mean_se=float(np.std(psi) / np.sqrt(len(psi))),
        shift_rms=float(np.sqrt(np.mean(radial**2))),
        shift_median=float(np.median(radial)),
        shift_mean_x=float(np.mean(shift[:, 0])),
        shift_mean_y=float(np.mean(shift[:, 1])),
        far=float(np.mean(~near)),
        psi_rms_near=float(np.sqrt(np.mean(psi[near] ** 2))),
        shift_rms_near=float(np.sqrt(np.mean(radial[near] ** 2))),
        right=float(np.mean(right)),
    )


def pooled(parts: list[tuple[Arrays, Arrays]]) -> Errors:
    """Judge several runs (other seeds) as one."""
    join = lambda side: {
        key: np.concatenate([p[side][key] for p in parts])
        for key in ("psi", "dx", "dy", "reference")
        if all(key in p[side] for p in parts)
    }
    return judge(join(0), join(1))


def standard_error(parts: list[tuple[Arrays, Arrays]], name: str) -> str:
    """Say the standard error of a figure over the seeds, such as ``se 0.012 over 3 seeds``; empty for one seed."""
    if len(parts) < 2:
        return ""
    values = [getattr(judge(*part), name) for part in parts]
    return f"se {np.std(values, ddof=1) / np.sqrt(len(values)):.4f} over {len(values)} seeds; "
