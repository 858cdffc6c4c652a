"""What a check found, as lines for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryoalign.io.ctf_columns import NO_CTF
from cryoalign.io.optics import MATRIX_LABELS
from cryoalign.io.particles import ParticleSet
from cryoalign.jobs.check.pixels import Look
from cryoalign.jobs.check.problems import Problem, Problems
from cryoalign.jobs.check.tables import ctf_in_words

_SHOWN = 10
"""Problems of a kind that are told in words."""


@dataclass(frozen=True, eq=False)
class CheckReport:
    """Everything that a check found.

    Parameters
    ----------
    problems
        What is wrong.
    particles
        As they were read; None where there are none, or they cannot be read.
    looks
        What was seen of their pixels, a geometry each.
    others
        A line for each file of references or edges.
    """

    problems: Problems
    particles: ParticleSet | None
    looks: Sequence[Look]
    others: Sequence[str]

    @property
    def exit_status(self) -> int:
        """1 where a run would refuse to start, else 0."""
        return 1 if self.problems.refused else 0

    def to_json(self) -> dict[str, Any]:
        """Return what programs read."""
        particles = self.particles
        facts: dict[str, Any] = {"others": list(self.others)}
        if particles is not None:
            facts["particles"] = {
                "rows": len(particles), "stacks": len(particles.stacks), "dialect": particles.dialect,
                "optics_groups": len(particles.optics), "ctf": ctf_in_words(particles),
                "notes": particles.warnings, "images": [look.to_json() for look in self.looks],
            }  # fmt: skip
        return {
            "refused": self.problems.refused, "problems": [problem.to_json() for problem in self.problems], **facts
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return what people read."""
        lines = [] if self.particles is None else _about(self.particles, self.looks)
        lines += self.others
        for refused, head in ((True, "A run would refuse:"), (False, "To know:")):
            found = [problem for problem in self.problems if problem.refused == refused]
            if found:
                lines += ["", head, *_listed(found)]
        refused_count = sum(problem.refused for problem in self.problems)
        others = len(self.problems) - refused_count
        if not len(self.problems):
            return [*lines, "no problem found"]
        return [*lines, "", f"{_counted(refused_count, 'problem')} that a run would refuse, {others} other"]


def _about(particles: ParticleSet, looks: Sequence[Look]) -> list[str]:
    name = particles.path or f"{len(particles.sources)} files"
    lines = [
        f"{name}: {_counted(len(particles), 'particle')} in {_counted(len(particles.stacks), 'stack')} "
        f"({particles.dialect}), {_counted(len(particles.optics), 'optics group')}"
    ]
    for group in particles.groups_by_box():
        lines.append(f"  {len(group.rows)} of {group.box} px at {group.pixel_size_angstrom:g} A")
    lines.append(f"  the CTF {ctf_in_words(particles)}")
    if any(label in particles.optics for label in MATRIX_LABELS):
        lines.append("  the optics table has magnification matrices; --apply-mag-matrix of a command corrects by them")
    lines += [f"  {_seen(look)}" for look in looks]
    notes = list(dict.fromkeys(particles.warnings))
    return [*lines, *(f"  note: {note}" for note in notes[:_SHOWN] if not note.startswith(NO_CTF))]


def _seen(look: Look) -> str:
    words = {True: "normalised", False: "not normalised", None: "without noise outside the mask"}[look.normalised]
    contrast = "contrast unknown" if look.contrast == "unknown" else f"particles {look.contrast}"
    return f"{len(look.rows)} of {len(look.group.rows)} images looked at: {words}, {contrast}"


def _listed(problems: Sequence[Problem]) -> list[str]:
    lines, kinds = [], dict.fromkeys(problem.kind for problem in problems)
    for kind in kinds:
        alike = [problem for problem in problems if problem.kind == kind]
        lines += [f"  {kind}: {problem.error}" for problem in alike[:_SHOWN]]
        if len(alike) > _SHOWN:
            lines.append(f"  {kind}: and {len(alike) - _SHOWN} more; --json lists them all")
    return lines


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'s' if count != 1 else ''}"
