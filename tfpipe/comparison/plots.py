"""Overlay the curves of compared runs: thin ones, and a thick median of each kind.

A configuration has one colour, line and marker in every figure.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfpipe.comparison import series, statistics
from tfpipe.comparison.configurations import Configuration
from tfpipe.comparison.results import RunResult
from tfpipe.training import curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours for every kind of colour vision, without their yellow and
# black; lines and markers tell configurations apart in print, too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


@dataclasses.dataclass(frozen=True)
class Panel:
    """A figure of one metric.

    Attributes:
        metric: its key in metrics.jsonl.
        stem: its file's.
        title: what is shown.
        is_aligned: whether curves begin where runs left their start.
    """

    metric: str
    stem: str
    title: str
    is_aligned: bool = False

    @property
    def clock(self) -> str:
        """What its epochs, steps and seconds are counted from, "" for the start."""
        return "since the start was left" if self.is_aligned else ""


OVERVIEW = "comparison"
ALIGNED = Panel(
    "val_accuracy",
    "val_accuracy_aligned",
    "Validation accuracy since the start was left",
    is_aligned=True,
)
PANELS = (
    Panel("val_accuracy", "val_accuracy", "Validation accuracy"),
    Panel("val_loss", "val_loss", "Validation loss"),
    Panel("accuracy", "train_accuracy", "Train accuracy"),
    Panel("loss", "train_loss", "Train loss"),
    Panel("test_accuracy", "test_accuracy", "Test accuracy"),
    ALIGNED,
)
OVERVIEW_PANELS = PANELS[:4]
FORMATS = ("png", "pdf")
HIGHEST_LOSS = 3.0
"""Losses above this many times that of knowing nothing are cut off."""
# What a legend's entry takes at 9 points: its line and gaps, a letter, its height.
LINE_INCHES, LETTER_INCHES, ROW_INCHES = 0.85, 0.075, 0.2
MOST_MARKERS = 12
# Fonts that have Chinese, the first that is installed is taken.
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
    "Droid Sans Fallback",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class References:
    """What knowing nothing gives.

    Attributes:
        shares: majority shares of the validation splits: one, if runs can be compared.
        noise: Wilson's 95 % interval of an accuracy at the majority share: what so
            many pictures leave open; None where runs have several validation splits.
        num_classes: of the data sets.
    """

    shares: tuple[float, ...]
    noise: tuple[float, float] | None
    num_classes: tuple[int, ...]

    @property
    def highest_loss(self) -> float:
        """Where losses are cut off, infinite where nothing was run."""
        limits = [HIGHEST_LOSS * math.log(number) for number in self.num_classes]
        return max(limits, default=math.inf)


def references(configurations: Sequence[Configuration]) -> References:
    """Return the references of all runs with evaluations."""
    begun = [
        run
        for configuration in configurations
        for run in configuration.runs
        if _of(run)
    ]
    sizes = {(run.majority_share, run.num_validation) for run in begun}
    noise = None
    if len(sizes) == 1:
        [(share, number)] = sizes
        noise = statistics.wilson(round(share * number), number)
    return References(
        shares=tuple(sorted({share for share, _ in sizes})),
        noise=noise,
        num_classes=tuple(sorted({run.num_classes for run in begun})),
    )


def _of(run: RunResult) -> bool:
    return bool(run.evaluations)


def panels_of(configurations: Sequence[Configuration]) -> list[Panel]:
    """Return the panels that have any curve."""
    return [
        panel
        for panel in PANELS
        if series.bundles(configurations, panel.metric, panel.is_aligned)
    ]


def draw_comparison(
    configurations: Sequence[Configuration], folder: Path
) -> list[Path]:
    """Write an overview and a figure a metric, as PNG and PDF; return their paths.

    Without any evaluation there are none. Those of an earlier report that has curves
    which this one lacks are removed.

    Args:
        configurations: of the study.
        folder: where to; made if absent.
    """
    panels = panels_of(configurations)
    drawn = [OVERVIEW, *(panel.stem for panel in panels)] if panels else []
    for stem in (OVERVIEW, *(panel.stem for panel in PANELS)):
        for path in _paths(folder, stem) if stem not in drawn else ():
            path.unlink(missing_ok=True)
    if not panels:
        return []
    paths = _paths(folder, OVERVIEW)
    with curves.open_figure(paths, 9.6, 7.2, _fonts(configurations)) as figure:
        axes = list(figure.subplots(2, 2).flatten())
        for place, panel in zip(axes, OVERVIEW_PANELS, strict=True):
            draw_panel(place, configurations, panel)
        _add_legend(figure, axes, configurations)
    for panel in panels:
        own = _paths(folder, panel.stem)
        with curves.open_figure(own, 7.2, 4.8, _fonts(configurations)) as figure:
            place = figure.add_subplot()
            draw_panel(place, configurations, panel)
            _add_legend(figure, [place], configurations)
        paths += own
    return paths


def _paths(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}.{suffix}" for suffix in FORMATS]


def draw_panel(
    axes: "Axes", configurations: Sequence[Configuration], panel: Panel
) -> None:
    """Draw every curve of one metric, and what knowing nothing gives."""
    from matplotlib.collections import LineCollection

    for bundle in series.bundles(configurations, panel.metric, panel.is_aligned):
        colour = COLOURS[bundle.index % len(COLOURS)]
        if len(bundle.runs) > 1:
            # One collection: as lines of their own they take twice as long to draw.
            thin = LineCollection(
                [list(zip(run.epochs, run.values, strict=True)) for run in bundle.runs],
                colors=colour,
                linewidths=0.6,
                alpha=0.55,
            )
            thin.set_in_layout(False)  # inside the axes anyway, and slow to measure
            axes.add_collection(thin)
        median = bundle.median
        # Dashes and smaller markers over larger ones let curves of one value all show.
        axes.plot(
            median.epochs,
            median.values,
            color=colour,
            linestyle=LINES[bundle.index % len(LINES)],
            marker=MARKERS[bundle.index % len(MARKERS)],
            markevery=max(1, math.ceil(len(median.epochs) / MOST_MARKERS)),
            linewidth=2.0,
            markersize=max(4.5, 8.0 - 1.0 * bundle.index),
            gid=_gid(bundle.index),
        )
    known = references(configurations)
    if panel.metric.endswith("accuracy"):
        if panel.metric == "val_accuracy" and known.noise:
            axes.axhspan(
                *known.noise,
                color=curves.REFERENCE_COLOUR,
                alpha=0.13,
                linewidth=0,
                label="95 % interval of the majority share (Wilson)",
            )
        for share in known.shares:
            curves.draw_reference(
                axes, share, f"accuracy of the majority share: {share:.3f}"
            )
    else:
        for classes in known.num_classes:
            label = f"loss of no information: ln {classes} = {math.log(classes):.3f}"
            curves.draw_reference(axes, math.log(classes), label)
    curves.dress_axes(axes, panel.title, panel.metric.rpartition("_")[2].capitalize())
    if panel.clock:
        axes.set_xlabel(f"Epochs {panel.clock}")
    if panel.metric.endswith("loss") and axes.get_ylim()[1] > known.highest_loss:
        axes.set_ylim(0, known.highest_loss)
        axes.set_ylabel(f"Loss (cut off above {known.highest_loss:.2f})")


def _gid(index: int) -> str:
    """Return by which id a configuration's median is found among an axes' lines."""
    return f"configuration {index}"


def _add_legend(
    figure: "Figure",
    panels: Sequence["Axes"],
    configurations: Sequence[Configuration],
) -> None:
    """Name every line once below the panels, in as many columns as names leave."""
    names = legend_names(configurations)
    entries: dict[str, Any] = {}
    for index, name in enumerate(names):
        lines = [line for axes in panels for line in axes.lines]
        own = [line for line in lines if line.get_gid() == _gid(index)]
        if own:
            entries[name] = own[0]
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    longest = max(map(len, entries))
    width, height = figure.get_size_inches()
    columns = max(1, min(3, int(width / (LINE_INCHES + LETTER_INCHES * longest))))
    rows = math.ceil(len(entries) / columns)
    figure.set_size_inches(width, height + ROW_INCHES * max(0, rows - 3))
    legend = figure.legend(
        entries.values(),
        map(str, range(len(entries))),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=4,
    )
    # Names come from outside: matplotlib hides those that begin with an underscore,
    # and takes dollars for formulas.
    for text, name in zip(legend.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def legend_names(configurations: Sequence[Configuration]) -> list[str]:
    """Return what figures call each configuration.

    That is its label; its number, from 1, where no installed font has its letters.
    """
    labels = [configuration.label for configuration in configurations]
    if _fonts(configurations) is None:
        return [str(number) for number in range(1, len(labels) + 1)]
    return labels


def _fonts(configurations: Sequence[Configuration]) -> list[str] | None:
    """Return fonts that have all letters of all labels, None where none do."""
    letters = {letter for one in configurations for letter in one.label}
    return _fonts_for(frozenset(letters))


@functools.cache
def _fonts_for(letters: frozenset[str]) -> list[str] | None:
    from matplotlib import font_manager, ft2font

    def lacking(family: str, wanted: frozenset[str]) -> frozenset[str]:
        path = font_manager.findfont(family, fallback_to_default=False)
        known = ft2font.FT2Font(path).get_charmap()
        return frozenset(letter for letter in wanted if ord(letter) not in known)

    missing = lacking("DejaVu Sans", letters)
    if not missing:
        return ["DejaVu Sans"]
    manager = font_manager.fontManager
    for is_second in (False, True):
        if is_second:  # fonts may be newer than the list that matplotlib keeps
            known = {entry.fname for entry in manager.ttflist}
            for path in sorted({*font_manager.findSystemFonts()} - known):
                with contextlib.suppress(OSError, RuntimeError):  # not one it can use
                    manager.addfont(path)
        installed = set(font_manager.get_font_names())
        for family in CHINESE_FONTS:
            if family in installed and not lacking(family, missing):
                return ["DejaVu Sans", family]
    return None
