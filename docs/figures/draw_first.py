#!/usr/bin/env python3
"""Draw the README's picture (docs/figures/first.png): particles of the demo, their averages, and the references.

Usage: python docs/figures/draw_first.py   (runs the demo's command into a folder of its own; some seconds)
"""

import os
import tempfile
from pathlib import Path

import matplotlib
import mrcfile
import numpy as np
import starfile
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from cryoalign.cli.main import main as cryoalign

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data" / "demo"
SIZE, GAP, TOP = 102, 4, 18  # pixels: of an image, between images, for the titles


def images_of(folder):
    """Return for each class (first particle as it is, average, reference, number of particles)."""
    references = mrcfile.read(DEMO / "references.mrcs")
    averages, lines = mrcfile.read(folder / "averages.mrcs"), starfile.read(folder / "averages.star")
    lines = lines if "rlnReferenceImage" in lines else next(t for t in lines.values() if "rlnReferenceImage" in t)
    particles = starfile.read(folder / "particles.star")["particles"]
    for number in range(1, len(references) + 1):
        mine = particles[particles["rlnClassNumber"] == number]
        frame, stack = mine["rlnImageName"].iloc[0].split("@")
        particle = mrcfile.mmap(ROOT / stack).data[int(frame) - 1]
        # Rows of averages.star are in the order of the stack.
        place = [int(name.split("@")[0]) for name in lines["rlnReferenceImage"]].index(number)
        yield particle, averages[place], references[number - 1], len(mine)


def main():
    """Run, draw and write."""
    os.chdir(ROOT)  # image names in the demo's STAR file start there
    with tempfile.TemporaryDirectory() as name:
        words = f"align {DEMO}/particles.star --reference {DEMO}/references.mrcs -o {name}/run -q --no-write-stack"
        if cryoalign(words.split()):
            raise SystemExit("the demo failed")
        classes = list(images_of(Path(name) / "run"))
    width, height = 9 * SIZE + 6 * GAP + 2 * 4 * GAP, SIZE + TOP
    figure = plt.figure(figsize=(width / 100, height / 100), dpi=100)
    left = 0
    for particle, average, reference, count in classes:
        for image, title in ((particle, "one particle"), (average, f"average of {count}"), (reference, "reference")):
            axes = figure.add_axes((left / width, 0, SIZE / width, SIZE / height))
            low, high = np.percentile(image, (0.5, 99.7))
            axes.imshow(image, cmap="gray", vmin=low, vmax=high)
            axes.set_title(title, fontsize=8, pad=3)
            axes.set_axis_off()
            left += SIZE + GAP
        left += 3 * GAP
    figure.canvas.draw()
    grey = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("L")
    grey.save(Path(__file__).with_name("first.png"), optimize=True)


if __name__ == "__main__":
    main()
