"""The page of `align`, section by section; summary, classes, evidence, scores, poses, particles, noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoalign.report import charts
from cryoalign.report.align_classes import class_section
from cryoalign.report.align_data import AlignReportData
from cryoalign.report.figures import display_lowpass, display_tile
from cryoalign.report.frc_section import frc_section
from cryoalign.report.guard_section import guard_section, share_text, z_text
from cryoalign.report.html import caption, cards, picture, table, tiles
from cryoalign.report.null_test_section import null_test_section
from cryoalign.report.numbers import angle_uniformity, finite, median, plural, signed, text_number, text_percent
from cryoalign.report.page_parts import whole_page
from cryoalign.report.quality_data import NOT_RESOLVED_ANGSTROM

MAX_EXAMPLES = 12


def build_align_page(data: AlignReportData) -> str:
    """Return report.html as text."""
    box, pixel = data.references.shape[-1], data.pixel_size_angstrom
    members = {number: int(count) for number, count in enumerate(data.class_counts, start=1)}
    return whole_page(
        data,
        summary=summary_sentence(data),
        fact_boxes=_facts(data),
        sections=(
            ("classes", "Classes", class_section(data)),
            ("guard", "Guard against model bias", guard_section(data.guard)),
            ("null", "Noise on the same path", null_test_section(data.null_test, pixel, data.mask_diameter_angstrom)),
            ("frc", "Halves and resolution", frc_section(data.frc, members, box, pixel, data.halves, data.growth)),
            ("scores", "Scores", _scores(data)),
            ("poses", "Shifts and angles", _poses(data)),
            ("particles", "Particles", _examples(data)),
            ("noise", "Noise", _noise(data)),
        ),
        flags=_flags(data),
    )


def summary_sentence(data: AlignReportData) -> str:
    """Say in one breath what came out."""
    n, m = len(data), len(data.references)
    used = int(np.count_nonzero(data.class_counts))
    empty = f" ({m - used:,} without members)" if used < m else ""
    error = ""
    if _has_errors(data):
        psi, shift = text_number(median(data.psi_error_deg), 2), text_number(median(data.shift_error_angstrom), 2)
        error = f"estimated error {psi}° and {shift} Å (medians); "
    return (
        f"{n:,} {plural(n, 'particle')} aligned to {m:,} {plural(m, 'reference')}{empty}: "
        f"median score {text_number(median(data.scores))}, "
        f"median shift {text_number(median(data.shift_length_angstrom))} Å, "
        f"{error}{len(data.warnings) or 'no'} {plural(len(data.warnings), 'warning')}."
    )


def _has_errors(data: AlignReportData) -> bool:
    """Tell whether the measure gives standard errors; only the search core's does."""
    return bool(np.isfinite(data.psi_error_deg).any())


def _facts(data: AlignReportData) -> Iterator[tuple[str, str, str]]:
    pixel, n, m = data.pixel_size_angstrom, len(data), len(data.references)
    shift, used = median(data.shift_length_angstrom), int(np.count_nonzero(data.class_counts))
    read = data.counts.get("read")
    yield "Particles", f"{n:,}", f"of {read:,} read" if isinstance(read, int) else ""
    yield "References", f"{m:,}", "all have members" if used == m else f"{used:,} have members"
    yield "Median score", text_number(median(data.scores)), f"margin {text_number(median(data.score_margin), 2)}"
    yield "Median shift", f"{text_number(shift)} Å", f"{text_number(shift / pixel, 2)} pixels of {pixel:g} Å"
    if _has_errors(data):
        yield (
            "Estimated error",
            f"{text_number(median(data.psi_error_deg), 2)}°",
            f"{text_number(median(data.shift_error_angstrom), 2)} Å in shift (medians)",
        )
    if data.guard is not None:
        yield "Guard", data.guard.verdict, f"z {z_text(data.guard.z)}, share {share_text(data.guard.share)}"
    best = [
        curve.resolution_angstrom for curve in data.frc.values() if curve.resolution_angstrom < NOT_RESOLVED_ANGSTROM
    ]
    if best:
        yield "Best resolution", f"{text_number(min(best))} Å", "independent halves, 0.143"
    flagged = 0 if data.flags is None else int(np.count_nonzero(data.flags))
    yield "Flagged", f"{flagged:,}", text_percent(flagged, n)
    if data.mirror is not None:
        mirrored = int(np.count_nonzero(data.mirror))
        yield "Mirrored", f"{mirrored:,}", text_percent(mirrored, n)


