"""The page and the montage of `align`: summary, classes, evidence, scores, poses, particles, noise."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cryoalign.averaging.frc import THRESHOLD
from cryoalign.report import charts
from cryoalign.report.align_data import AlignReportData
from cryoalign.report.figures import display_cutoff, display_lowpass, display_tile
from cryoalign.report.frc_section import frc_section
from cryoalign.report.gallery import GalleryEntry, class_sheet, class_sizes, gallery
from cryoalign.report.html import abreast, caption, cards, picture, table, tiles
from cryoalign.report.numbers import (
    angle_uniformity,
    finite,
    masked_correlation,
    median,
    plural,
    share_text,
    signed,
    text_number,
    text_percent,
    z_text,
)
from cryoalign.report.run_facts import RunFacts, whole_page


def build_align_page(run: RunFacts, data: AlignReportData) -> str:
    """Return report.html as text."""
    return whole_page(
        run,
        summary=summary_sentence(run, data),
        fact_boxes=_facts(run, data),
        sections=(
            ("classes", "Classes", class_section(data)),
            ("guard", "Guard against model bias", _guard(data)),
            ("null", "Noise on the same path", _null_test(data)),
            ("frc", "Halves and resolution", frc_section(data.classes, data.growth)),
            ("scores", "Scores", _scores(data)),
            ("poses", "Shifts and angles", _poses(data)),
            ("particles", "Particles", _examples(data)),
            ("noise", "Noise", _noise(data)),
        ),
        flags=_flags(data),
    )


def draw_align_montage(run: RunFacts, data: AlignReportData) -> bytes:
    """Return montage.png: every class, or the 400 largest."""
    legend = f"Left: {_reference_words(data)}. Right: average. corr.: correlation of both inside the mask."
    return class_sheet(data.classes, _entries(data), run.title, legend)


def summary_sentence(run: RunFacts, data: AlignReportData) -> str:
    """Say in one breath what came out."""
    n, m = len(data), len(data.references)
    used = int(np.count_nonzero(data.class_counts))
    empty = f" ({m - used:,} without members)" if used < m else ""
    error = ""
    if data.has_errors:
        psi, shift = text_number(median(data.psi_error_deg), 2), text_number(median(data.shift_error_angstrom), 2)
        error = f"estimated error {psi}° and {shift} Å (medians); "
    return (
        f"{n:,} {plural(n, 'particle')} aligned to {m:,} {plural(m, 'reference')}{empty}: "
        f"median score {text_number(median(data.score))}, "
        f"median shift {text_number(median(data.shift_length_angstrom))} Å, "
        f"{error}{run.warned}."
    )


def _facts(run: RunFacts, data: AlignReportData) -> Iterator[tuple[str, str, str]]:
    pixel, n, m = data.classes.pixel_size_angstrom, len(data), len(data.references)
    shift, used = median(data.shift_length_angstrom), int(np.count_nonzero(data.class_counts))
    yield "Particles", f"{n:,}", run.of_read()
    yield "References", f"{m:,}", "all have members" if used == m else f"{used:,} have members"
    yield "Median score", text_number(median(data.score)), f"margin {text_number(median(data.margin), 2)}"
    yield "Median shift", f"{text_number(shift)} Å", f"{text_number(shift / pixel, 2)} pixels of {pixel:g} Å"
    if data.has_errors:
        yield (
            "Estimated error",
            f"{text_number(median(data.psi_error_deg), 2)}°",
            f"{text_number(median(data.shift_error_angstrom), 2)} Å in shift (medians)",
        )
    if data.guard is not None:
        found = data.guard.overall
        yield "Guard", found.verdict, f"z {z_text(found.z)}, share {share_text(found.share)}"
    if data.classes.resolved:
        yield "Best resolution", f"{text_number(min(data.classes.resolved))} Å", f"independent halves, {THRESHOLD:g}"
    flagged = int(np.count_nonzero(data.flag))
    yield "Flagged", f"{flagged:,}", text_percent(flagged, n)
    if data.mirrors:
        mirrored = int(np.count_nonzero(data.poses.mirror))
        yield "Mirrored", f"{mirrored:,}", text_percent(mirrored, n)


def class_section(data: AlignReportData) -> str:
    """Return the gallery of classes, their sizes and scores, as HTML."""
    body = gallery(
        data.classes,
        _entries(data),
        finding=f"Left: {_reference_words(data)}; right: {data.classes.kind} of its members.",
        large_finding=" Correlation: between the two, inside the mask (dashed circle).",
        aid="the average should be as sharp as its reference and show detail of its own. Likeness alone proves "
        "nothing: pure noise aligned to a reference also averages to that reference.",
    )
    return body + ("" if len(data.references) == 1 else _class_pictures(data))


def _reference_words(data: AlignReportData) -> str:
    """Say what the references that are shown are."""
    if data.references_filtered_to_angstrom is None:
        return "reference"
    return f"reference, low-passed to {text_number(data.references_filtered_to_angstrom)} Å as it was aligned to"


def _entries(data: AlignReportData) -> list[GalleryEntry]:
    """Return reference and average of every class, in order of number."""
    classes, entries = data.classes, []
    diameter_px = classes.mask_diameter_angstrom / classes.pixel_size_angstrom
    quality = classes.by_number(classes.averages.quality)
    for place, (number, reference) in enumerate(
        zip(np.asarray(classes.numbers).tolist(), data.references, strict=True)
    ):
        average = classes.images.get(number)
        if average is None:
            entries.append(GalleryEntry(number, [(reference, "reference"), (None, "no members")]))
            continue
        alike = f"{masked_correlation(reference, average, diameter_px):.3f}"
        remarks = [
            f"correlation {alike}",
            f"median score {text_number(data.median_score[place])}",
            f"quality {text_number(quality[number])}",
        ]
        pictures = [(reference, "reference"), (average, "average")]
        entries.append(GalleryEntry(number, pictures, remarks, [f"corr. {alike}"]))
    return entries


def _class_pictures(data: AlignReportData) -> str:
    middle, numbers = data.median_score, np.asarray(data.classes.numbers)
    best, worst = int(np.nanargmax(middle)), int(np.nanargmin(middle))
    sizes = class_sizes(
        data.classes,
        "one class that takes nearly all, or a reference that attracts few particles: a poor reference, or a view that "
        "is rare.",
    )
    scores = picture(
        charts.class_spread(data.score, numbers[data.reference], int(numbers[-1]), y_label="score (correlation)"),
        "Score by class",
        f"Highest median: class {numbers[best]} with {text_number(middle[best])}; "
        f"lowest: class {numbers[worst]} with {text_number(middle[worst])}.",
        "a class far below the others: its reference may be wrong, or its members junk.",
    )
    return abreast(sizes, scores)


def _guard(data: AlignReportData) -> str:
    if data.guard is None:
        return ""
    from cryoalign.report.guard_section import guard_section

    return guard_section(data.guard)


def _null_test(data: AlignReportData) -> str:
    if data.null_test is None:
        return ""
    from cryoalign.report.null_test_section import null_test_section

    return null_test_section(data.null_test, data.classes)


def _scores(data: AlignReportData) -> str:
    score, margin = median(data.score), median(data.margin)
    low = int(np.count_nonzero(finite(data.score) <= 0))
    first = picture(
        charts.histogram(
            data.score,
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
            data.margin,
            x_label="score margin (correlation)",
            marks=[(margin, f"median {text_number(margin, 2)}")],
            width=charts.WIDTH,
        ),
        "Score margin",
        f"Best score minus the best of another pose or class: median {text_number(margin, 2)}.",
        "particles piled up at 0 have two poses, or two classes, that fit equally well.",
    )
    return abreast(first, second)


def _poses(data: AlignReportData) -> str:
    return abreast(_shift_map(data), _rose(data)) + abreast(_shift_length(data), *_error_pictures(data), three=True)


def _shift_length(data: AlignReportData) -> str:
    length, limit, pixel = data.shift_length_angstrom, data.max_shift_angstrom, data.classes.pixel_size_angstrom
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
    found = angle_uniformity(data.poses.psi)
    if len(data) < 20:
        finding = f"Too few particles to judge evenness; {found.in_words}."
    elif found.even:
        finding = f"Even within what chance or a mild preference gives; {found.in_words}."
    else:
        chance = "less than once in a million" if found.probability < 1e-6 else f"with p = {found.probability:.1g}"
        finding = f"Not even; {found.in_words}, which chance gives {chance}."
    if data.local_search_deg is not None:
        finding += f" Searched only within {text_number(data.local_search_deg)}° of the input angle."
    return picture(
        charts.angle_rose(data.poses.psi),
        "In-plane angle psi",
        finding,
        "particles lie on the grid at any angle, so bars should reach the dashed circle all round. Lobes tell of "
        "oriented objects (filaments, an edge of carbon), stretched pixels, or a search held to input angles.",
    )


def _error_pictures(data: AlignReportData) -> Iterator[str]:
    if not data.has_errors:
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
    pixel = data.classes.pixel_size_angstrom
    cutoff = display_cutoff(pixel)
    raw, aligned = (display_lowpass(stack, pixel, cutoff) for stack in (data.example_raw, data.example_aligned))
    entries = []
    for before, after, name in zip(raw, aligned, data.example_names, strict=True):
        svg = tiles(
            [(display_tile(before), "raw"), (display_tile(after), "aligned")],
            raw.shape[-1] * pixel,
            description=f"particle {name}",
            font_size=17,
        )
        entries.append((svg, "", [str(name)]))
    text = caption(
        f"Smoothed for the eye only: Gaussian low-pass, half amplitude at {text_number(cutoff)} Å. "
        "Results are not filtered.",
        "aligned particles of one class should be centred and turned alike; dark or bright streaks are ice or carbon.",
    )
    return f"<figure>{cards(entries, columns=4)}<figcaption>{text}</figcaption></figure>"


def _noise(data: AlignReportData) -> str:
    if not data.noise:
        return ""
    groups = len(data.noise)
    return abreast(
        picture(
            charts.spectra(data.noise),
            "Noise spectrum",
            f"Power of the noise per ring, {groups:,} {plural(groups, 'group')}.",
            "smooth curves of like shape. A fall to nothing at high frequency means filtered or resampled input, "
            "spikes mean a periodic artefact, one group off from the rest means other normalisation or optics.",
            wide=True,
        )
    )


def _flags(data: AlignReportData) -> str:
    """Count the flags of particles; nothing where none has a meaning."""
    if not data.flag_meanings:
        return ""
    bits = data.flag
    rows = [(str(bit), words, f"{np.count_nonzero(bits & bit):,}") for bit, words in sorted(data.flag_meanings.items())]
    rows.insert(0, ("0", "good", f"{np.count_nonzero(bits == 0):,}"))
    return "<h3>Flags</h3>" + table(("Bit", "Meaning", "Particles"), rows, numeric=(2,))
