"""What a page of HTML is made of: safe text, tables, thumbnails, the frame around."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from tfpipe.base.words import visible
from tfpipe.data.records import Record

TEXT_LIMIT = 240  # characters of a key or detail; more are cut out of its middle
THUMBNAIL_SIDE, THUMBNAIL_QUALITY = 96, 80

# Nothing from outside, and no script at all: names in the data come from anywhere.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 62rem;
  background: #fff; color: #1c2024;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Noto Sans CJK SC", sans-serif;
  -webkit-text-size-adjust: 100%; text-size-adjust: 100%;
}
h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere; }
h1 { margin: 0 0 .25rem; font-size: 1.9rem; }
h2 {
  margin: 2.75rem 0 .75rem; padding-top: .75rem; border-top: 1px solid #d5d9de;
  font-size: 1.35rem;
}
h3 { margin: 1.5rem 0 .5rem; font-size: 1.05rem; }
h3 small { font-weight: normal; color: #59636e; }
p, ul { margin: .5rem 0; max-width: 44rem; }
ul { padding-left: 1.25rem; }
a { color: #0b5394; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1.25rem 0 0; }
.soft { color: #59636e; }
.key, .word {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono",
    monospace;
  font-size: .875em; overflow-wrap: anywhere; white-space: pre-wrap;
}
.word { white-space: nowrap; }
td bdi { display: inline-block; max-width: 24rem; overflow-wrap: break-word; }
td .key { min-width: 8rem; max-width: 36rem; overflow-wrap: anywhere; }
td .soft .key { min-width: 0; }
.tiles {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr));
  gap: .75rem; margin: 1.25rem 0; padding: 0; list-style: none; max-width: none;
}
.tiles li { border: 1px solid #d5d9de; border-radius: 6px; padding: .6rem .8rem; }
.tiles b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tiles span { display: block; color: #59636e; font-size: .875rem; }
.warning {
  max-width: none; margin: .75rem 0; padding: .6rem .9rem; border: 1px solid #c4321c;
  border-left-width: 6px; border-radius: 4px; overflow-wrap: anywhere;
}
.warning b { color: #a32612; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .9375rem; }
th, td {
  padding: .35rem 1.5rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #e4e7eb;
}
th { font-weight: 600; border-bottom-color: #9aa3ad; }
td.number, th.number {
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
tr.total td { font-weight: 600; border-bottom: 0; }
td .soft { font-weight: normal; }
.charts {
  display: grid; gap: 1.25rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr));
}
figure { margin: 0; }
figcaption { font-size: .875rem; color: #3d4650; }
.charts figcaption b { display: block; font-size: .9375rem; color: #1c2024; }
.charts svg { display: block; width: 100%; max-width: 30rem; height: auto; }
.sheet {
  display: grid; gap: .9rem .75rem;
  grid-template-columns: repeat(auto-fill, minmax(6.25rem, 1fr));
}
.sheet figure { display: flex; flex-direction: column; }
.sheet .frame { height: 96px; display: flex; align-items: flex-end; }
.sheet figcaption { margin-top: .25rem; font-size: .8125rem; line-height: 1.25; }
img { display: block; border-radius: 2px; }
.keys { columns: 15rem; max-width: none; list-style: none; padding: 0; }
.group {
  display: flex; gap: 1rem; margin: .75rem 0; padding: .75rem;
  border: 1px solid #d5d9de; border-radius: 4px;
}
.group.flagged { border-color: #c4321c; border-left-width: 6px; }
.group > div { min-width: 0; }
.group img { flex: none; }
.group ul { margin: 0; }
.group p { margin: 0 0 .25rem; }
.group b { color: #a32612; }
@media (max-width: 34rem) {
  body { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.6rem; }
  table { font-size: .875rem; }
  th, td { padding-right: .7rem; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  td.number .soft { display: block; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; }
  tr, figure, .group, .warning, .tiles { break-inside: avoid; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
}
"""


