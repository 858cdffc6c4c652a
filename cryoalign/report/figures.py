"""The shared look of all pictures, and how they become text inside a page.

matplotlib is imported inside functions, through `Figure` objects only: no pyplot, no backend is chosen for the caller.
Charts are SVG (sharp on paper, small), micrograph-like pictures are 8-bit grey PNG. Equal input gives equal bytes.
"""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stay apart for colour-blind readers and in grey print (Okabe & Ito 2008).
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072b2", "#c44e00", "#00795c", "#b37400", "#9c4f7c", "#3f8fc0"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
INK, MUTED, RULE, PAPER = "#1c2733", "#566473", "#dde4ea", "#ffffff"
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cryoalign",
    "text.hinting": "none",  # letters are the reader's own: here they are only measured
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "axes.labelsize": 12,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}


@contextmanager
def style() -> Iterator[None]:
    """Use the shared look for the figures made inside; the caller's settings come back afterwards."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure; 72 units are 1 inch, and about 72 pixels on the page. Call inside `style`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 72, height / 72), dpi=72)


def new_axes(figure: Figure, *, left: float, bottom: float, right: float, top: float, **options: Any) -> Axes:
    """Add axes with margins given in the figure's units, so that text never needs a layout engine."""
    width, height = figure.get_size_inches() * 72
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    return figure.add_axes(box, **options)


def data_uri(content: bytes, mime: str) -> str:
    """Put bytes into a URI that needs no other file."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"


def svg_uri(figure: Figure) -> str:
    """Draw a figure as SVG in a data URI. Call inside `style`."""
    return data_uri(svg_text(figure).encode("utf-8"), "image/svg+xml")


def svg_text(figure: Figure) -> str:
    """Draw a figure as an SVG element, one of its units a pixel of the page. Call inside `style`."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]  # no prolog: it names a DTD on the web
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    return text.replace("'DejaVu Sans'", FONTS)


def png_bytes(grey: NDArray[np.uint8], *, quick: bool = False) -> bytes:
    """Encode an 8-bit grey picture (h, w) as PNG (PNG specification, 3rd edition, sections 9 and 11).

    One of two filters is taken for all rows, the one that leaves less entropy: none, or the difference to the mean
    of the pixels left and above, which makes smooth pictures a third smaller. `quick` takes the difference to the
    pixel above, with little search for repeats: for large sheets, at a fraction of the time.
    """
    height, width = grey.shape
    rows = np.zeros((height, width + 1), np.uint8)  # the filter's type heads every row
    rows[:, 1:] = grey
    if quick:
        rows[:, 0] = 2
        rows[1:, 1:] -= grey[:-1]
        packed = zlib.compress(rows.data, 1)
    else:
        framed = np.zeros((height + 1, width + 1), np.int16)
        framed[1:, 1:] = grey
        smooth = np.full((height, width + 1), 3, np.uint8)
        smooth[:, 1:] = framed[1:, 1:] - (framed[1:, :-1] + framed[:-1, 1:]) // 2
        packed = zlib.compress(min(rows, smooth, key=_entropy).data, 6)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", packed),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def _entropy(values: NDArray[np.uint8]) -> float:
    """Return the entropy of bytes taken one by one, in bits: what a code for them cannot go below."""
    counts = np.bincount(values.ravel())
    counts = counts[counts > 0]
    return float(counts @ np.log2(values.size / counts))


def grey_levels(image: NDArray) -> NDArray[np.uint8]:
    """Map an image to 0..255 between its 0.3 and 99.7 percentiles; a flat or empty image becomes mid-grey."""
    image = np.asarray(image, np.float32)
    if not np.isfinite(image.sum()):
        image = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = _ends(image)
    if not high > low:
        return np.full(image.shape, 128, np.uint8)
    return np.rint(np.clip((image - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _ends(image: NDArray[np.float32], percent: float = 0.3) -> NDArray[np.float32]:
    """Return the percentiles at either end; as NumPy's, which take twice as long for small pictures."""
    last = image.size - 1
    below = int(last * percent / 100)
    part = np.float32(last * percent / 100 - below)
    wanted = [below, min(below + 1, last), max(last - below - 1, 0), last - below]
    values = np.partition(image, sorted(set(wanted)), axis=None)[wanted]
    return np.array([values[0] + part * (values[1] - values[0]), values[3] - part * (values[3] - values[2])])


def resize(image: NDArray, size: int) -> NDArray[np.float32]:
    """Draw a square image (L, L) at another size: triangle weights, widened when shrinking so that nothing aliases."""
    box = image.shape[-1]
    if box == size:
        return np.asarray(image, np.float32)
    weights = _resize_weights(box, size)
    return weights @ np.asarray(image, np.float32) @ weights.T


@lru_cache(maxsize=8)
def _resize_weights(box: int, size: int) -> NDArray[np.float32]:
    # Output pixel centres in input pixels, with the picture's outer edges kept.
    centres = (np.arange(size) + 0.5) * box / size - 0.5
    weights = 1 - np.abs(centres[:, None] - np.arange(box)) / max(1.0, box / size)
    weights = np.maximum(weights, 0).astype(np.float32)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def display_tile(image: NDArray, side: int = 256) -> NDArray[np.uint8]:
    """Return an image (L, L) as 8-bit grey, not larger than `side`."""
    return grey_levels(resize(image, min(image.shape[-1], side)))


def draw_bar(square: NDArray[np.uint8], length: int) -> None:
    """Draw a white scale bar with a dark rim into the lower left corner of a grey picture (L, L), in place."""
    size = len(square)
    thick, margin = max(2, size // 60), max(3, size // 24)
    top, left = size - margin - thick, margin
    square[top - 1 : top + thick + 1, left - 1 : left + length + 1] = 30
    square[top : top + thick, left : left + length] = 255


def display_cutoff(pixel_size_angstrom: float) -> float:
    """Return how far single particles are smoothed for the eye: to 25 A or five pixels, whichever is longer."""
    return max(25.0, 5 * pixel_size_angstrom)


def display_lowpass(images: NDArray, pixel_size_angstrom: float, cutoff_angstrom: float) -> NDArray[np.float32]:
    """Smooth images (k, l, l) for the eye: a Gaussian that passes half the amplitude at `cutoff_angstrom`."""
    box = images.shape[-1]
    ky, kx = np.fft.fftfreq(box, pixel_size_angstrom)[:, None], np.fft.rfftfreq(box, pixel_size_angstrom)
    gain = 0.5 ** ((kx**2 + ky**2) * cutoff_angstrom**2)
    return np.fft.irfft2(np.fft.rfft2(images) * gain, s=(box, box)).astype(np.float32)


def scale_bar_angstrom(width_angstrom: float) -> float:
    """Choose the length of a scale bar: 1, 2 or 5 times a power of ten, at most 0.4 of the picture's width."""
    target = 0.4 * width_angstrom
    power = 10.0 ** np.floor(np.log10(target))
    return float(max(step * power for step in (1, 2, 5) if step * power <= target))
