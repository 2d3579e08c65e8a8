"""What to train with, what isn't told apart from it, and what would change that."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from tfpipe.comparison import statistics as study_statistics
from tfpipe.comparison.analysis import Analysis, Comparison, Configuration
from tfpipe.comparison.certificate import Check
from tfpipe.comparison.results import format_number
from tfpipe.training import stages


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a study, in sentences.

    Attributes:
        headline: the setting to use, or why there is none.
        command: that trains it, "" where there is none.
        beside: what isn't distinguishable from it, and what is.
        rates: how much tuning each optimizer needs.
        doubts: what would change the answer.
    """

    headline: str
    command: str
    beside: tuple[str, ...]
    rates: tuple[str, ...]
    doubts: tuple[str, ...]


def find_answer(analysis: Analysis, checks: Sequence[Check]) -> Answer:
    """Return the answer that runs give."""
    ranked = analysis.ranked
    if not ranked:
        return Answer(
            headline="No run has ended yet: there is no answer.",
            command="",
            beside=(),
            rates=(),
            doubts=("The same command continues the study.",),
        )
    best = ranked[0]
    doubts = (*_doubts(analysis, best), *_brands(checks))
    if not any(c.escaped.num for c in ranked):
        return Answer(
            headline=(
                "No run left its start: all answer as if they knew nothing, and none "
                "of these settings can be recommended."
            ),
            command="",
            beside=(),
            rates=(),
            doubts=("More epochs, or other learning rates.", *doubts),
        )
    return Answer(
        headline=(
            f"Train with {best.label}: {describe_final(best)}; "
            f"{describe_escapes(best)}."
        ),
        command=str(best.ended[0].facts.get("command", "")),
        beside=_beside(analysis, best),
        rates=_rates(analysis),
        doubts=doubts,
    )


def describe_final(configuration: Configuration) -> str:
    """Return "validation accuracy 0.7997 at the end (mean of 8 runs, ...)"."""
    final = configuration.final
    count = len(final.values)
    words = f"validation accuracy {final.mean:.4f} at the end"
    if count == 1:
        return f"{words} (one run: no spread is known)"
    return (
        f"{words} (mean of {count} runs, 95 % interval {final.low:.4f} to "
        f"{min(1.0, final.high):.4f})"
    )


def describe_escapes(configuration: Configuration) -> str:
    """Return "8 of 8 runs left their start (rate 0.63 to 1.00)"."""
    rate = configuration.escaped
    return (
        f"{rate.num} of {rate.of} run{'s' * (rate.of != 1)} left "
        f"{'their' if rate.of != 1 else 'its'} start (rate {rate.low:.2f} to "
        f"{rate.high:.2f})"
    )


def describe_comparison(comparison: Comparison, alpha: float) -> str:
    """Return what a declared comparison says, the better one first."""
    mean, low, high = comparison.paired
    count = len(comparison.differences)
    one, other = comparison.one, comparison.other
    if not count:
        return f"{one} and {other}: no replicate in which both ended"
    values = comparison.differences
    if mean < 0:
        one, other, mean, low, high = other, one, -mean, -high, -low
        values = tuple(-value for value in values)
    ahead = sum(value > 0 for value in values)
    interval = "" if math.isnan(low) else f" (95 % {low:+.4f} to {high:+.4f})"
    verdict = (
        "distinguishable"
        if comparison.is_distinguishable
        else f"not distinguishable at {alpha:g}"
    )
    return (
        f"{one} less {other}: {mean:+.4f}{interval}, ahead in {ahead} of {count} "
        f"replicate{'s' * (count != 1)}, corrected p {comparison.corrected_p:.2g}: "
        f"{verdict}"
    )


def against(analysis: Analysis, label: str) -> list[Comparison]:
    """Return the declared comparisons of a configuration with others."""
    return [c for c in analysis.comparisons if label in (c.one, c.other)]


def _beside(analysis: Analysis, best: Configuration) -> tuple[str, ...]:
    found = against(analysis, best.label)
    others = {c: c.other if c.one == best.label else c.one for c in found}
    unknown = [label for c, label in others.items() if not c.differences]
    same = [
        label
        for c, label in others.items()
        if c.differences and not c.is_distinguishable
    ]
    worse = [label for c, label in others.items() if c.is_distinguishable]
    lines = []
    if same:
        lines.append(f"Not distinguishable from it: {', '.join(same)}.")
    if worse:
        lines.append(f"Shown to be worse: {', '.join(worse)}.")
    if unknown:
        lines.append(f"No replicate yet in which both ended: {', '.join(unknown)}.")
    undeclared = [
        c.label
        for c in analysis.ranked
        if c is not best and c.label not in others.values()
    ]
    if undeclared:
        lines.append(
            "No comparison with it was declared, so that nothing is decided: "
            f"{', '.join(undeclared)}."
        )
    return tuple(lines)


