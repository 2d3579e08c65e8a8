"""A report as values: what it says, before it is a page of any format.

Every text is plain: what renders a document escapes it. So Markdown, HTML and LaTeX say
the same words and show the same numbers.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclasses.dataclass(frozen=True)
class Bullets:
    """A list, a line each."""

    lines: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line to give as it is."""

    line: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; the first column names its row.

    Attributes:
        columns: names.
        rows: cells, as many as columns each.
        caption: what it shows, under which conditions.
        is_main: whether a paper would print it: the LaTeX file holds these.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    is_main: bool = False


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of `plots`, by the stem of its file.

    Attributes:
        stem: "val_accuracy" for val_accuracy.png and val_accuracy.pdf.
        caption: what it shows.
    """

    stem: str
    caption: str


Part = Text | Bullets | Command | Table | Figure


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the report with a title of its own."""

    title: str
    parts: Sequence[Part]
    is_appendix: bool = False


@dataclasses.dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: of the study.
        banners: what brands every number below, a line each: runs that aren't
            comparable, still improving, not declared beforehand.
        sections: the answer first.
    """

    title: str
    banners: Sequence[str]
    sections: Sequence[Section]
