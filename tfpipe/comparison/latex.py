"""A report's main tables for a paper: LaTeX with booktabs."""

import re
from collections.abc import Sequence

from tfpipe.base.words import visible
from tfpipe.comparison.document import Document, Table

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "\u2212": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",  # noqa: RUF001 - the sign, not the letter
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≈": r"$\approx$",
    "∞": r"$\infty$",
    "→": r"$\to$",
    "–": "--",  # noqa: RUF001 - the dash
    "—": "---",
    "…": r"\ldots{}",
    "\u00a0": "~",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def page(document: Document) -> str:
    """Return the main tables of a document, each a table environment."""
    tables = [
        part
        for section in document.sections
        for part in section.parts
        if isinstance(part, Table) and part.is_main
    ]
    lines = ["% Needs \\usepackage{booktabs,textcomp} and \\usepackage[T1]{fontenc}."]
    body = "\n".join(_table(table, document.banners) for table in tables)
    if any(ord(letter) > 0x24F for letter in body):
        lines.append("% Has letters beyond Latin: for XeLaTeX or LuaLaTeX with a font.")
    return "\n".join([*lines, body]) + "\n"


def _table(table: Table, banners: Sequence[str]) -> str:
    kinds = "".join("r" if is_number else "l" for is_number in table.are_numbers)
    # What every number must be read with goes where the numbers go.
    words = [escape(table.caption), *(f"\\textbf{{{escape(b)}.}}" for b in banners)]
    caption = [f"\\caption{{{' '.join(filter(None, words))}}}"] if any(words) else []
    lines = [
        "\\begin{table}",
        "\\centering",
        *caption,
        f"\\begin{{tabular}}{{{kinds}}}",
        "\\toprule",
        _row(table.columns),
        "\\midrule",
        *map(_row, table.rows),
        "\\bottomrule",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    # \\ takes a bracket or a star at the next line's beginning for its own.
    texts = [escape(cell) for cell in cells]
    if texts[0][:1] in ("[", "*"):
        texts[0] = f"{{{texts[0][0]}}}{texts[0][1:]}"
    return f"{' & '.join(texts)} \\\\"


def escape(text: str) -> str:
    """Return plain text as LaTeX that sets it and does nothing else."""
    pieces = re.split("(?<=-)(?=-)", visible(text))  # two hyphens would become a dash
    return "{}".join(
        "".join(_ESCAPES.get(letter, letter) for letter in piece) for piece in pieces
    )