def _scores(data: AlignReportData) -> str:
    score, margin = median(data.scores), median(data.score_margin)
    low = int(np.count_nonzero(finite(data.scores) <= 0))
    first = picture(
        charts.histogram(
            data.scores,
            x_label="score (correlation)",
            marks=[(score, f"median {text_number(score)}")],
            width=charts.WIDTH,
        ),
        "Score",
        f"Median {text_number(score)}; {low or 'no'} {plural(low, 'particle')} at or below 0.",
        "a single hump. A second hump at low scores is often ice, carbon or wrong picks. The level itself follows the "
        "SNR of the images: compare within one data set only.",
    )
    second = picture(
        charts.histogram(
            data.score_margin,
            x_label="score margin (correlation)",
            marks=[(margin, f"median {text_number(margin, 2)}")],
            width=charts.WIDTH,
        ),
        "Score margin",
        f"Best score minus the best of another pose or class: median {text_number(margin, 2)}.",
        "particles piled up at 0 have two poses, or two classes, that fit equally well.",
    )
    return f'<div class="charts">{first}{second}</div>'


def _poses(data: AlignReportData) -> str:
    first = f'<div class="charts">{_shift_map(data)}{_rose(data)}</div>'
    return first + f'<div class="charts three">{_shift_length(data)}{"".join(_error_pictures(data))}</div>'


def _shift_length(data: AlignReportData) -> str:
    length, limit, pixel = data.shift_length_angstrom, data.max_shift_angstrom, data.pixel_size_angstrom
    middle = median(length)
    marks = [(middle, f"median {text_number(middle)} Å")]
    finding = f"Median {text_number(middle)} Å ({text_number(middle / pixel, 2)} pixels)."
    high = None
    if limit:
        marks.append((limit, f"search limit {text_number(limit)} Å"))
        at_limit = int(np.count_nonzero(length >= limit - 0.5 * pixel))
        finding += f" {at_limit:,} ({text_percent(at_limit, len(data))}) within half a pixel of the limit."
        high = 1.08 * max(limit, float(np.max(finite(length), initial=0.0)))
    return picture(
        charts.histogram(length, x_label="length of shift (Å)", marks=marks, low=0.0, high=high),
        "Length of shift",
        finding,
        "the curve should be back near zero well before the search limit; a wall there asks for a larger "
        "--max-shift-px.",
    )


def _shift_map(data: AlignReportData) -> str:
    limit = data.max_shift_angstrom
    x, y = (median(column) for column in np.asarray(data.shift_angstrom, np.float64).T)
    return picture(
        charts.shift_map(data.shift_angstrom, limit),
        "Shift in the plane",
        f"Medians: x {signed(x)} Å, y {signed(y)} Å."
        + (f" Orange circle: search limit, {text_number(limit)} Å." if limit else ""),
        "a round cloud about the centre. A cloud to one side means picks, or a reference, that are off centre; "
        "lines mean shifts that follow the pixel grid.",
    )


def _rose(data: AlignReportData) -> str:
    found = angle_uniformity(data.psi_deg)
    n = len(data)
    lobes = "" if found.fold == 1 else f", {found.fold} lobes"
    strength = f"strongest mean vector {found.strength:.3f} (0 = even, 1 = all alike{lobes})"
    if n < 20:
        finding = f"Too few particles to judge evenness; {strength}."
    elif found.even:
        finding = f"Even within what chance or a mild preference gives; {strength}."
    else:
        chance = "less than once in a million" if found.probability < 1e-6 else f"with p = {found.probability:.1g}"
        finding = f"Not even; {strength}, which chance gives {chance}."
    if data.local_search_deg is not None:
        finding += f" Searched only within {text_number(data.local_search_deg)}° of the input angle."
    return picture(
        charts.angle_rose(data.psi_deg),
        "In-plane angle psi",
        finding,
        "particles lie on the grid at any angle, so bars should reach the dashed circle all round. Lobes tell of "
        "oriented objects (filaments, an edge of carbon), stretched pixels, or a search held to input angles.",
    )


