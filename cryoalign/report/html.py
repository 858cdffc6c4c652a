"""Builds one self-contained page: inline style and pictures, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape as escaped

import numpy as np
from numpy.typing import NDArray

from cryoalign.core.plain_text import shown
from cryoalign.report.figures import FONTS, INK, MUTED, RULE, data_uri, png_bytes, scale_bar_angstrom

__all__ = [
    "abreast",
    "caption",
    "cards",
    "definition_table",
    "escape",
    "facts",
    "page",
    "picture",
    "picture_grid",
    "section",
    "strip",
    "table",
    "tiles",
]

LONGEST = 4000
"""Characters of the longest text on a page, such as the command line."""

# Colours are all stated, and the page asks for the light scheme: a browser in dark mode changes nothing.
_STYLE = f"""
:root {{ color-scheme: only light; }}
* {{ box-sizing: border-box; }}
html {{ background: #f4f6f8; }}
body {{ margin: 0 auto; max-width: 1180px; padding: 28px 28px 60px; background: #ffffff; color: {INK};
  font: 15px/1.5 {FONTS}; }}
h1 {{ font-size: 27px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }}
h2 {{ font-size: 20px; margin: 44px 0 4px; padding-top: 12px; border-top: 2px solid {INK}; }}
h3 {{ font-size: 15px; margin: 0 0 6px; }}
p {{ margin: 0 0 8px; }}
code, .mono {{ font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; }}
.muted {{ color: {MUTED}; }}
.command {{ display: block; white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f6f8;
  border: 1px solid {RULE};  padding: 8px 12px; margin: 10px 0 0; border-radius: 6px; }}
.lead {{ font-size: 18px; line-height: 1.45; margin: 18px 0 14px; max-width: 62em; }}
nav {{ margin: 14px 0 0; font-size: 14px; }}
nav a {{ color: #00558a; margin-right: 16px; text-decoration: none; border-bottom: 1px solid #a9cbe0;
  white-space: nowrap; }}
.facts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px; margin: 0; }}
.facts div {{ border: 1px solid {RULE}; border-radius: 8px; padding: 9px 13px; }}
.facts dt {{ font-size: 13px; color: {MUTED}; }}
.facts dd {{ margin: 0; font-size: 22px; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; }}
.facts small {{ display: block; font-size: 12.5px; font-weight: 400; color: {MUTED}; line-height: 1.35; }}
.gallery .card i {{ font-style: normal; white-space: nowrap; }}
.warnings {{ border: 1px solid #e3b98c; border-left: 5px solid #c44e00; border-radius: 6px; background: #fff8f0;
  margin: 16px 0 0; padding: 10px 16px; }}
.warnings ul {{ margin: 4px 0 0; padding-left: 20px; }}
.warnings li {{ margin: 2px 0; overflow-wrap: anywhere; }}
.alarm {{ border: 2px solid #b3261e; border-left-width: 10px; border-radius: 6px; background: #fdf0ef; font-size: 17px;
  margin: 16px 0; padding: 12px 18px; }}
.alarm strong {{ display: block; font-size: 20px; margin-bottom: 2px; }}
.alarm p {{ margin: 0; max-width: 62em; }}
.fine {{ border-left: 5px solid #00795c; border-radius: 6px; background: #f1f8f5; padding: 8px 14px;
  margin: 16px 0 0; }}