def safe(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return text from outside as HTML that shows it and does nothing else.

    Characters that act instead of being seen (controls, reversals of the writing
    direction, lone surrogates) are spelt out; a long text loses its middle.
    """
    if len(text) > limit:
        half = (limit - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return html.escape(visible(text))


def name(text: str) -> str:
    """Return a class's or data set's name; its writing direction stays its own."""
    return f"<bdi>{safe(text)}</bdi>"


def key(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return a key, value or detail in the type of code."""
    return f'<bdi class="key">{safe(text, limit)}</bdi>'


def word(text: str) -> str:
    """Return a reason, a setting's name or the like in the type of code, unbroken."""
    return f'<span class="word">{safe(text)}</span>'


def share(part: int, whole: int) -> str:
    """Return a share in percent, "0.0 %" of nothing."""
    return f"{100 * part / whole if whole else 0:.1f}\u00a0%"


def plural(number: int, word: str) -> str:
    """Return "1 picture" or "2 pictures"."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    has_total: bool = False,
) -> str:
    """Return a table of cells that are HTML already.

    Args:
        head: the columns' titles.
        rows: as many cells each.
        numbers: the columns, from 0, that are set flush right.
        has_total: whether the last row is a sum.
    """

    def cells(tag: str, values: Sequence[str]) -> str:
        kinds = (' class="number"' if i in numbers else "" for i in range(len(values)))
        pairs = zip(kinds, values, strict=True)
        return "".join(f"<{tag}{kind}>{value}</{tag}>" for kind, value in pairs)

    lines = [f"<tr>{cells('td', row)}</tr>" for row in rows]
    if has_total:
        lines[-1] = lines[-1].replace("<tr>", '<tr class="total">', 1)
    body = "\n".join(lines)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{cells("th", head)}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def thumbnail(record: Record, alt: str) -> str:
    """Return a record's picture as an <img> of at most 96 pixels a side.

    Its bytes stand in the page; `alt` is plain text.
    """
    encoded, width, height = small_jpeg(record)
    data = base64.b64encode(encoded).decode()
    return (
        f'<img src="data:image/jpeg;base64,{data}" alt="{safe(alt)}" '
        f'width="{width}" height="{height}">'
    )


def small_jpeg(record: Record) -> tuple[bytes, int, int]:
    """Return a record's picture as a JPEG of at most 96 pixels a side, and its sides.

    These are width and height.
    """
    image = Image.fromarray(_small_pixels(record))
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(image), quality=THUMBNAIL_QUALITY, colorsubsampling="420"
    )
    return encoded, image.width, image.height


def _small_pixels(record: Record) -> NDArray[np.uint8]:
    """Return uint8 [height, width, 3], not much larger than a thumbnail if JPEG."""
    if record.format == "raw":
        pixels = np.frombuffer(record.encoded, np.uint8)
        return pixels.reshape(record.height, record.width, 3)
    # While it decodes, libjpeg scales by eighths for next to nothing.
    longer = "min_height" if record.height > record.width else "min_width"
    enough = {longer: 2 * THUMBNAIL_SIDE}
    small: NDArray[np.uint8] = simplejpeg.decode_jpeg(record.encoded, "RGB", **enough)
    return small


def warning(what: str, more: str) -> str:
    """Return a framed line that can't be missed; both are HTML."""
    return f'<p class="warning"><b>{what}</b> {more}</p>'


def page(title: str, opening: Sequence[str], sections: Mapping[str, str]) -> str:
    """Return a whole page.

    Args:
        title: plain text.
        opening: HTML above the links to the sections.
        sections: HTML by heading, a word; empty ones are left out.
    """
    shown = {name: body for name, body in sections.items() if body}
    links = (f'<a href="#{name.lower()}">{name}</a>' for name in shown)
    bodies = (
        f'<section>\n<h2 id="{name.lower()}">{name}</h2>\n{body}\n</section>'
        for name, body in shown.items()
    )
    body = "\n".join([*opening, f"<nav>{' '.join(links)}</nav>", *bodies])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{safe(title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
