"""What the pixels say: which images cannot be used, how their backgrounds are, and whether particles are bright."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.background import Background, normalise
from cryoalign.core.evenly import evenly_spread
from cryoalign.core.masks import background_region, centre_offsets
from cryoalign.core.tiles import TILE, map_tiles
from cryoalign.io.particle_set import BoxGroup
from cryoalign.io.particles import ParticleSet
from cryoalign.io.stacks import StackSource, bad_images
from cryoalign.jobs.check.parameters import CheckParameters
from cryoalign.jobs.check.problems import MOST_ROWS, Problems
from cryoalign.passes.bad_rows import WHERE_IT_STANDS_OUT
from cryoalign.passes.normalised import STANDS_OUT_Z, StackBackground

SAMPLE_ROWS = 2000
"""Images that are looked at, of each geometry, where not all are."""
_OFF_LEVEL, _OFF_DEVIATION, _OFF_PLANE = 0.3, 0.15, 1.0
"""By so much the background of a normalised image may differ from 0, 1 and a level plane: discs of programs differ."""
_OFF_SHARE = 0.05
_MIDDLE = 0.4
"""Diameter of the disc where a particle is, whatever its size, as a share of the box."""
_SURE_Z = 5.0
_NAMED = 5


@dataclass(frozen=True, eq=False)
class Look:
    """What was seen of the images of one geometry.

    Parameters
    ----------
    group
        The geometry.
    rows
        0-based rows of the table that were looked at, (m,).
    reasons
        Why images cannot be used, by their place in ``rows``.
    background
        Of the m images.
    middle
        Mean in the middle of each, in deviations of its background, (m,).
    """

    group: BoxGroup
    rows: NDArray[np.int64]
    reasons: dict[int, str]
    background: Background
    middle: NDArray[np.float64]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which images have a background that can be normalised, (m,)."""
        return np.isfinite(self.background.deviation) & (self.background.deviation > 0)

    @property
    def stack(self) -> StackBackground:
        """How the backgrounds are spread."""
        return StackBackground.of(self.background)

    @property
    def off(self) -> NDArray[np.bool_]:
        """Which images are not normalised, (m,)."""
        found = self.background
        plane = self.group.box * np.maximum(np.abs(found.slope_x), np.abs(found.slope_y))
        with np.errstate(invalid="ignore", divide="ignore"):
            off = (np.abs(found.mean) > _OFF_LEVEL) | (np.abs(np.log(found.deviation)) > _OFF_DEVIATION)
        return self.good & (off | (plane > _OFF_PLANE))

    @property
    def normalised(self) -> bool | None:
        """Whether the images are normalised; None where there is no noise to tell by."""
        if not self.stack.has_noise:
            return None
        return float(self.off[self.good].mean()) <= _OFF_SHARE

    @property
    def contrast(self) -> str:
        """Whether particles are bright or dark; "unknown" where it does not show."""
        middle = self.middle[self.good]
        if len(middle) < 8:
            return "unknown"
        median = float(np.median(middle))
        error = 1.2533 * 1.4826 * float(np.median(np.abs(middle - median))) / np.sqrt(len(middle))
        if abs(median) <= _SURE_Z * error:
            return "unknown"
        return "bright" if median > 0 else "dark"

    def to_json(self) -> dict[str, Any]:
        """Return what programs read."""
        found, good = self.background, self.good
        known = bool(good.any())
        return {
            "box": self.group.box, "pixel_size_angstrom": self.group.pixel_size_angstrom,
            "images": len(self.group.rows), "looked_at": len(self.rows),
            "normalised": self.normalised, "contrast": self.contrast,
            "background_mean": float(np.median(found.mean[good])) if known else None,
            "background_deviation": float(np.median(found.deviation[good])) if known else None,
        }  # fmt: skip


