"""Write a report's files: one content, in every format."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from tfpipe.base import files
from tfpipe.comparison import (
    content,
    disagreements,
    html,
    latex,
    markdown,
    methods,
    plots,
)
from tfpipe.comparison import results as run_results
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.configurations import Configuration
from tfpipe.comparison.document import Document, Figure, Part, Section, Text
from tfpipe.comparison.findings import Findings

PAGE, REPORT, TABLE, NUMBERS = "report.html", "report.md", "table.tex", "results.csv"
FIGURES = "figures"
REPORT_DIR = "report"
"""Where a report is beside its runs."""
NUM_PICTURES = 20
"""Of each kind, where no other number is asked for."""


@dataclasses.dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        document: what it says.
        paths: its files.
        why_no_pictures: where some were asked for and there are none; else "".
    """

    document: Document
    paths: list[Path]
    why_no_pictures: str


def write_report(
    found: Findings,
    folder: Path,
    *,
    records_dir: str = "",
    num_pictures: int = NUM_PICTURES,
    damaged: Sequence[str] = (),
) -> Report:
    """Write the page, the Markdown, the tables and figures.

    Added to the document are curves that it doesn't show itself, how the study was
    made, and pictures to look at. The same run folders give the same bytes.
    Without any evaluation there are no figures, and the document's are left out with a
    word.

    Args:
        found: of the study.
        folder: where to; made if absent.
        records_dir: where pictures are taken from; "": the runs' own.
        num_pictures: at most so many of each kind are shown; 0: none.
        damaged: a line for each run that could not be read.
    """
    said = content.build_document(found)
    said = dataclasses.replace(said, banners=[*damaged, *said.banners])
    analysis, results = found.analysis, found.runs
    configurations = analysis.configurations
    folder.mkdir(parents=True, exist_ok=True)
    own = (run.settings["records_dir"] for run in results)
    source = Path(records_dir or next(own, ""))
    pictures = disagreements.find(analysis, source, num_pictures)
    curves = _other_curves(said, configurations)
    added = [curves, methods.describe(found), pictures.section]
    document = _with_sections(said, [section for section in added if section.parts])
    figures = plots.draw_comparison(configurations, folder / FIGURES)
    drawn = {path.stem: path.read_bytes() for path in figures if path.suffix == ".png"}
    document = _with_drawn(document, set(drawn))
    texts = {
        PAGE: html.page(document, configurations, drawn),
        REPORT: markdown.page(_numbered(document, analysis), FIGURES),
        TABLE: latex.page(document),
        NUMBERS: run_results.to_csv(results),
    }
    if num_pictures:
        texts[disagreements.SUSPECTS] = disagreements.suspects_text(pictures.suspects)
    else:
        (folder / disagreements.SUSPECTS).unlink(missing_ok=True)
    for name, text in texts.items():
        files.write_bytes(folder / name, text.encode())
    paths = [*(folder / name for name in texts), *figures]
    return Report(said, paths, pictures.why_none)


def list_paths(paths: Sequence[Path]) -> list[Path]:
    """Return paths for people: of the figures their folder alone."""
    return list(
        dict.fromkeys(
            path.parent if path.parent.name == FIGURES else path for path in paths
        )
    )


def _other_curves(
    document: Document, configurations: Sequence[Configuration]
) -> Section:
    """Return the figures of all curves that a document doesn't show."""
    shown = [
        part.stem
        for section in document.sections
        for part in section.parts
        if isinstance(part, Figure)
    ]
    return Section(
        "Curves",
        [
            Figure(panel.stem, f"{panel.title}: each run thin, medians thick.")
            for panel in plots.panels_of(configurations)
            if panel.stem not in shown and plots.OVERVIEW not in shown
        ],
    )


def _with_sections(document: Document, added: Sequence[Section]) -> Document:
    """Return a document with more sections, appendices behind all others."""
    sections = [*document.sections, *added]
    return dataclasses.replace(
        document, sections=sorted(sections, key=lambda section: section.is_appendix)
    )


def _with_drawn(document: Document, stems: set[str]) -> Document:
    def there(part: Part) -> Part:
        if isinstance(part, Figure) and part.stem not in stems:
            return Text(f"{part.caption} Not drawn: no run has such numbers.")
        return part

    return _changed(document, there)


def _numbered(document: Document, analysis: Analysis) -> Document:
    """Return a document whose captions say what the numbers of a legend stand for."""
    labels = [configuration.label for configuration in analysis.configurations]
    names = plots.legend_names(analysis.configurations)
    if names == labels:
        return document
    pairs = zip(names, labels, strict=True)
    key = "; ".join(f"{number}: {label}" for number, label in pairs)

    def numbered(part: Part) -> Part:
        if isinstance(part, Figure):
            return Figure(part.stem, f"{part.caption} {key}.")
        return part

    return _changed(document, numbered)


def _changed(document: Document, change: Callable[[Part], Part]) -> Document:
    sections = [
        dataclasses.replace(section, parts=[change(part) for part in section.parts])
        for section in document.sections
    ]
    return dataclasses.replace(document, sections=sections)
