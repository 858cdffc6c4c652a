"""What a strategy sees of the particles of ``align`` before the first round."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from cryoalign.alignment.strategy import PreparedImages, StartSettings
from cryoalign.core.errors import InputError
from cryoalign.core.filters import same_geometry
from cryoalign.core.limits import SAME_PIXEL
from cryoalign.io.references import read_references
from cryoalign.io.stacks import usable
from cryoalign.jobs.align.parameters import AlignParameters
from cryoalign.passes.images import ParticleImages
from cryoalign.runs.parameters import settings_from
from cryoalign.runs.rundir import RunDirectory

_SHOWN = 20


class ParticlesToStart:
    """The particles and references of a run, as :class:`cryoalign.alignment.strategy.StartSource` has it.

    Parameters
    ----------
    p, images, run
        What was asked for, the particles, and the run that keeps what is found.

    Attributes
    ----------
    class_numbers
        Of the references that were given, (m,), once they are read; None where none are.
    """

    def __init__(self, p: AlignParameters, images: ParticleImages, run: RunDirectory) -> None:
        self._p, self._images, self._run = p, images, run
        self.class_numbers: NDArray[np.int64] | None = None

    @property
    def settings(self) -> StartSettings:
        """What was asked for; lengths are in pixels of most particles."""
        p, most = self._p, self._images.most
        reach = p.max_shift_in(most.box, most.pixel_size_angstrom)
        return StartSettings(classes=p.classes, max_shift_px=reach, mirror=p.mirror, seed=p.seed, threads=p.threads)

    def given(self) -> tuple[NDArray[np.float32], float]:
        """Read the references and settle their pixel size; headers round, so the optics table decides if they agree."""
        p, groups = self._p, self._images.groups
        assert p.reference is not None
        with self._run.stage("read"):
            references, pixel = read_references(
                p.reference, datadir=p.datadir, default_angpix=groups[0].pixel_size_angstrom, blank=True
            )
            self.class_numbers = np.flatnonzero(usable(references)) + 1
            references = self._without_blank(references)
        box, words = references.shape[-1], "reference" if len(references) == 1 else "references"
        of_box = [group.pixel_size_angstrom for group in groups if group.box == box]
        nearest = min(of_box, key=lambda size: abs(size / pixel - 1), default=pixel)
        if abs(nearest / pixel - 1) < SAME_PIXEL or (p.angpix is not None and of_box):
            pixel = nearest
        self.say(f"read {len(references)} {words} of {box} px, {pixel:g} A")
        if p.resize_reference and not any(same_geometry(box, pixel, g.box, g.pixel_size_angstrom) for g in groups):
            self.say(f"the {words} are resampled to {groups[0].box} px at {groups[0].pixel_size_angstrom:g} A")
        return references, pixel

    def _without_blank(self, references: NDArray[np.float32]) -> NDArray[np.float32]:
        """Leave out references that show nothing, such as RELION's classes without members."""
        assert self.class_numbers is not None
        blank = np.setdiff1d(np.arange(1, len(references) + 1), self.class_numbers)
        if not len(self.class_numbers):
            raise InputError("all references are blank", path=self._p.reference)
        if len(blank):
            shown = ", ".join(map(str, blank[:_SHOWN])) + (" ..." if len(blank) > _SHOWN else "")
            self._run.warn(
                f"{self._p.reference}: {len(blank)} of {len(references)} references are blank and left out ({shown}); "
                "the others keep their class numbers"
            )
        return references[self.class_numbers - 1]

    def prepared(self) -> PreparedImages:
        """Make the particles comparable, as they are aligned as far as both know an option."""
        from cryoalign.passes.prepare.prepared import prepare
        from cryoalign.passes.prepare.settings import ComparisonSettings

        settings = settings_from(ComparisonSettings, self._p, metric=ComparisonSettings.metric)
        found = prepare(settings, self._images, self._run, block_size=self._p.block_size)
        assert found is not None, "job arrays are refused with these strategies"
        plan = found.plan
        same = next(g for g in plan.geometries if g.box == plan.raw_box)
        return PreparedImages(found.images, plan.radius_px, plan.raw_box, plan.raw_pixel_size, same.gain.mean(axis=0))

    def keep(self, make: Callable[[], Mapping[str, NDArray]]) -> Mapping[str, NDArray]:
        """Return what a function makes, or what it made before the run was interrupted."""
        store = self._run.parts("start")
        if not store.has(0):
            with self._run.stage("start"):
                store.save(0, make())
        return store.load(0)

    def say(self, text: str) -> None:
        """Tell the log."""
        self._run.log.info("%s", text)
