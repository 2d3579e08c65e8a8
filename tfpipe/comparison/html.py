"""A report as one page of HTML that needs nothing beside it, and asks for nothing.

Text from outside is escaped, and a policy lets the browser run only the page's own
program. Equal documents give an equal page: it knows no time and no place.
"""

import base64
import hashlib
import html
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfpipe.base.words import visible
from tfpipe.comparison import charts, plots
from tfpipe.comparison.configurations import Configuration
from tfpipe.comparison.document import (
    Bullets,
    Command,
    Document,
    Figure,
    Part,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
)

UNBROKEN = re.compile(r"--[\w=.+-]+|\b\d[\d.]*e-\d+\b")
STYLE = Path(__file__).with_name("report.css")
LIGHT = (
    f"--ground:{charts.LIGHT};--raised:#f6f7f9;--text:#1c2024;--soft:#59636e;"
    "--line:#d5d9de;--faint:#e8ebee;--link:#0b5394;--alarm:#c4321c;"
    f"--alarm-text:#a32612;{charts.colour_rules(charts.LIGHT)}"
)
DARK = (
    f"--ground:{charts.DARK};--raised:#1e242b;--text:#e3e6ea;--soft:#9aa5b1;"
    "--line:#39424d;--faint:#272e36;--link:#7db7f0;--alarm:#e0604c;"
    f"--alarm-text:#ff9d8c;{charts.colour_rules(charts.DARK)}"
)


def page(
    document: Document,
    configurations: Sequence[Configuration],
    figures: Mapping[str, bytes],
) -> str:
    """Return a document as a page.

    Args:
        document: all of it.
        configurations: whose curves the charts draw.
        figures: PNG by stem, of every figure of the document: what shows where no
            program runs.
    """
    sections = [
        _section(f"s{number}", section, figures)
        for number, section in enumerate(document.sections, start=1)
    ]
    links = "".join(
        f'<li><a href="#s{number}">{_words(section.title)}</a></li>'
        for number, section in enumerate(document.sections, start=1)
    )
    script = charts.script()
    body = "\n".join(
        [
            f"<h1>{_words(document.title)}</h1>",
            '<button id="theme" type="button" hidden></button>',
            *(f'<p class="banner">{_words(line)}</p>' for line in document.banners),
            f'<nav aria-label="Contents"><ol>{links}</ol></nav>',
            *sections,
        ]
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="'
        f'{_policy(script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_safe(document.title)}</title>\n<style>\n{_style()}</style>\n"
        f'</head>\n<body>\n<div class="page">\n{body}\n</div>\n'
        '<script type="application/json" id="curves">'
        f"{charts.as_json(charts.data(configurations))}</script>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )


def _style() -> str:
    """Return the rules, with the colours of either ground; paper is always light."""
    dark = f"color-scheme:dark;{DARK}"
    return (
        f":root{{color-scheme:light;{LIGHT}}}\n"
        "@media screen{\n"
        f':root[data-theme="dark"]{{{dark}}}\n'
        "@media (prefers-color-scheme:dark)"
        f'{{:root:not([data-theme="light"]){{{dark}}}}}\n'
        f"}}\n{STYLE.read_text(encoding='utf-8')}"
    )


def _safe(text: str) -> str:
    return html.escape(visible(text))


def _words(text: str) -> str:
    """Return text for people, of which no line ends within 1e-4 or a flag."""
    return UNBROKEN.sub(r'<span class="whole">\g<0></span>', _safe(text))


def _section(name: str, section: Section, figures: Mapping[str, bytes]) -> str:
    body = "\n".join(
        _side_by_side([_part(part, figures) for part in group])
        if is_figure
        else "\n".join(_part(part, figures) for part in group)
        for is_figure, group in itertools.groupby(
            section.parts, lambda part: isinstance(part, Figure)
        )
    )
    title = _words(section.title)
    if section.is_appendix:
        return (
            f'<details id="{name}">\n<summary><h2>{title}</h2></summary>\n{body}\n'
            "</details>"
        )
    return f'<section id="{name}">\n<h2>{title}</h2>\n{body}\n</section>'


def _side_by_side(figures: Sequence[str]) -> str:
    if len(figures) < 2:
        return "".join(figures)
    return f'<div class="charts many">{"".join(figures)}</div>'


def _part(part: Part, figures: Mapping[str, bytes]) -> str:
    match part:
        case Text():
            return f"<p>{_words(part.words)}</p>"
        case Bullets():
            lines = "".join(f"<li>{_words(line)}</li>" for line in part.lines)
            return f"<ul>{lines}</ul>"
        case Command():
            return f"<pre><code>{_words(part.line)}</code></pre>"
        case Table():
            return _table(part)
        case Figure():
            return _figure(part, figures[part.stem])
        case Pictures():
            return f'<div class="sheet">{"".join(map(_picture, part.pictures))}</div>'


def _table(table: Table) -> str:
    kinds = [' class="number"' if is_number else "" for is_number in table.are_numbers]
    caption = _safe(table.caption)
    head = "".join(
        f'<th scope="col"{kind}>{_words(name)}</th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    rows = []
    for row in table.rows:
        name, *cells = (f"<bdi>{_words(cell)}</bdi>" for cell in row)
        columns = "".join(
            f"<td{kind}>{cell}</td>"
            for cell, kind in zip(cells, kinds[1:], strict=True)
        )
        rows.append(f'<tr><th scope="row">{name}</th>{columns}</tr>')
    body = "\n".join(rows)
    # The caption stays outside of what scrolls; who has no pointer scrolls what has
    # the focus.
    return (
        (f'<p class="caption">{caption}</p>\n' if caption else "")
        + f'<div class="scroll" tabindex="0" role="region" aria-label="'
        f'{caption or "Table"}"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _figure(figure: Figure, png: bytes) -> str:
    """Return charts, or the picture of a figure that isn't curves."""
    caption = _safe(figure.caption)
    data = base64.b64encode(png).decode()
    image = f'<img src="data:image/png;base64,{data}" alt="{caption}">'
    stems = [panel.stem for panel in plots.PANELS if panel.stem == figure.stem]
    if figure.stem == plots.OVERVIEW:
        stems = [panel.stem for panel in plots.OVERVIEW_PANELS]
    if stems:
        many = " many" if len(stems) > 1 else ""
        holders = "".join(f'<div data-panel="{stem}"></div>' for stem in stems)
        image = (
            f'<div class="charts{many}">{holders}</div>\n<noscript>{image}</noscript>'
        )
    return f"<figure>\n{image}\n<figcaption>{caption}</figcaption>\n</figure>"


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.jpeg).decode()
    words = _safe(picture.words)
    return (
        f'<figure><div class="frame"><img src="data:image/jpeg;base64,{data}" '
        f'alt="{words}" width="{picture.width}" height="{picture.height}"></div>'
        f"<figcaption>{words}</figcaption></figure>"
    )
