"""Run by ASPIRE's own Python: FOLDER RADIUS N_IMAGES; prints one JSON line with pairs, CPU seconds and pose errors."""

import json
import logging
import resource
import sys
from pathlib import Path

logging.disable(logging.WARNING)

import mrcfile  # noqa: E402
import numpy as np  # noqa: E402
from aspire.basis import FFBBasis2D  # noqa: E402
from aspire.classification.averager2d import BFTAverager2D  # noqa: E402
from aspire.source import ArrayImageSource  # noqa: E402


def cpu_seconds() -> float:
    """Return the CPU time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Align images to references."""
    folder, radius, n_images = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    references = mrcfile.read(folder / "references.mrcs").astype(np.float32)
    references = references.reshape(-1, *references.shape[-2:])
    images = np.asarray(mrcfile.mmap(folder / "particles.mrcs").data[:n_images], dtype=np.float32)
    count = len(references)
    source = ArrayImageSource(np.concatenate([references, images]), pixel_size=1.5)
    members = np.tile(np.arange(count, count + n_images), (count, 1))
    classes = np.concatenate([np.arange(count)[:, None], members], axis=1)
    basis = FFBBasis2D(references.shape[-1], dtype=np.float32)
    averager = BFTAverager2D(basis, source, radius=radius)
    start = cpu_seconds()
    _, _, scores = averager.align(classes, np.zeros_like(classes, dtype=bool))
    spent = cpu_seconds() - start
    with np.load(folder / "truth.npz") as truth:
        right = float(np.mean(np.argmax(scores[:, 1:], axis=0) == truth["reference"][:n_images]))
    print(json.dumps({"pairs": count * n_images, "cpu": spent, "rate": count * n_images / spent, "right": right}))


if __name__ == "__main__":
    main()