def look_at_pixels(p: CheckParameters, particles: ParticleSet, problems: Problems) -> list[Look]:
    """Read images, all or a sample, and note what is wrong with them; stacks that are refused are left out."""
    if p.pixels == "none":
        return []
    looks = []
    for group in particles.groups_by_box():
        unread = [i for i, stack in enumerate(particles.stacks) if problems.touches(stack) or not stack.is_file()]
        rows = group.rows[~np.isin(particles.stack_index[group.rows], unread)]
        if p.pixels == "sample":
            rows = rows[evenly_spread(SAMPLE_ROWS, len(rows))]
        if not len(rows):
            continue
        diameter = p.mask_diameter_px(group.box, group.pixel_size_angstrom)
        with problems.reading("box"):
            background_region(group.box, diameter)
        with problems.reading("stack"), tempfile.TemporaryDirectory(prefix="cryoalign-") as scratch:
            source = StackSource(particles.take(rows), scratch_dir=Path(scratch))
            look = _look(source, group, rows, diameter, p.threads)
            looks.append(look)
            _note(look, particles, problems)
    return looks


def _look(source: StackSource, group: BoxGroup, rows: NDArray[np.int64], diameter: float, threads: int) -> Look:
    x, y = centre_offsets(group.box)
    middle = np.hypot(x, y) <= 0.5 * _MIDDLE * group.box

    def look(start: int) -> tuple[dict[int, str], Background, NDArray[np.float64]]:
        images = source.read(np.arange(start, min(start + TILE, len(rows))))
        reasons = {start + index: reason for index, reason in bad_images(images)}
        flat, found = normalise(images, diameter)
        return reasons, found, flat[:, middle].mean(axis=1, dtype=np.float64)

    # Errors are noted in the thread that collects them: those of the first tile, which are those of the settings.
    parts = list(map_tiles(look, range(0, len(rows), TILE), threads))
    reasons = {place: reason for found, _, _ in parts for place, reason in found.items()}
    background = Background.joined([found for _, found, _ in parts])
    return Look(group, rows, reasons, background, np.concatenate([part for _, _, part in parts]))


def _note(look: Look, particles: ParticleSet, problems: Problems) -> None:
    names = particles.image_names()

    def add(kind: str, what: str, places: NDArray[np.int64], **more: Any) -> None:
        rows = look.rows[places]
        path, first = particles.where(int(rows[0]))
        listed = [particles.where(int(row))[1] for row in rows[:MOST_ROWS]]
        problems.add(kind, what, path=path, row=first, rows=listed, value=names[int(rows[0])], **more)

    for words in ("NaN or infinite", "constant image"):
        places = np.array([place for place, reason in look.reasons.items() if words in reason], np.int64)
        if len(places):
            what = f"{_counted(len(places), 'image')} with pixels that are {words}" if "NaN" in words else (
                f"{_counted(len(places), 'constant image')}"
            )  # fmt: skip
            add("bad-image", what, places, refused=True, hint="--on-bad-image skip leaves such images out")
    hot = np.flatnonzero(look.background.hot_pixels)
    if len(hot):
        total = int(look.background.hot_pixels.sum())
        add(
            "hot-pixels", f"{_counted(total, 'hot pixel')} in {_counted(len(hot), 'image')}", hot,
            hint="commands replace them as they read, RELION does not; --fix DIR writes a copy without",
        )  # fmt: skip
    stack = look.stack
    if not stack.has_noise:
        return
    z = stack.z(look.background)
    worst, largest = z.argmax(axis=0), z.max(axis=0)
    largest[~look.good] = 0.0
    for at, where in enumerate(WHERE_IT_STANDS_OUT):
        places = np.flatnonzero((largest > STANDS_OUT_Z) & (worst == at))
        if len(places):
            places = places[np.argsort(-largest[places], kind="stable")]
            rows = ", ".join(
                f"row {particles.where(int(look.rows[i]))[1]} (z = {largest[i]:.0f})" for i in places[:_NAMED]
            )
            more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
            add(
                "outlier", f"standing out by the {where}: {_counted(len(places), 'image')}, {rows}{more}", places,
                hint="look at them; --on-bad-image skip leaves them out",
            )  # fmt: skip
    if look.normalised is False:
        off = np.flatnonzero(look.off)
        add(
            "not-normalised", f"{len(off)} of {len(look.rows)} images that were looked at are not normalised", off,
            hint="commands normalise as they read, RELION does not; --fix DIR writes a normalised copy",
        )  # fmt: skip
    if look.contrast == "dark":
        problems.add(
            "contrast", "particles are dark", path=particles.path,
            hint="references and averages are bright as a rule: give --invert",
        )  # fmt: skip


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"
