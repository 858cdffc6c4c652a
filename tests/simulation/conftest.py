"""Running relion_project."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoalign.core.ctf import CtfParameters
from cryoalign.core.poses import Poses
from cryoalign.io.star import write_star


class RelionProject:
    """Projects maps with relion_project in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, voxels, pixel_size: float, star: Path, *options: str) -> np.ndarray:
        """Return the projections at the poses of a STAR file, float32 of shape (n, L, L)."""
        mrcfile.write(self.folder / "map.mrc", np.asarray(voxels, np.float32), overwrite=True, voxel_size=pixel_size)
        words = ["--i", "map.mrc", "--o", "out", "--ang", str(star), "--angpix", str(pixel_size), *options]
        done = subprocess.run(["relion_project", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-1500:]
        with mrcfile.open(self.folder / "out.mrcs", permissive=True) as stack:
            return np.array(stack.data)

    def project(self, voxels, pixel_size: float, rot, tilt, poses: Poses, ctf: CtfParameters | None) -> np.ndarray:
        """Return projections at the given poses and CTF."""
        import pandas as pd

        columns = {"rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": poses.psi}
        columns |= {"rlnOriginXAngst": poses.dx * pixel_size, "rlnOriginYAngst": poses.dy * pixel_size}
        optics = {"rlnOpticsGroup": 1, "rlnOpticsGroupName": "one", "rlnVoltage": 300, "rlnSphericalAberration": 2.7}
        if ctf is not None:
            columns |= {
                "rlnDefocusU": ctf.defocus_u_angstrom, "rlnDefocusV": ctf.defocus_v_angstrom,
                "rlnDefocusAngle": ctf.defocus_angle_deg, "rlnPhaseShift": ctf.phase_shift_deg,
                "rlnCtfBfactor": ctf.bfactor_angstrom2, "rlnCtfScalefactor": ctf.scale,
            }  # fmt: skip
            optics |= {"rlnVoltage": ctf.voltage_kv[0], "rlnSphericalAberration": ctf.spherical_aberration_mm[0]}
            optics["rlnAmplitudeContrast"] = ctf.amplitude_contrast[0]
        optics |= {"rlnImagePixelSize": pixel_size, "rlnImageSize": len(voxels), "rlnImageDimensionality": 2}
        table = pd.DataFrame({label: [f"{v:.9g}" for v in values] for label, values in columns.items()})
        table["rlnOpticsGroup"] = "1"
        table["rlnImageName"] = [f"{i + 1:06d}@none.mrcs" for i in range(len(poses))]
        optics_table = pd.DataFrame({label: [str(value)] for label, value in optics.items()})
        write_star(self.folder / "poses.star", {"optics": optics_table, "particles": table})
        return self.run(voxels, pixel_size, Path("poses.star"), *(["--ctf"] if ctf is not None else []))


@pytest.fixture
def relion_project(tmp_path) -> RelionProject:
    """Skips, counted, where the binary is missing."""
    if shutil.which("relion_project") is None:
        pytest.skip("RELION: relion_project is not installed")
    return RelionProject(tmp_path)
