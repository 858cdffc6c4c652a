"""Reads a report as a browser would, and complains about what is not sound."""

from __future__ import annotations

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

VOID = {"meta", "img", "br", "wbr", "image", "rect", "circle", "hr"}


class Reader(HTMLParser):
    """Collects tags, addresses and words; complains about bad nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.addresses, self.words = [], [], [], []
        self.aids: list[bool] = []
        self.rows: list[list[str]] = []
        self.strong: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.addresses += [attributes[k] for k in ("src", "href", "xlink:href", "data", "action") if k in attributes]
        if tag == "figure":
            self.aids.append(False)
        if attributes.get("class") == "aid":
            self.aids[-1] = True
        if tag == "tr":
            self.rows.append([])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if self.open and self.open[-1] == "strong":
            self.strong.append(data)
        if self.open and self.open[-1] == "td":
            self.rows[-1].append(data)

    def count(self, tag, **attributes):
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return sum(t == tag and wanted.items() <= a.items() for t, a in self.tags)

    @property
    def classes(self):
        """Numbers of the classes in the gallery, in order."""
        found = [re.match(r"[Cc]lass (\d+)", words) for words in self.strong]
        return [int(match[1]) for match in found if match]

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def sound_page(text: str) -> tuple[Reader, int]:
    """Check that a page loads nothing, that links and pictures are whole and explained; count the pictures."""
    from matplotlib.image import imread

    page = Reader(text)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert "@import" not in text
    assert "url(" not in text
    anchors = {attributes.get("id") for _, attributes in page.tags}
    pictures = 0
    words = [page.text]
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in anchors
            continue
        kind, content = re.fullmatch(r"data:image/(png|svg\+xml);base64,(.+)", address).groups()
        content = base64.b64decode(content, validate=True)
        if kind == "png":
            assert imread(io.BytesIO(content)).ndim == 2
        else:
            words += ElementTree.fromstring(content).itertext()
        pictures += 1
    assert all(page.aids)
    assert page.text.count("What to look for:") == len(page.aids)
    assert all(attributes["alt"] for tag, attributes in page.tags if tag == "img")
    assert not re.search(r"(?<![\w,.])(nan|inf|None|999)(?![\w,])", " ".join(words))
    return page, pictures


def chart_svg(uri: str) -> ElementTree.Element:
    """Return an SVG chart as elements."""
    return ElementTree.fromstring(base64.b64decode(uri.removeprefix("data:image/svg+xml;base64,"), validate=True))


def chart_words(uri: str) -> str:
    """Return the words in an SVG chart."""
    return " | ".join(text.strip() for text in chart_svg(uri).itertext() if text.strip())
