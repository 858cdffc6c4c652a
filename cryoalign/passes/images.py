"""Rows of a table become tiles of usable images: the one place where passes get their pixels.

What every pass has to know of its images is decided here, once: which rows share a box, where the mask lies, what the
CTF is, which images share a noise spectrum, which half a particle is in, and what becomes of an image that cannot be
used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cryoalign.averaging.exact_sums import fixed_point_scale
from cryoalign.core.ctf import CtfParameters
from cryoalign.core.errors import InputError
from cryoalign.core.masks import background_region
from cryoalign.core.source import ArraySource, ImageSource
from cryoalign.core.tiles import TILE
from cryoalign.io.ctf_columns import NO_CTF, read_ctf
from cryoalign.io.particle_set import ParticleSet, particles_in_memory
from cryoalign.io.stacks import StackSource, usable
from cryoalign.passes.bad_rows import reason_in_words, unusable_image
from cryoalign.passes.halves import half_sets, said_of_halves
from cryoalign.passes.noise import GroupNoise, noise_groups
from cryoalign.passes.normalised import NormalisedSource, look_at
from cryoalign.passes.sampling import Sample
from cryoalign.passes.settings import ImageSettings, NoiseGroup


@dataclass(frozen=True, eq=False)
class ImageGroup:
    """Particles of one box and pixel size.

    Parameters
    ----------
    box, pixel_size_angstrom
        Side in pixels, and pixel size in A.
    rows
        0-based rows of the particle table, ascending.
    source
        Their images as they are compared and added, in the order of ``rows``.
    mask_diameter_px
        Of the particle, in pixels.
    threads
        With which the sample is looked at; they change nothing.
    """

    box: int
    pixel_size_angstrom: float
    rows: NDArray[np.int64]
    source: ImageSource
    mask_diameter_px: float
    threads: int = 1

    @property
    def raw(self) -> ImageSource:
        """Their images as they are on disk."""
        return self.source.raw if isinstance(self.source, NormalisedSource) else self.source

    @property
    def normalised(self) -> bool:
        """Whether the background of every image has mean 0 and deviation 1."""
        return isinstance(self.source, NormalisedSource) and self.source.stack.has_noise

    @cached_property
    def sample(self) -> Sample:
        """What is known of some of the images, each read once."""
        return Sample(self.source, self.threads)

    def good_images(self, places: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the usable ones of the images at some places, and their places."""
        images = self.source.read(places)
        good = usable(images)
        return images[good], places[good]

    def background(self) -> NDArray[np.bool_]:
        """Return the pixels outside the mask, bool (box, box).

        Raises
        ------
        InputError
            If the mask leaves no background.
        """
        return background_region(self.box, self.mask_diameter_px)


