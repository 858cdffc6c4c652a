"""Which measures lose in noise, and what is said then."""

from __future__ import annotations

from cryoalign.metrics.measure import Measure

SHY_OF_NOISE = ("sw", "sw1", "rfsw", "wavelet-emd", "mutual-information", "auto")
NOISY = 0.5
"""Below this SNR, over the frame, these measures lose."""


def warning_of_noise(measure: Measure, snr: float | None) -> str | None:
    """Return one sentence where a measure loses at an SNR, else None."""
    if measure.name not in SHY_OF_NOISE or measure.warning is None or snr is None or snr >= NOISY:
        return None
    return f"--metric {measure.name} on noisy particles (SNR {snr:.2g}): {measure.warning}"
