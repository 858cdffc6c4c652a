"""Run by ASPIRE's own Python: one JSON argument; classifies a STAR file and averages, and prints costs as a JSON line.

{"mode": "classify", "average" (classes from "classes": FILE.npz) or "default", "star": FILE,
 "out": FILE.npz, "prepare": [...], "neighbours": k with the image
itself, "rows": number of classes to align and average, "averager": "BFT" (2 px, as in the
Default source) or "BFT0" (rotations alone, as in the Legacy source)}
"""

import json
import logging
import resource
import sys
from pathlib import Path

logging.disable(logging.WARNING)


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def source_of(star: str, steps: list[str]):
    """Read particles and prepare them with ASPIRE's own steps, in the order of its pipelines."""
    from aspire.noise import AnisotropicNoiseEstimator
    from aspire.source import ArrayImageSource, RelionSource

    source = RelionSource(star, data_folder=str(Path(star).parent))
    for step in steps:
        if step == "phase_flip":
            source = source.phase_flip()
        elif step == "normalize_background":
            source = source.normalize_background()
        elif step == "whiten":
            source = source.whiten(AnisotropicNoiseEstimator(source))
        elif step.startswith("downsample"):
            source = source.downsample(int(step.removeprefix("downsample")))
        else:
            raise ValueError(step)
    if steps:
        # Without the CTF filters, one a particle, that its covariance would go through: 16 CPU s, not 79.
        return ArrayImageSource(source.images[:], pixel_size=source.pixel_size)
    return source.cache()


def main() -> None:
    """Classify with the defaults of ASPIRE's class average sources; align and average as told."""
    task = json.loads(sys.argv[1])
    stages = {}
    mark = cpu_seconds()

    def stage(name: str) -> None:
        nonlocal mark
        now = cpu_seconds()
        stages[name], mark = now - mark, now

    import numpy as np
    from aspire.basis import FFBBasis2D
    from aspire.classification import BFTAverager2D, RIRClass2D
    from aspire.denoising import DefaultClassAvgSource

    stage("start")
    source = source_of(task["star"], task["prepare"])
    stage("read")
    if task["mode"] == "default":
        averages = DefaultClassAvgSource(source, n_nbor=task["neighbours"])
        np.savez(task["out"], averages=averages.images[:].asnumpy())
        stage("default source")
    else:
        if task["mode"] == "average":
            with np.load(task["classes"]) as stored:
                classes, mirrored, distances = (stored[name] for name in ("index", "mirror", "distance"))
        else:
            # The parameters that DebugClassAvgSource and DefaultClassAvgSource share.
            classifier = RIRClass2D(
                source,
                fspca_components=400,
                bispectrum_components=300,
                n_nbor=task["neighbours"],
                large_pca_implementation="legacy",
                nn_implementation="sklearn",
                bispectrum_implementation="legacy",
                seed=1,
            )
            classes, mirrored, distances = classifier.classify()
            stage("classification")
        found = {"index": classes, "mirror": mirrored, "distance": distances}
        radius = {"BFT0": 0, "BFT": None}[task["averager"]]
        averager = BFTAverager2D(FFBBasis2D(source.L, dtype=source.dtype), source, radius=radius)
        rows = slice(0, task["rows"])
        timed, align = {}, averager.align

        def timed_align(*given):
            start = cpu_seconds()
            result = align(*given)
            timed["align"] = cpu_seconds() - start
            return result

        averager.align = timed_align
        found["averages"] = averager.average(classes[rows], mirrored[rows]).asnumpy()
        stage("average")
        stages["align"] = timed["align"]
        stages["average"] -= timed["align"]
        found["rotation"] = np.array([averager.rotations[c] for c in classes[rows, 0]])
        found["shift"] = np.array([averager.shifts[c] for c in classes[rows, 0]])
        np.savez(task["out"], **found)
    print(json.dumps({"stages": stages, "cpu": cpu_seconds()}))


if __name__ == "__main__":
    main()