@dataclass(frozen=True, eq=False)
class ImageTile:
    """Usable images of one geometry among at most 64 rows.

    Parameters
    ----------
    g
        Their geometry.
    at
        Their places among the rows of the tile, ascending, (t,).
    rows
        Their 0-based rows of the table, (t,).
    images
        As they are compared and added, float32 (t, box, box).
    raw
        As they are on disk; None where they were not asked for.
    """

    g: int
    at: NDArray[np.intp]
    rows: NDArray[np.int64]
    images: NDArray[np.float32]
    raw: NDArray[np.float32] | None = None

    def in_slots(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the images each in the slot of its row, zeros elsewhere, (count, box, box), and which slots are full.

        The bits of matrix products depend on the slot.
        """
        if len(self.at) == count:
            return self.images, np.ones(count, bool)
        images = np.zeros((count, *self.images.shape[1:]), np.float32)
        valid = np.zeros(count, bool)
        images[self.at], valid[self.at] = self.images, True
        return images, valid


@dataclass(frozen=True, eq=False)
class ParticleImages:
    """The images of a table of n particles.

    Parameters
    ----------
    particles, settings
        The table, and how its pixels are read.
    groups
        The particles of each geometry, in the order in which these appear.
    group_of, place_in
        Geometry of each row, and its place in that geometry's rows, (n,).
    ctf
        Of each row; None where it is not used.
    mask_diameter_angstrom
        Of the particle: as given, or 0.8 of the box that most particles have.
    noise_group
        What shares a noise spectrum.
    """

    particles: ParticleSet
    settings: ImageSettings
    groups: tuple[ImageGroup, ...]
    group_of: NDArray[np.int64]
    place_in: NDArray[np.int64]
    ctf: CtfParameters | None
    mask_diameter_angstrom: float
    noise_group: NoiseGroup = "optics"

    @classmethod
    def of(
        cls, particles: ParticleSet, settings: ImageSettings, *, scratch: Path, warn: Callable[[str], None],
        threads: int = 1,
    ) -> ParticleImages:  # fmt: skip
        """Look at a table's geometries and CTF; no pixel is read.

        Parameters
        ----------
        particles, settings
            The table, and how its pixels are read.
        scratch
            Where compressed stacks may be unpacked.
        warn
            Called with one sentence for each thing the user should know.
        threads
            With which some images are looked at first; they change nothing.

        Raises
        ------
        InputError
            Where a needed column is missing, or the mask leaves no background.
        """
        ctf = read_ctf(particles) if settings.uses_ctf else None
        if settings.uses_ctf and ctf is None and particles.dialect != "references":  # averages have none
            said = next((text for text in particles.warnings if text.startswith(NO_CTF)), "")
            warn(f"the CTF is not corrected: {said.removeprefix(NO_CTF) or 'the metadata do not allow it'}")
        boxes = particles.groups_by_box()
        most = max(boxes, key=lambda group: len(group.rows))
        diameter = settings.mask_diameter_angstrom(most.box, most.pixel_size_angstrom)
        group_of, place_in = np.zeros(len(particles), np.int64), np.zeros(len(particles), np.int64)
        groups = []
        for g, (box, pixel, rows) in enumerate(boxes):
            group_of[rows], place_in[rows] = g, np.arange(len(rows))
            if box % 2:
                warn(f"the box of {box} px is odd: RELION refines even boxes only")
            raw = StackSource(particles.take(rows), invert=settings.invert, scratch_dir=scratch)
            # Averages have the noise of as many images as they have members: its size says nothing about theirs.
            as_read = not settings.normalize or particles.dialect == "references"
            source = raw if as_read else _normalised(raw, diameter / pixel, settings, threads)
            groups.append(ImageGroup(box, pixel, rows, source, diameter / pixel, threads))
        kind: NoiseGroup = getattr(settings, "noise_group", "optics")
        images = cls(particles, settings, tuple(groups), group_of, place_in, ctf, diameter, kind)
        images.most.background()
        for text in said_of_halves(particles, images.half) if settings.uses_halves else ():
            warn(text)
        return images

    @classmethod
    def of_array(
        cls,
        images: NDArray[np.floating],
        settings: ImageSettings,
        pixel_size_angstrom: float,
        ctf: CtfParameters | None,
    ) -> ParticleImages:  # fmt: skip
        """Take images (n, L, L) that are in memory, with their CTF if they have one.

        Raises
        ------
        InputError
            If the mask leaves no background, or there is not one CTF for each image.
        """
        if images.ndim != 3 or images.shape[1] != images.shape[2] or not len(images):
            raise InputError("images are an array of shape (n, L, L)", value=images.shape)
        particles = particles_in_memory(len(images), images.shape[-1], pixel_size_angstrom)
        if ctf is not None and len(ctf.voltage_kv) != len(images):
            raise InputError(f"{len(images)} images need as many CTFs", value=len(ctf.voltage_kv))
        diameter = settings.mask_diameter_angstrom(images.shape[-1], pixel_size_angstrom)
        rows = np.arange(len(images))
        raw, diameter_px = ArraySource(-images if settings.invert else images), diameter / pixel_size_angstrom
        source = _normalised(raw, diameter_px, settings) if settings.normalize else raw
        group = ImageGroup(images.shape[-1], pixel_size_angstrom, rows, source, diameter_px)
        group.background()
        used = ctf if settings.uses_ctf else None
        return cls(particles, settings, (group,), np.zeros_like(rows), rows, used, diameter)

    def __len__(self) -> int:
        """Count the particles."""
        return len(self.particles)

    @property
    def most(self) -> ImageGroup:
        """The geometry that most particles have."""
        return max(self.groups, key=lambda group: len(group.rows))

    def for_settings(self, settings: ImageSettings) -> ParticleImages:
        """Return the images for a pass that was told more: without their CTF where it is not used."""
        return self if settings.uses_ctf or self.ctf is None else replace(self, ctf=None)

    def with_sources(self, sources: list[ImageSource]) -> ParticleImages:
        """Return the same table with other images, one source a geometry."""
        groups = (replace(group, source=source) for group, source in zip(self.groups, sources, strict=True))
        return replace(self, groups=tuple(groups))

    @cached_property
    def half(self) -> NDArray[np.int8]:
        """Half set of each row, 0 or 1, (n,)."""
        return half_sets(self.particles)

    @cached_property
    def noise(self) -> tuple[GroupNoise, ...]:
        """Noise of each geometry, measured on the first call.

        Raises
        ------
        InputError
            If noise groups need a column that is not there, or no image can be used.
        """
        found = []
        for group in self.groups:
            members, names = noise_groups(self.noise_group, self.particles, group.rows)
            found.append(GroupNoise(group.sample.noise_power(members, group.mask_diameter_px), members, names))
        return tuple(found)

    @cached_property
    def noise_group_of(self) -> NDArray[np.int64]:
        """Noise group of each row within its geometry, (n,)."""
        index = np.zeros(len(self), np.int64)
        for group, noise in zip(self.groups, self.noise, strict=True):
            for number, members in enumerate(noise.members):
                index[group.rows[members]] = number
        return index

    def sum_scale(self, g: int) -> float:
        """Return the fixed-point scale of sums of a geometry; images of deviation 1 need not be looked at."""
        group = self.groups[g]
        return fixed_point_scale(1.0) if group.normalised else group.sample.sum_scale()

    def ctf_of(self, rows: NDArray[np.integer]) -> CtfParameters | None:
        """Return the CTF of some rows."""
        return None if self.ctf is None else self.ctf.take(rows)

    def read(
        self, g: int, rows: NDArray[np.int64], *, raw: bool = False
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray]:
        """Return the images of some rows of one geometry, as they are on disk where ``raw`` asks for it, and ``LOOK``.

        Raises
        ------
        InputError
            For an image that cannot be used, where such images are errors.
        """
        group = self.groups[g]
        read = group.raw.read(self.place_in[rows])
        if isinstance(group.source, NormalisedSource):
            images, look = group.source.look(read, in_place=not raw)
        else:
            images, look = read, look_at(read)
        bad = np.flatnonzero(look["reason"])
        if len(bad) and self.settings.on_bad_image == "error":
            first = int(bad[0])
            reason = reason_in_words(read[first], int(look["reason"][first]))
            raise unusable_image(self.particles, int(rows[first]), reason)
        return images, read if raw else None, look

    def tiles(
        self, rows: NDArray[np.int64], look: NDArray, *, raw: bool = False
    ) -> Iterator[tuple[slice, list[ImageTile]]]:
        """Read rows in tiles of 64.

        Parameters
        ----------
        rows
            In the order of the work, (k,).
        look
            ``LOOK`` (k,); gets what is seen of the images.
        raw
            Keep the images as they are on disk too.

        Yields
        ------
        slice, list
            Where the tile lies in ``rows``, and what it holds of each geometry.
        """
        for start in range(0, len(rows), TILE):
            where = slice(start, min(start + TILE, len(rows)))
            here = rows[where]
            geometry = self.group_of[here]
            tiles = []
            for g in np.unique(geometry).tolist():
                at = np.flatnonzero(geometry == g)
                images, as_read, seen = self.read(g, here[at], raw=raw)
                look[where][at] = seen
                if seen["reason"].any():
                    good = seen["reason"] == 0
                    at, images, as_read = at[good], images[good], None if as_read is None else as_read[good]
                tiles.append(ImageTile(g, at, here[at], images, as_read))
            yield where, tiles


def _normalised(raw: ImageSource, diameter_px: float, settings: ImageSettings, threads: int = 1) -> NormalisedSource:
    return NormalisedSource(raw, diameter_px, skip=settings.on_bad_image == "skip", threads=threads)


@dataclass(frozen=True, eq=False)
class ImagePlan:
    """What the plans of all passes have in common: the images that they go over."""

    images: ParticleImages

    @property
    def particles(self) -> ParticleSet:
        """The whole table."""
        return self.images.particles

    @property
    def ctf(self) -> CtfParameters | None:
        """CTF of each row; None where it is not used."""
        return self.images.ctf

    @property
    def geometry_of(self) -> NDArray[np.int64]:
        """Geometry of each row, (n,)."""
        return self.images.group_of

    @property
    def place_in(self) -> NDArray[np.int64]:
        """Place of each row among those of its geometry, (n,)."""
        return self.images.place_in

    @property
    def half(self) -> NDArray[np.int8]:
        """Half set of each row, 0 or 1, (n,)."""
        return self.images.half

    @property
    def mask_diameter_angstrom(self) -> float:
        """Diameter of the mask in A."""
        return self.images.mask_diameter_angstrom