def _rates(analysis: Analysis) -> tuple[str, ...]:
    """Return, for each optimizer, the rates within one SE of its best."""
    lines = []
    optimizers = dict.fromkeys(
        c.runs[0].settings["optimizer"] for c in analysis.configurations
    )
    for optimizer in optimizers:
        points = [
            c
            for c in analysis.configurations
            if c.runs[0].settings["optimizer"] == optimizer and c.ended
        ]
        rates = [c.runs[0].settings["learning_rate"] for c in points]
        if len(set(rates)) < len(points) or not points:
            continue  # something else differs, too: no curve over rates
        if len(points) == 1:
            lines.append(f"{optimizer}: one rate tried ({format_number(rates[0])}).")
            continue
        lines.append(_rate_range(optimizer, points))
    return tuple(lines)


def _rate_range(optimizer: str, points: Sequence[Configuration]) -> str:
    points = sorted(points, key=lambda c: c.runs[0].settings["learning_rate"])
    best = max(points, key=lambda c: c.final.mean)
    error = _error(best)
    near = [
        c.runs[0].settings["learning_rate"]
        for c in points
        if c.final.mean >= best.final.mean - error
    ]
    rate = best.runs[0].settings["learning_rate"]
    edge = ""
    if best in (points[0], points[-1]):
        side = "smallest" if best is points[0] else "largest"
        edge = f"; the best is the {side} tried, so a better one may lie beyond"
    words = (
        f"{format_number(min(near))} to {format_number(max(near))}"
        if len(near) > 1
        else "none of the others"
    )
    return (
        f"{optimizer}: best at {format_number(rate)} of {len(points)} rates; within "
        f"one standard error of it: {words}{edge}."
    )


def _error(configuration: Configuration) -> float:
    """Return the standard error of a mean; with one run, that of its pictures."""
    values = configuration.final.values
    if len(values) > 1:
        return statistics.stdev(values) / math.sqrt(len(values))
    run = configuration.ended[0]
    return stages.standard_error(values[0], run.num_validation)


def _doubts(analysis: Analysis, best: Configuration) -> tuple[str, ...]:
    doubts = []
    improving = [c for c in analysis.configurations if c.num_improving]
    if improving:
        counts = ", ".join(
            f"{c.label} {c.num_improving} of {len(c.ended)}" for c in improving
        )
        doubts.append(
            f"Runs were still improving when the budget ended ({counts}): more epochs "
            "may change the order."
        )
    waiting = [
        c.label for c in analysis.configurations if 0 < c.escaped.num < c.escaped.of
    ]
    if waiting:
        doubts.append(
            f"Of {', '.join(waiting)} only some runs left their start: whether one "
            "does is a matter of the seed or of more epochs."
        )
    found = against(analysis, best.label)
    pairs = [len(c.differences) for c in found if c.differences]
    declared = len(analysis.declared["comparisons"])
    alpha = analysis.declared["alpha"]
    if pairs and study_statistics.smallest_p(min(pairs), declared) > alpha:
        needed = study_statistics.replicates_needed(declared, alpha)
        doubts.append(
            f"With {min(pairs)} replicate{'s' * (min(pairs) != 1)} and {declared} "
            f"comparisons nothing can be significant; {needed} are needed "
            f"(--replicates={needed})."
        )
    unfinished = [
        f"{run.label} ({run.status.replace('_', ' ')})"
        for c in analysis.configurations
        for run in c.runs
        if run not in c.ended
    ]
    if unfinished:
        doubts.append(
            f"Not ended yet, and counted nowhere: {', '.join(unfinished[:4])}"
            f"{f' and {len(unfinished) - 4} more' if len(unfinished) > 4 else ''}."
        )
    return tuple(doubts)


def _brands(checks: Sequence[Check]) -> tuple[str, ...]:
    return tuple(f"Runs differ in {check}." for check in checks if check.is_brand)