p.verdict {{ margin: 14px 0 14px; }}
.charts {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 26px 32px; margin-top: 14px; }}
.charts.three {{ grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 26px 24px; }}
.charts figure.wide {{ grid-column: 1 / -1; }}
figure.grid {{ margin: 14px 0 30px; }}
.grid h4 {{ font-size: 14px; margin: 0 0 4px; }}
.grid p {{ font-size: 13.5px; margin: 2px 0 0; }}
.grid figcaption p {{ font-size: 14px; margin: 0 0 3px; }}
.section-note {{ margin: 10px 0 0; }}
figure {{ margin: 0; break-inside: avoid; }}
figure img {{ display: block; width: 100%; height: auto; }}
figcaption {{ font-size: 14px; margin-top: 6px; }}
figcaption p {{ margin: 0 0 3px; }}
figcaption.above {{ margin: 4px 0 12px; }}
.aid {{ color: {MUTED}; }}
.aid b {{ color: {INK}; font-weight: 600; }}
.strip {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(100px, 1fr)); gap: 8px; margin: 4px 0 18px; }}
.strip div {{ font-size: 12.5px; line-height: 1.35; color: {MUTED}; break-inside: avoid; }}
.strip img {{ border-radius: 3px; margin-bottom: 2px; }}
.strip div:first-child {{ color: {INK}; font-weight: 600; }}
.gallery {{ display: grid; gap: 18px 20px; margin: 14px 0 10px; }}
.gallery .card {{ break-inside: avoid; font-size: 13.5px; line-height: 1.4; min-width: 0; }}
.gallery .card strong {{ font-size: 14.5px; }}
.gallery.small {{ gap: 12px 12px; }}
.gallery.small .card, .gallery.small .card strong {{ font-size: 12px; line-height: 1.3; }}
.gallery .pair {{ display: flex; gap: 2px; margin-bottom: 3px; }}
.gallery .pair img, .gallery .pair div {{ flex: 1; min-width: 0; width: 0; aspect-ratio: 1; border-radius: 3px;
  background: #eef1f4; }}
.gallery .card span {{ display: block; color: {MUTED}; overflow-wrap: anywhere; }}
svg.tiles {{ display: block; width: 100%; height: auto; margin-bottom: 5px; border-radius: 4px; background: #eef1f4; }}
table {{ border-collapse: collapse; font-size: 14px; margin-top: 8px; }}
th {{ text-align: left; font-weight: 600; padding: 4px 22px 4px 0; border-bottom: 1.5px solid {INK}; }}
td {{ padding: 4px 22px 4px 0; border-bottom: 1px solid {RULE}; vertical-align: top; overflow-wrap: anywhere; }}
.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.columns {{ display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px 40px; align-items: start; }}
.columns table {{ width: 100%; }}
.columns h3 {{ margin: 20px 0 0; }}
.columns td:first-child {{ white-space: nowrap; }}
footer {{ margin-top: 44px; padding-top: 10px; border-top: 1px solid {RULE}; color: {MUTED}; font-size: 13px; }}
@media screen and (max-width: 760px) {{
  body {{ padding: 16px; }}
  .gallery {{ grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }}
  .charts, .columns, .charts.three {{ grid-template-columns: minmax(0, 1fr); }}
}}
@media print {{
  @page {{ margin: 14mm; }}
  html, body {{ background: #ffffff; }}
  body {{ max-width: none; padding: 0; zoom: 0.7; -webkit-print-color-adjust: exact; print-color-adjust: exact; }}
  nav {{ display: none; }}
  h2, h3 {{ break-after: avoid; }}
  h2 {{ margin-top: 26px; }}
  footer {{ break-before: avoid; margin-top: 16px; }}
  tr {{ break-inside: avoid; }}
}}
"""


def escape(text: str) -> str:
    """Return plain text as HTML: whatever a name or a cell holds, it is shown and does nothing."""
    return escaped(shown(text, LONGEST))


def page(title: str, body: Iterable[str]) -> str:
    """Return the whole page; `title` is plain text, `body` is HTML."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="only light">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def section(anchor: str, heading: str, *content: str) -> str:
    """Return a section of HTML parts under a plain-text heading."""
    return f'<section id="{anchor}">\n<h2>{escape(heading)}</h2>\n' + "\n".join(content) + "\n</section>"


def picture(uri: str, heading: str, finding: str, aid: str, *, wide: bool = False) -> str:
    """Return a picture with what it shows here (`finding`) and what to look for (`aid`), all plain text."""
    kind = ' class="wide"' if wide else ""
    return (
        f'<figure{kind}>\n<h3>{escape(heading)}</h3>\n<img src="{uri}" alt="{escape(heading)}: {escape(finding)}">\n'
        f"<figcaption>{caption(finding, aid)}</figcaption>\n</figure>"
    )


def picture_grid(
    entries: Sequence[tuple[str, str, str]], heading: str, finding: str, aid: str, *, columns: int = 3
) -> str:
    """Return pictures of one kind, two or three abreast: (uri, heading, finding) each, one reading aid for all."""
    kind = "charts three" if columns == 3 else "charts"
    boxes = "".join(
        f'<div><h4>{escape(name)}</h4><img src="{uri}" alt="{escape(name)}: {escape(words)}">'
        f"<p>{escape(words)}</p></div>"
        for uri, name, words in entries
    )
    return (
        f'<figure class="grid"><h3>{escape(heading)}</h3><div class="{kind}">{boxes}</div>'
        f"<figcaption>{caption(finding, aid)}</figcaption></figure>"
    )


def abreast(*pictures: str, three: bool = False) -> str:
    """Return pictures two or three abreast; empty ones are left out, and nothing where there are none."""
    content = "".join(pictures)
    return f'<div class="charts{" three" if three else ""}">{content}</div>' if content else ""


def caption(finding: str, aid: str) -> str:
    """Return the two lines under a picture."""
    first = f"<p>{escape(finding)}</p>" if finding else ""
    return f'{first}<p class="aid"><b>What to look for:</b> {escape(aid)}</p>'


def strip(entries: Sequence[tuple[str, str, str]]) -> str:
    """Return small pictures in a row that wraps: (uri, what it shows for those who cannot see it, words below)."""
    return (
        '<div class="strip">'
        + "".join(
            f'<div><img src="{uri}" alt="{escape(description)}">{escape(words)}</div>'
            for uri, description, words in entries
        )
        + "</div>"
    )


def tiles(
    images: Sequence[tuple[NDArray[np.uint8] | None, str]],
    width_angstrom: float,
    *,
    description: str,
    circle_angstrom: float | None = None,
    font_size: float = 12,
) -> str:
    """Return square pictures side by side, row 0 on top, each with its own scale bar.

    Parameters
    ----------
    images
        8-bit grey picture (or None: an empty square) and its label, each.
    width_angstrom
        Width of every picture.
    description
        Plain text for those who cannot see it.
    circle_angstrom
        Diameter of a circle (the particle mask) on the first picture.
    font_size
        Of labels, where a picture is 200 wide.
    """
    side, gap = 200, 6
    bar = scale_bar_angstrom(width_angstrom)
    length = side * bar / width_angstrom
    parts = []
    for index, (image, label) in enumerate(images):
        left = index * (side + gap)
        if image is None:
            parts.append(
                f'<rect x="{left}" width="{side}" height="{side}" fill="#eef1f4"/>'
                f'<text x="{left + side / 2}" y="{side / 2}" text-anchor="middle" fill="{MUTED}" '
                f'font-size="{font_size * 1.15:.3g}">{escape(label)}</text>'
            )
            continue
        uri = data_uri(png_bytes(image), "image/png")
        parts.append(f'<image x="{left}" width="{side}" height="{side}" href="{uri}"/>')
        if circle_angstrom and index == 0:
            radius = side * circle_angstrom / width_angstrom / 2
            # Pixel L // 2 is the centre, half a pixel right of and below the middle of an even box.
            centre = side * (image.shape[-1] // 2 + 0.5) / image.shape[-1]
            parts.append(
                f'<circle cx="{left + centre:.2f}" cy="{centre:.2f}" r="{radius:.2f}" fill="none" stroke="#ffd37a" '
                f'stroke-width="1.2" stroke-dasharray="5 4" stroke-opacity="0.9"/>'
            )
        outline = 'stroke="#000000" stroke-opacity="0.75" paint-order="stroke" fill="#ffffff"'
        size = f'font-size="{font_size:.3g}" stroke-width="3"'
        parts.append(
            f'<rect x="{left + 8}" y="{side - 12}" width="{length:.2f}" height="4" stroke-width="2" {outline}/>'
            f'<text x="{left + 8 + length / 2:.2f}" y="{side - 17}" text-anchor="middle" '
            f"{size} {outline}>{bar:g} Å</text>"
            f'<text x="{left + 8}" y="{4 + font_size:.3g}" {size} {outline}>{escape(label)}</text>'
        )
    total = len(images) * (side + gap) - gap
    return (
        f'<svg class="tiles" viewBox="0 0 {total} {side}" role="img" aria-label="{escape(description)}">'
        + "".join(parts)
        + "</svg>"
    )


def cards(entries: Sequence[tuple[str, str, Sequence[str]]], *, columns: int, small: bool = False) -> str:
    """Return a gallery of (tiles, heading, remarks), heading and remarks being plain text."""

    def card(svg: str, heading: str, remarks: Sequence[str]) -> str:
        strong = f"<strong>{escape(heading)}</strong>" if heading else ""
        return f'<div class="card">{svg}{strong}<span>{" · ".join(remarks_html(remarks))}</span></div>'

    def remarks_html(remarks: Sequence[str]) -> Iterator[str]:
        for remark in remarks:
            # Names of files may break, at their slashes first; measures stay in one piece.
            long = "/" in remark or len(remark) > 28
            yield escape(remark).replace("/", "/<wbr>") if long else f"<i>{escape(remark)}</i>"

    body = "\n".join(card(*entry) for entry in entries)
    kind = "gallery small" if small else "gallery"
    return f'<div class="{kind}" style="grid-template-columns: repeat({columns}, minmax(0, 1fr))">\n{body}\n</div>'


def facts(entries: Sequence[tuple[str, str, str]]) -> str:
    """Return boxes of (name, value, small print), plain text."""
    return (
        '<dl class="facts">'
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(small)}</small></dd></div>"
            for name, value, small in entries
        )
        + "</dl>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: Sequence[int] = ()) -> str:
    """Return a table of plain text; the columns in `numeric` are set flush right."""

    def row(tag: str, cells: Sequence[str]) -> str:
        marked = (
            f'<{tag} class="number">{escape(cell)}</{tag}>' if i in numeric else f"<{tag}>{escape(cell)}</{tag}>"
            for i, cell in enumerate(cells)
        )
        return "<tr>" + "".join(marked) + "</tr>"

    body = "\n".join(row("td", cells) for cells in rows)
    return f"<table><thead>{row('th', header)}</thead>\n<tbody>{body}</tbody></table>"


def definition_table(header: tuple[str, str], entries: Mapping[str, object]) -> str:
    """Return a two-column table of names and values, in the order given."""
    return table(header, [(str(name), str(value)) for name, value in entries.items()])
