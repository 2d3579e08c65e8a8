"""A report in Markdown as GitHub reads it, which reads well as it is, too."""

import re
from collections.abc import Sequence

from tfpipe.base.words import visible
from tfpipe.comparison.document import (
    Bullets,
    Command,
    Document,
    Figure,
    Part,
    Pictures,
    Section,
    Table,
    Text,
)

# An underscore inside a word, as in val_accuracy, is one to Markdown, too; "&" and "<"
# act where a name or a tag may follow.
_ACTS = re.compile(r"[\\`*\[|~$]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<!\w)_|_(?!\w)")
# GitHub makes links of these anywhere.
_LINKS = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)", re.IGNORECASE)
_BEGINS = re.compile(r"^(\s*)([#>+-]|\d+(?=[.)]))")


def page(document: Document, figures: str) -> str:
    """Return a document in Markdown.

    Args:
        document: all of it but its pictures.
        figures: the folder of figures, from where the page is.
    """
    blocks = [f"# {escape(document.title)}"]
    blocks += [f"**{escape(line)}**" for line in document.banners]
    for section in document.sections:
        blocks += _section(section, figures)
    return "\n\n".join(blocks) + "\n"


def _section(section: Section, figures: str) -> list[str]:
    title = f"Appendix: {section.title}" if section.is_appendix else section.title
    blocks = [f"## {escape(title)}"]
    return blocks + [_part(part, figures) for part in section.parts]


def _part(part: Part, figures: str) -> str:
    match part:
        case Text():
            return escape(part.words, is_block=True)
        case Bullets():
            return "\n".join(f"- {escape(line, is_block=True)}" for line in part.lines)
        case Command():
            line = visible(part.line)
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", line)), default=0))
            return f"{fence}console\n$ {line}\n{fence}"
        case Table():
            return _table(part)
        case Figure():
            path = f"{figures}/{part.stem}.png"
            caption = escape(part.caption)
            inner = caption.replace("]", "\\]")
            return f"![{inner}]({path})\n\n{caption} ([PDF]({path[:-4]}.pdf))"
        case Pictures():
            return "\n".join(f"- {escape(one.words)}" for one in part.pictures)


def _table(table: Table) -> str:
    rows = align([table.columns, *table.rows], table.are_numbers)
    return f"{escape(table.caption)}\n\n{rows}" if table.caption else rows


def align(rows: Sequence[Sequence[str]], are_numbers: Sequence[bool]) -> str:
    """Return a table in Markdown, its columns aligned for reading as it is.

    Args:
        rows: cells in plain text; the first row are the columns' names.
        are_numbers: of each column whether it is set flush right.
    """
    texts = [[escape(cell) for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*texts, strict=True)]
    rule = [
        f"{'-' * (width - 1)}{':' if is_number else '-'}"
        for width, is_number in zip(widths, are_numbers, strict=True)
    ]
    texts.insert(1, rule)
    lines = []
    for row in texts:
        cells = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, are_numbers, strict=True)
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def escape(text: str, *, is_block: bool = False) -> str:
    """Return plain text as Markdown that shows it and does nothing else.

    Args:
        text: from anywhere.
        is_block: whether it begins a line, where a number or a dash makes a list.
    """
    safe = _ACTS.sub(lambda match: f"\\{match[0]}", visible(text))
    safe = _LINKS.sub("<!-- -->", safe)
    if not is_block:
        return safe
    begin = _BEGINS.match(safe)
    if begin and begin[2].isdigit():
        return f"{safe[: begin.end()]}\\{safe[begin.end() :]}"
    return f"\\{safe.lstrip()}" if begin else safe
