"""A report as values: what it says, before it is a page of any format.

Every text is plain: what renders a document escapes it. So Markdown, HTML and LaTeX say
the same words and show the same numbers.
"""

import dataclasses
import re
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

    @property
    def are_numbers(self) -> list[bool]:
        """Tell of each column whether most are numbers, which stand flush right."""
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        return [
            index > 0 and 2 * sum(map(_is_number, column)) > len(column)
            for index, column in enumerate(columns)
        ]


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.match(cell))


# What begins like a number, an interval or nothing at all: "0.6858 (5)", "(0, 586]".
_NUMBER = re.compile(
    r"\s*([-+\u2212\u00b1<>\u2264\u2265~]?\s*[(\[]?[-+\u2212]?\.?\d|[-\u2013\u2014]?\s*$)"
)


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of `plots`, by the stem of its file.

    Attributes:
        stem: "val_accuracy" for val_accuracy.png and val_accuracy.pdf.
        caption: what it shows.
    """

    stem: str
    caption: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A small picture; `jpeg` are its bytes, its sides are in pixels."""

    jpeg: bytes
    width: int
    height: int
    words: str


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures side by side, or their words where a format can't hold them."""

    pictures: Sequence[Picture]


Part = Text | Bullets | Command | Table | Figure | Pictures


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
