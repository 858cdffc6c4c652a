"""The page and the montage of `classavg`: verdict, views, classes, resolution, the sphere of views, members."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoalign.averaging.frc import THRESHOLD
from cryoalign.classification.classification import LEAST_SHARE, LEAST_Z
from cryoalign.report.classavg_data import ClassavgReportData
from cryoalign.report.frc_section import frc_section
from cryoalign.report.gallery import GalleryEntry, class_sheet, class_sizes, gallery
from cryoalign.report.html import abreast, escape
from cryoalign.report.numbers import median, number_text, plural, shift_fact, text_number, z_text
from cryoalign.report.run_facts import RunFacts, whole_page
from cryoalign.report.views_evidence import (
    NO_SIGNAL,
    member_section,
    particle_section,
    signal_section,
    sphere_section,
)


def build_classavg_page(run: RunFacts, data: ClassavgReportData) -> str:
    """Return report.html as text."""
    return whole_page(
        run,
        alarm=_alarm(data),
        summary=summary_sentence(run, data),
        fact_boxes=_facts(run, data),
        sections=(
            ("signal", "Is there a signal?", signal_section(data.classification.signal)),
            ("views", "Views", _views(data)),
            ("classes", "Classes for RELION", _classes(data)),
            ("frc", "Halves and resolution of views", frc_section(data.views)),
            ("sphere", "Where the views lie", sphere_section(data)),
            ("members", "Members of views", member_section(data)),
            ("particles", "Particles", particle_section(data)),
        ),
    )


def draw_view_montage(run: RunFacts, data: ClassavgReportData) -> bytes:
    """Return montage.png: views, best first; the 400 best of very many."""
    return class_sheet(data.views, _entries(data), run.title, f"{_kind(data)} of each view, and its members.")


def summary_sentence(run: RunFacts, data: ClassavgReportData) -> str:
    """Say in one breath what came out."""
    signal, views, rounds = data.classification.signal, len(data.views.images), data.classification.rounds
    verdict = "signal" if signal.signal else "no consistent signal"
    return (
        f"{data.particles:,} {plural(data.particles, 'particle')}, {views:,} {plural(views, 'view')} of {_sizes(data)} "
        f"({data.algorithm}, {rounds:,} {plural(rounds, 'round')}): {verdict} (z = {z_text(signal.z)}, share "
        f"{number_text(signal.share, 2)}), {_resolution_words(data)}; {run.warned}."
    )


def _alarm(data: ClassavgReportData) -> tuple[str, str] | None:
    signal = data.classification.signal
    if signal.signal:
        return None
    words = (
        "Neighbours were found with one half of what the particles show, and compared in the other half. "
        f"{NO_SIGNAL} (z = {z_text(signal.z)}, share {number_text(signal.share, 2)}; wanted {LEAST_Z:g} and "
        f"{LEAST_SHARE:g}.)"
    )
    return "No consistent signal found", words


def _sizes(data: ClassavgReportData) -> str:
    sizes = np.array([data.views.members[number] for number in data.views.images])
    if sizes.min() == sizes.max():
        return f"{sizes[0]:,} {plural(int(sizes[0]), 'image')}" + (" each" if len(sizes) > 1 else "")
    return f"{sizes.min():,} to {sizes.max():,} images"


def _resolution_words(data: ClassavgReportData) -> str:
    views, curves = data.views, data.views.curves
    resolved = views.resolved
    if not curves:
        return "no halves, so no resolution"
    if not views.any_independent:
        return "no resolution, as the halves share their references"
    if not resolved:
        bounds = [curve.bound_angstrom(views.width_angstrom) for curve in curves.values()]
        known = [bound for bound in bounds if bound is not None]
        at_best = f", at best {text_number(median(known))} Å (median)" if len(known) == len(bounds) else ""
        return f"no independent resolution of {len(curves):,} {plural(len(curves), 'view')}{at_best}"
    middle = "median resolution" if len(curves) > 1 else "resolution"
    some = f", {len(resolved):,} of {len(curves):,} views resolved" if len(resolved) < len(curves) else ""
    return f"{middle} {text_number(median(resolved))} Å from independent halves{some}"


def _facts(run: RunFacts, data: ClassavgReportData) -> Iterator[tuple[str, str, str]]:
    found, views = data.classification, data.views
    yield "Particles", f"{data.particles:,}", run.of_read("classified")
    yield "Views", f"{len(views.images):,}", f"of {_sizes(data)}; k = {found.neighbours.k:,}"
    yield "Classes for RELION", f"{len(data.classes.images):,}", "every particle in one of them"
    verdict = "yes" if found.signal.signal else "none found"
    yield "Signal", verdict, f"z {z_text(found.signal.z)}, share {number_text(found.signal.share, 2)}"
    if views.resolved:
        yield "Best resolution", f"{text_number(min(views.resolved))} Å", f"independent halves, {THRESHOLD:g}"
    yield shift_fact(data.shift_sd_angstrom, views.pixel_size_angstrom)
    if data.mirrored is not None:
        yield "Mirrored", f"{data.mirrored:.1f} %", "of memberships; 50 % if views are even"
    yield "Rounds", f"{found.rounds:,}", f"of {data.algorithm}"
    yield "Pixel", f"{views.pixel_size_angstrom:.4g} Å", f"box {views.box} px"


def _views(data: ClassavgReportData) -> str:
    """Return the gallery of views, best first, as HTML."""
    return gallery(
        data.views,
        _entries(data),
        finding=f"{_kind(data)} of each view: the nearest neighbours of one particle, mirrored ones turned over. The "
        "particle itself is left out: they were chosen by its noise, too.",
        large_finding=" Quality: how well members agree with each other. Spread: root mean square angle between "
        "the viewing directions of the members and of that particle.",
        aid="sharp particles on a flat ground, and views that differ. Blurred or ghostly averages at the "
        "end of the list are junk or rare views; many alike mean preferred orientation.",
    )


def _classes(data: ClassavgReportData) -> str:
    """Return the gallery of the classes that RELION reads, as HTML."""
    words = (
        "Here every particle is in exactly one class, and a view and its mirror image are two classes: what RELION's "
        "subset selection expects. These numbers are rlnClassNumber of run_data.star, and not those of the views."
    )
    body = gallery(
        data.classes,
        [GalleryEntry(number, [(image, "average")]) for number, image in data.classes.images.items()],
        finding=f"{_kind(data)} of each class.",
        aid="the same views as above, from more particles each. Less sharp than a view of like size is usual: a class "
        "takes all that come, a view only the nearest.",
    )
    sizes = class_sizes(
        data.classes,
        "sizes follow how often a view occurs. One class that takes nearly all says that views were not told apart.",
    )
    return f"<p>{escape(words)}</p>{body}{abreast(sizes)}"


def _entries(data: ClassavgReportData) -> list[GalleryEntry]:
    """Return the views in the order given."""
    quality, entries = data.views.by_number(data.views.averages.quality), []
    for number, image in data.views.images.items():
        remarks = [f"quality {number_text(quality[number])}"]
        if number in data.spread:
            remarks.append(f"spread {text_number(data.spread[number], 2)}°")
        entries.append(GalleryEntry(number, [(image, "average")], remarks))
    return entries


def _kind(data: ClassavgReportData) -> str:
    return f"{data.views.kind[0].upper()}{data.views.kind[1:]}"