def _error_pictures(data: AlignReportData) -> Iterator[str]:
    if not _has_errors(data):
        return
    for values, name, unit in (
        (data.psi_error_deg, "Estimated error of psi", "°"),
        (data.shift_error_angstrom, "Estimated error of shift", " Å"),
    ):
        middle = median(values)
        words = f"median {text_number(middle, 2)}{unit}"
        undefined = len(data) - len(finite(values))
        yield picture(
            charts.histogram(
                values,
                x_label=f"{name[0].lower()}{name[1:]} ({unit.strip()})",
                marks=[(middle, words)],
                low=0.0,
            ),
            name,
            f"{words[0].upper()}{words[1:]}." + (f" {undefined:,} particles have none." if undefined else ""),
            "a narrow hump and a short tail. Standard errors from the slope that noise gives the score, and its "
            "curvature: they do not know of a wrong peak.",
        )


def _examples(data: AlignReportData) -> str:
    stacks = [
        (s[:MAX_EXAMPLES], name)
        for s, name in ((data.example_raw, "raw"), (data.example_aligned, "aligned"))
        if s is not None and len(s)
    ]
    if not stacks:
        return ""
    pixel = data.pixel_size_angstrom
    cutoff = data.display_lowpass_angstrom or max(25.0, 5 * pixel)
    shown = [(display_lowpass(stack, pixel, cutoff), name) for stack, name in stacks]
    columns = 4 if len(shown) == 2 else 6
    entries = []
    for index, name in enumerate(data.example_names[:MAX_EXAMPLES]):
        svg = tiles(
            [(display_tile(stack[index]), kind) for stack, kind in shown],
            shown[0][0].shape[-1] * pixel,
            description=f"particle {name}",
            font_size=17,
        )
        entries.append((svg, "", [str(name)]))
    text = caption(
        f"Smoothed for the eye only: Gaussian low-pass, half amplitude at {text_number(cutoff)} Å. "
        "Results are not filtered.",
        "aligned particles of one class should be centred and turned alike; dark or bright streaks are ice or carbon.",
    )
    return f"<figure>{cards(entries, columns=columns)}<figcaption>{text}</figcaption></figure>"


def _noise(data: AlignReportData) -> str:
    if data.noise_power is None or not len(data.noise_power):
        return ""
    groups = len(data.noise_power)
    names = list(data.noise_group_names) or [f"group {i + 1}" for i in range(groups)]
    pixels = list(data.noise_pixel_size_angstrom) or [data.pixel_size_angstrom] * groups
    uri = charts.spectra(np.asarray(data.noise_power, np.float64), pixels, names)
    return (
        '<div class="charts">'
        + picture(
            uri,
            "Noise spectrum",
            f"Power of the noise per ring, {groups:,} {plural(groups, 'group')}.",
            "smooth curves of like shape. A fall to nothing at high frequency means filtered or resampled input, "
            "spikes mean a periodic artefact, one group off from the rest means other normalisation or optics.",
            wide=True,
        )
        + "</div>"
    )


def _flags(data: AlignReportData) -> str:
    """Count the flags of particles; nothing where there are none."""
    if data.flags is None or not data.flag_meanings:
        return ""
    bits = np.asarray(data.flags, np.int64)
    rows = [(str(bit), words, f"{np.count_nonzero(bits & bit):,}") for bit, words in sorted(data.flag_meanings.items())]
    rows.insert(0, ("0", "good", f"{np.count_nonzero(bits == 0):,}"))
    return "<h3>Flags</h3>" + table(("Bit", "Meaning", "Particles"), rows, numeric=(2,))
