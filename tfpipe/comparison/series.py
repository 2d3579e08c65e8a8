"""Curves of configurations as values: one a run, and the median of its runs."""

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison.configurations import Configuration
from tfpipe.comparison.results import RunResult


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """A metric along training, a point an evaluation.

    Attributes:
        name: of the run; "" for a median.
        seed: the run's, None for a median.
        epochs, steps, seconds: where each value stands; seconds of training.
        values: finite.
    """

    name: str
    seed: int | None
    epochs: tuple[float, ...]
    steps: tuple[int, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle:
    """All curves of one metric of one configuration.

    Attributes:
        label: the configuration's.
        index: its place in the study: what it looks like in every figure.
        runs: one a run that has any.
        median: of the runs, that run's own curve where it is the only one.
    """

    label: str
    index: int
    runs: tuple[Curve, ...]
    median: Curve


def bundles(
    configurations: Sequence[Configuration], metric: str, is_aligned: bool = False
) -> list[Bundle]:
    """Return the curves of a metric of metrics.jsonl, of those that have some.

    Args:
        configurations: of the study.
        metric: its key.
        is_aligned: whether curves begin, at 0 on every clock, with the first evaluation
            that says that a run left its start; those that never did have none.
    """
    found = []
    for index, configuration in enumerate(configurations):
        runs = tuple(_curve(run, metric, is_aligned) for run in configuration.runs)
        runs = tuple(curve for curve in runs if curve.values)
        if runs:
            median = runs[0]
            if len(configuration.runs) > 1:
                median = _median(configuration.runs, metric, is_aligned)
            label = configuration.label
            found.append(Bundle(label=label, index=index, runs=runs, median=median))
    return found


def _curve(run: RunResult, metric: str, is_aligned: bool) -> Curve:
    lines = [
        line
        for line in run.evaluations
        if line.get(metric) is not None and math.isfinite(line[metric])
    ]
    zero = dict.fromkeys(("epoch", "step", "train_seconds"), 0)
    if is_aligned:
        escape = run.escape if lines else None
        lines = [line for line in lines if escape and line["step"] >= escape.upper]
        zero = lines[0] if lines else zero

    def clock(name: str) -> tuple[Any, ...]:
        return tuple(line[name] - zero[name] for line in lines)

    return Curve(
        name=run.name,
        seed=run.settings["seed"],
        epochs=clock("epoch"),
        steps=clock("step"),
        seconds=clock("train_seconds"),
        values=tuple(line[metric] for line in lines),
    )


def _median(runs: Sequence[RunResult], metric: str, is_aligned: bool) -> Curve:
    """Return the median of runs at each step that more than half of them reached.

    Of aligned ones those count that left their start.

    A run that diverged counts with the worst value from its end on, so that the median
    isn't that of the survivors.
    """
    worst = math.inf if metric.endswith("loss") else -math.inf
    begun = [run for run in runs if run.evaluations or run.status == "diverged"]
    if is_aligned:
        begun = [run for run in begun if run.escape]
    curves = [_curve(run, metric, is_aligned) for run in begun]
    diverged = [run.status == "diverged" for run in begun]
    points = []
    for step in sorted({step for curve in curves for step in curve.steps}):
        values, epochs, seconds = [], [], []
        for curve, is_diverged in zip(curves, diverged, strict=True):
            if step in curve.steps:
                place = curve.steps.index(step)
                values.append(curve.values[place])
                epochs.append(curve.epochs[place])
                seconds.append(curve.seconds[place])
            elif is_diverged and step > max(curve.steps, default=0):
                values.append(worst)
        middle = statistics.median(values)
        if 2 * len(values) > len(begun) and math.isfinite(middle):
            points.append((min(epochs), step, statistics.median(seconds), middle))
    return Curve(
        name="",
        seed=None,
        epochs=tuple(point[0] for point in points),
        steps=tuple(point[1] for point in points),
        seconds=tuple(point[2] for point in points),
        values=tuple(point[3] for point in points),
    )
