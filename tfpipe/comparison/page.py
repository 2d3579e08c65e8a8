"""Put a comparison's runs into the terminal, a line each."""

from collections.abc import Sequence
from typing import Literal

import rich.box
import rich.console
import rich.table
import rich.text

from tfpipe.base.words import visible
from tfpipe.comparison import markdown
from tfpipe.comparison import results as run_results
from tfpipe.comparison.cells import NOTHING, format_short
from tfpipe.comparison.document import Bullets, Command, Document, Text
from tfpipe.comparison.labels import format_number
from tfpipe.comparison.results import RunResult

COLUMNS = (
    "run",
    "val accuracy",
    "best (epoch)",
    "val loss",
    "steps to escape",
    "seconds an epoch",
    "status",
)
LEAST_WIDTH = 80


def markdown_table(results: Sequence[RunResult]) -> str:
    """Return the table in Markdown, its columns aligned for reading as it is."""
    rows = [COLUMNS, *(table_row(result) for result in results)]
    return markdown.align(rows, [False] * len(COLUMNS))


def print_answer(document: Document) -> None:
    """Print what a report answers: its banners and its first section."""
    for line in document.banners:
        print(f"! {visible(line)}")
    for part in document.sections[0].parts:
        if isinstance(part, Text):
            print(visible(part.words))
        elif isinstance(part, Bullets):
            print(*(f"- {visible(line)}" for line in part.lines), sep="\n")
        elif isinstance(part, Command):
            print(f"    {visible(part.line)}")


def print_page(results: Sequence[RunResult]) -> None:
    """Print a line a run, and under which conditions they were made.

    A terminal of at least 80 columns gets a drawn table, anything else the Markdown.
    """
    console = rich.console.Console()
    if not console.is_terminal or console.width < LEAST_WIDTH:
        print("\n".join([markdown_table(results), *conditions(results)]))
        return
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in COLUMNS:
        justify: Literal["left", "right"] = (
            "left" if name in ("run", "status") else "right"
        )
        table.add_column(
            "\n".join(name.rsplit(" ", 1)), justify=justify, overflow="fold"
        )
    for result in results:
        table.add_row(*map(rich.text.Text, table_row(result)))
    console.print(table)
    for line in conditions(results):
        console.print(rich.text.Text(line))


def table_row(result: RunResult) -> list[str]:
    """Return the cells of a run, one for each of COLUMNS; last values but for best."""
    label = visible(result.label)
    reason = f": {result.reason}" if result.reason else ""
    status = visible("; ".join([result.status + reason, *result.shortened]))
    if not result.evaluations:
        return [label, *[NOTHING] * (len(COLUMNS) - 2), status]
    return [
        label,
        f"{result.final['val_accuracy']:.4f}",
        f"{result.best['val_accuracy']:.4f} ({format_short(result.best['epoch'])})",
        _loss(result.final["val_loss"]),
        describe_escape(result),
        _seconds(result),
        status,
    ]


def _seconds(result: RunResult) -> str:
    seconds = run_results.seconds_an_epoch(result)
    if seconds is None:
        return NOTHING
    return f"{format_short(seconds)}{_beside(result)}"


def _beside(result: RunResult) -> str:
    """Return in brackets how many runs shared the machine, "" where none did."""
    others, on_gpu = result.shared_machine, result.shared_gpu
    if not others:
        return ""
    gpu = f", {on_gpu} on its GPU" if on_gpu else ""
    return f" (beside {others} other{'s' * (others > 1)}{gpu})"


def _loss(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.4g}"


def describe_escape(result: RunResult) -> str:
    """Return the updates between which the run left its start, or that it didn't."""
    if result.escape:
        return str(result.escape)
    if result.is_unconfirmed:
        return f"perhaps at {result.final['step']}, its last"
    return "not left its start"


def conditions(results: Sequence[RunResult]) -> list[str]:
    """Return under which conditions the runs were made: what differs, what doesn't."""
    rows = [run_results.conditions_of(result) for result in results]
    different, same = [], []
    for name in dict.fromkeys(name for row in rows for name in row):
        words = [format_number(row[name]) for row in rows if name in row]
        if len(set(words)) > 1:
            different.append(f"{name} ({', '.join(dict.fromkeys(words))})")
        else:
            same.append(f"{name}={words[0]}")
    lines = [f"runs differ in: {visible(', '.join(different))}"] if different else []
    lines.append(f"all runs share: {visible(', '.join(same))}")
    lines.append(
        "seconds an epoch: the median of training and evaluation together, without "
        "checkpoints and drawing"
    )
    if any(result.shared_machine for result in results):
        lines.append(
            "beside others: runs that shared the machine, whose seconds are no measure "
            "of a run alone"
        )
    for share, threshold, num in sorted(
        {
            (result.majority_share, result.threshold, result.num_validation)
            for result in results
            if result.facts
        }
    ):
        lines.append(
            f"a run has left its start after two evaluations in a row above "
            f"{threshold:.4f}: the majority share {share:.4f} and 3 standard errors "
            f"at {num:,} validation pictures"
        )
    return lines
