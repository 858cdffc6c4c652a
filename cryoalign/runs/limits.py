"""What the numbers of options can mean: beyond these limits a unit was mistaken, or nothing can come of it.

Limits are wide: within them every command gives a result or a reason, and no arithmetic overflows.
"""

from __future__ import annotations

from cryoalign.core.limits import CTF_LIMITS, PIXEL_SIZES_ANGSTROM

_LENGTHS, _SHIFTS, _DEVIATIONS = (0.01, 1e6), (0.0, 1e6), (0.0, 1e4)
_MEMORY_HINT = "write a unit, such as 800M or 4G"

LIMITS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("angpix", "pixel_size", "map_angpix", "coordinate_angpix"), PIXEL_SIZES_ANGSTROM),
    **dict.fromkeys(("mask_diameter", "lowpass", "highpass", "initial_lowpass", "max_class_resolution"), _LENGTHS),
    **dict.fromkeys(("max_shift", "max_shift_px", "max_shift_error", "min_distance"), _SHIFTS),
    **dict.fromkeys(("shift_sd", "shift_jitter", "jitter", "sigma", "max_psi_error"), _DEVIATIONS),
    "local": (1e-3, 180.0),
    "ssnr": (1e-9, 1e9),
    "snr": (1e-9, 1e9),
    "sigma_clip": (0.01, 1e3),
    "voltage": CTF_LIMITS["voltage_kv"][:2],
    "cs": (0.0, CTF_LIMITS["spherical_aberration_mm"][1]),
    "astigmatism": (0.0, 100.0),
    "threads": (1, 4096),
    "memory": (1 << 16, 1 << 60),
    "iterations": (1, 1000),
    "rounds": (1, 1000),
    "pictures": (0, 10_000),
    "box": (1, 8192),
    "downsample": (1, 8192),
    "count": (1, 10**9),
    "nodes": (1, 10**8),
    "n_views": (1, 10**6),
    "stacks": (1, 10**6),
    "optics_groups": (1, 10**6),
}
"""Smallest and largest value of parameters, both included, by name: the same name means the same in every command."""
HINTS = {
    "memory": _MEMORY_HINT,
    **dict.fromkeys(("angpix", "pixel_size", "map_angpix", "coordinate_angpix"), "it is counted in Angstrom"),
}
"""What to do about a value beyond them."""
LARGEST = 1e30
"""Of any other number."""
MOST = 1 << 53
"""Of any other count."""
