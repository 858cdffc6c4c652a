"""The page of `classavg`: verdict, views, classes, resolution, the sphere of views, members, particles, settings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoalign.report.classavg_data import ClassavgReportData
from cryoalign.report.frc_section import frc_section
from cryoalign.report.guard_section import number_text, z_text
from cryoalign.report.naming import VIEWS
from cryoalign.report.numbers import median, plural, text_number
from cryoalign.report.page_parts import whole_page
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM
from cryoalign.report.views_evidence import (
    NO_SIGNAL,
    member_section,
    particle_section,
    signal_section,
    sphere_section,
)
from cryoalign.report.views_gallery import class_section, draw_view_montage, view_section

__all__ = ["build_classavg_page", "draw_view_montage", "summary_sentence"]


def build_classavg_page(data: ClassavgReportData) -> str:
    """Return report.html as text."""
    return whole_page(
        data,
        alarm=_alarm(data),
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        sections=(
            ("signal", "Is there a signal?", signal_section(data)),
            ("views", "Views", view_section(data)),
            ("classes", "Classes for RELION", class_section(data)),
            (
                "frc",
                "Halves and resolution of views",
                frc_section(data.frc, data.view_members, data.box, data.pixel_size_angstrom, data.halves, naming=VIEWS),
            ),
            ("sphere", "Where the views lie", sphere_section(data)),
            ("members", "Members of views", member_section(data)),
            ("particles", "Particles", particle_section(data)),
        ),
    )


def summary_sentence(data: ClassavgReportData) -> str:
    """Say in one breath what came out."""
    return (
        f"{data.particles:,} {plural(data.particles, 'particle')}, {len(data.views):,} "
        f"{plural(len(data.views), 'view')} of {_sizes(data)} ({data.algorithm}, {data.rounds:,} "
        f"{plural(data.rounds, 'round')}): {_signal_words(data)}{_resolution_words(data)}; "
        f"{len(data.warnings) or 'no'} {plural(len(data.warnings), 'warning')}."
    )


def _alarm(data: ClassavgReportData) -> tuple[str, str] | None:
    if data.signal is None or data.signal.signal:
        return None
    words = (
        "Neighbours were found with one half of what the particles show, and compared in the other half. "
        f"{NO_SIGNAL} (z = {z_text(data.signal.z)}, share {number_text(data.signal.share, 2)}; wanted "
        f"{data.signal.z_threshold:g} and {data.signal.share_threshold:g}.)"
    )
    return "No consistent signal found", words


def _sizes(data: ClassavgReportData) -> str:
    sizes = np.array([data.view_members[number] for number in data.views])
    if sizes.min() == sizes.max():
        return f"{sizes[0]:,} {plural(int(sizes[0]), 'image')}" + (" each" if len(sizes) > 1 else "")
    return f"{sizes.min():,} to {sizes.max():,} images"


def _signal_words(data: ClassavgReportData) -> str:
    if data.signal is None:
        return "signal not tested, "
    verdict = "signal" if data.signal.signal else "no consistent signal"
    return f"{verdict} (z = {z_text(data.signal.z)}, share {number_text(data.signal.share, 2)}), "


def _resolved(data: ClassavgReportData) -> list[float]:
    return [
        curve.resolution_angstrom
        for curve in data.frc.values()
        if curve.independent and curve.resolution_angstrom < NOT_RESOLVED_ANGSTROM
    ]


def _resolution_words(data: ClassavgReportData) -> str:
    resolved = _resolved(data)
    if not data.frc:
        return "no halves, so no resolution"
    if not any(curve.independent for curve in data.frc.values()):
        return "no resolution, as the halves share their references"
    if not resolved:
        bounds = [curve.bound_angstrom(data.box * data.pixel_size_angstrom) for curve in data.frc.values()]
        known = [bound for bound in bounds if bound is not None]
        at_best = f", at best {text_number(median(known))} Å (median)" if len(known) == len(bounds) else ""
        return f"no independent resolution of {len(data.frc):,} {plural(len(data.frc), 'view')}{at_best}"
    middle = "median resolution" if len(data.frc) > 1 else "resolution"
    some = f", {len(resolved):,} of {len(data.frc):,} views resolved" if len(resolved) < len(data.frc) else ""
    return f"{middle} {text_number(median(resolved))} Å from independent halves{some}"


def _facts(data: ClassavgReportData) -> Iterator[tuple[str, str, str]]:
    read = data.counts.get("read")
    yield "Particles", f"{data.particles:,}", f"of {read:,} read" if isinstance(read, int) else "classified"
    yield "Views", f"{len(data.views):,}", f"of {_sizes(data)}; k = {data.k:,}"
    if data.classes:
        yield "Classes for RELION", f"{len(data.classes):,}", "every particle in one of them"
    if data.signal is not None:
        verdict = "yes" if data.signal.signal else "none found"
        yield "Signal", verdict, f"z {z_text(data.signal.z)}, share {number_text(data.signal.share, 2)}"
    resolved = _resolved(data)
    if resolved:
        yield "Best resolution", f"{text_number(min(resolved))} Å", "independent halves, 0.143"
    if data.shift_sd_angstrom is not None:
        pixels = data.shift_sd_angstrom / data.pixel_size_angstrom
        yield "Shift", f"{text_number(data.shift_sd_angstrom, 2)} Å", f"standard deviation, {text_number(pixels, 2)} px"
    else:
        yield "Shift", "not searched", "particles are taken as centred"
    members = data.members
    if members is not None and members.mirror is not None and len(members):
        yield "Mirrored", f"{100 * float(np.mean(members.mirror)):.1f} %", "of memberships; 50 % if views are even"
    yield "Rounds", f"{data.rounds:,}", f"of {data.algorithm}"
    yield "Pixel", f"{data.pixel_size_angstrom:.4g} Å", f"box {data.box} px"
