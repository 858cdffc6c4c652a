"""Which measures lose in noise, and what is said then."""

from __future__ import annotations

from cryoalign.metrics.measure import Ranking

_TRANSPORT = "noise counts as mass that must be moved; euclidean, auto or the default is better"
IN_NOISE = {
    "sw": _TRANSPORT,
    "sw1": _TRANSPORT,
    "rfsw": _TRANSPORT,
    "wavelet-emd": "noise counts at every scale; euclidean, auto or the default is better",
    "mutual-information": "the default is better, and faster, where contrasts are alike or inverted (--invert)",
}
"""Measures that lose in noise, and why."""
NOISY = 0.5
"""Below this SNR, over the frame, these measures lose."""


def warning_of_noise(measure: Ranking, snr: float | None) -> str | None:
    """Return one sentence where a measure loses at an SNR, else None."""
    if measure.name not in IN_NOISE or snr is None or snr >= NOISY:
        return None
    return f"--metric {measure.name} on noisy particles (SNR {snr:.2g}): {IN_NOISE[measure.name]}"
