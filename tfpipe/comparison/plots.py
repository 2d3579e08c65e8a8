"""Overlay the curves of compared runs, a colour, a line and a marker a run."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpipe.comparison.results import RunResult
from tfpipe.training import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours for every kind of colour vision, without their yellow and
# black; lines and markers tell runs apart in print, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

OVERVIEW = "comparison.png"
PANELS = (
    ("val_accuracy", "Validation accuracy"),
    ("val_loss", "Validation loss"),
    ("accuracy", "Train accuracy"),
    ("loss", "Train loss"),
)
PLOTS = ("val_accuracy.png", "val_loss.png", "train_accuracy.png", "train_loss.png")
HIGHEST_LOSS = 3.0
"""Losses above this many times that of knowing nothing are cut off."""
# What a legend's entry takes at 9 points: its line and gaps, a letter, its height.
LINE_INCHES, LETTER_INCHES, ROW_INCHES = 0.85, 0.075, 0.2
MOST_MARKERS = 12


def draw_comparison(results: Sequence[RunResult], folder: Path) -> list[Path]:
    """Write one plot a metric and an overview of all four; return their paths.

    Args:
        results: at least one of them with evaluations. A run keeps its colour, line
            and marker in every plot; one without evaluations has no curve.
        folder: where to; made if absent.
    """
    paths = [folder / OVERVIEW]
    with curves.open_figure(paths[0], 9.6, 7.2) as figure:
        panels = list(figure.subplots(2, 2).flatten())
        for axes, (metric, title) in zip(panels, PANELS, strict=True):
            draw_panel(axes, results, metric, title)
        _add_legend(figure, panels)
    for name, (metric, title) in zip(PLOTS, PANELS, strict=True):
        paths.append(folder / name)
        with curves.open_figure(paths[-1], 7.2, 4.8) as figure:
            axes = figure.add_subplot()
            draw_panel(axes, results, metric, title)
            _add_legend(figure, [axes])
    return paths


def draw_panel(
    axes: "Axes", results: Sequence[RunResult], metric: str, title: str
) -> None:
    """Draw every run's curve of one metric of metrics.jsonl, and what chance gives."""
    for index, result in enumerate(results):
        epochs, values = result.series(metric)
        if not epochs:
            continue
        # Dashes and smaller markers over larger ones let runs of one value all show.
        axes.plot(
            epochs,
            values,
            color=COLOURS[index % len(COLOURS)],
            linestyle=LINES[index % len(LINES)],
            marker=MARKERS[index % len(MARKERS)],
            markevery=math.ceil(len(epochs) / MOST_MARKERS),
            linewidth=1.8,
            markersize=max(4.5, 8.0 - 1.0 * index),
            label=result.label,
        )
    begun = [result for result in results if result.evaluations]
    highest_loss = math.inf
    if metric.endswith("accuracy"):
        for share in sorted({result.majority_share for result in begun}):
            curves.draw_reference(
                axes, share, f"accuracy of the majority share: {share:.3f}"
            )
    else:
        for classes in sorted({result.num_classes for result in begun}):
            label = f"loss of no information: ln {classes} = {math.log(classes):.3f}"
            curves.draw_reference(axes, math.log(classes), label)
            highest_loss = HIGHEST_LOSS * math.log(classes)
    curves.dress_axes(axes, title, metric.rpartition("_")[2].capitalize())
    if axes.get_ylim()[1] > highest_loss:
        axes.set_ylim(0, highest_loss)
        axes.set_ylabel(f"Loss (cut off above {highest_loss:.2f})")


def _add_legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    """Name every line once below the panels, in as many columns as names leave."""
    entries: dict[str, Any] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    longest = max(map(len, entries))
    width, height = figure.get_size_inches()
    columns = max(1, min(3, int(width / (LINE_INCHES + LETTER_INCHES * longest))))
    rows = math.ceil(len(entries) / columns)
    figure.set_size_inches(width, height + ROW_INCHES * max(0, rows - 3))
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=4,
    )
