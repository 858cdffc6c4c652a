"""What numbers of a microscope and its images can mean: beyond these a unit was mistaken or a file is damaged."""

from __future__ import annotations

PIXEL_SIZES_ANGSTROM = (0.01, 1000.0)
"""Smallest and largest pixel size."""
SAME_GEOMETRY = 1e-4
"""Pixel sizes that agree to this share are one: nothing is resampled between them."""
SAME_PIXEL = 1e-3
"""To this share a header may round the pixel size of a table: beyond it images are of another scale."""
LARGEST_BOX = 1 << 16
"""Pixels of a side."""
LARGEST_ANGLE_DEG = 3600.0
"""Turns add up, but not for ever; RELION marks unknown angles with -999."""
UNKNOWN_ANGLE = -999.0
CTF_LIMITS: dict[str, tuple[float, float, str, str]] = {
    "voltage_kv": (10.0, 5000.0, "kV", "300 kV are written as 300"),
    "spherical_aberration_mm": (-100.0, 100.0, "mm", "2.7 mm are written as 2.7"),
    "amplitude_contrast": (0.0, 1.0, "", "10 % are written as 0.1"),
    "defocus_u_angstrom": (-1e6, 1e6, "A", "1.5 um are written as 15000"),
    "defocus_v_angstrom": (-1e6, 1e6, "A", "1.5 um are written as 15000"),
    "defocus_angle_deg": (-720.0, 720.0, "degrees", "-999 stands for unknown"),
    "phase_shift_deg": (-720.0, 720.0, "degrees", "-999 stands for unknown"),
    "bfactor_angstrom2": (-1e5, 1e5, "A^2", "a positive one damps"),
    "scale": (1e-3, 1e3, "", "1 leaves the CTF as it is"),
}
"""Of each CTF parameter (`cryoalign.core.ctf.CtfParameters`): least and largest value, unit, and how it is written."""
SMALLEST_DEFOCUS_ANGSTROM = 50.0
"""Nearer to focus, but not in it, is a number of um."""
LARGEST_CTF = 100.0
"""A scale and a B factor that take the CTF beyond this at the Nyquist frequency are a mistake."""
