"""Who is ahead when: at shares of the budget, and stage by stage.

Runs leave their start at different steps, so that curves over steps mix runs that wait
with runs that learn. Aligned at the first evaluation behind the start, they don't.
"""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.configurations import Configuration, escape_event, stages_of
from tfpipe.comparison.results import RunResult
from tfpipe.training import stages, surface
from tfpipe.training.stages import Thresholds

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the budget, at which configurations are ranked."""
EQUAL = 1e-9
"""Accuracies and steps this near are one, but for rounding."""
AT_START = ("collapsed", "plateau")
ALTERNATIVES = (
    ("2 standard errors to leave the start", Thresholds(escape_errors=2.0)),
    ("4 standard errors to leave the start", Thresholds(escape_errors=4.0)),
    ("collapsed from 99 % in one class", Thresholds(collapsed_share=0.99)),
    ("collapsed from 99.9 % in one class", Thresholds(collapsed_share=0.999)),
    ("descent from half a standard error", Thresholds(descent_errors=0.5)),
    ("descent from 2 standard errors", Thresholds(descent_errors=2.0)),
    ("overfit from 1.02 times the lowest loss", Thresholds(overfit_factor=1.02)),
    ("overfit from 1.1 times the lowest loss", Thresholds(overfit_factor=1.1)),
    ("overfit by 2 evaluations in a row", Thresholds(overfit_evaluations=2)),
    ("overfit by 4 evaluations in a row", Thresholds(overfit_evaluations=4)),
    ("descent within 2 evaluations", Thresholds(descent_evaluations=2)),
    ("descent within 5 evaluations", Thresholds(descent_evaluations=5)),
    ("descent within 5 % of the budget", Thresholds(descent_share=0.05)),
    ("descent within 20 % of the budget", Thresholds(descent_share=0.2)),
    ("diverged from 3 times the loss at the start", Thresholds(diverged_factor=3.0)),
    ("diverged from 10 times the loss at the start", Thresholds(diverged_factor=10.0)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a configuration stands at a share of the budget.

    Attributes:
        label: the configuration's.
        rank: 1 is the best.
        accuracy: mean of its runs' validation accuracy.
        is_probe: whether no full evaluation came so early, so that it is that of
            quick looks at a part of validation.
    """

    label: str
    rank: int
    accuracy: float
    is_probe: bool


def standings(analysis: Analysis, share: float) -> list[Standing]:
    """Return who stands where at a share of the budget, the best first.

    Of each run counts its last evaluation by then. Where any run has none, all are
    taken from probes; [] where some configuration has neither.
    """
    return _standings(analysis, lambda run: share * run.budget_steps)


def standings_at(analysis: Analysis, epoch: float) -> list[Standing]:
    """Return who stands where after an epoch, the best first, as `standings` does."""
    return _standings(analysis, lambda run: epoch * run.facts["steps_per_epoch"])


def _standings(
    analysis: Analysis, limit_of: Callable[[RunResult], float]
) -> list[Standing]:
    configurations = [c for c in analysis.configurations if c.ended]
    for is_probe in (False, True):
        rows = [
            [_accuracy_by(run, limit_of(run), is_probe) for run in c.ended]
            for c in configurations
        ]
        if any(value is None for row in rows for value in row):
            continue
        means = [statistics.fmean(v for v in row if v is not None) for row in rows]
        # What has diverged counts as the majority share, and is worth less than that.
        lost = [
            all(_has_diverged(run, limit_of(run)) for run in c.ended)
            for c in configurations
        ]
        order = sorted(range(len(means)), key=lambda i: (lost[i], -means[i]))
        return [
            Standing(
                label=configurations[index].label,
                # Equal accuracies share their rank.
                rank=1
                + sum(
                    (not lost[other], mean) > (not lost[index], means[index] + EQUAL)
                    for other, mean in enumerate(means)
                ),
                accuracy=means[index],
                is_probe=is_probe,
            )
            for index in order
        ]
    return []


def _accuracy_by(run: RunResult, limit: float, is_probe: bool) -> float | None:
    """Return the accuracy a run had by a step, None where it wasn't looked at yet."""
    limit = math.floor(limit + EQUAL)
    if limit >= run.budget_steps and not is_probe:
        return run.final_accuracy()
    if _has_diverged(run, limit):
        return run.majority_share
    lines = run.probes if is_probe else run.evaluations
    before = [line["val_accuracy"] for line in lines if line["step"] <= limit]
    return float(before[-1]) if before else None


def _has_diverged(run: RunResult, limit: float) -> bool:
    """Tell whether a run had diverged by a step: behind the last look at it."""
    if run.status != "diverged":
        return False
    seen = [line["step"] for line in (*run.probes, *run.evaluations)]
    return limit >= run.budget_steps or math.floor(limit + EQUAL) > max(seen, default=0)


def aligned(runs: Sequence[RunResult]) -> list[tuple[float, int]]:
    """Return (mean accuracy, runs) at 0, 1, 2 ... evaluations behind the start.

    Of the runs that left it; 0 is the first evaluation that says so.
    """
    curves = []
    for run in runs:
        step, was = escape_event(run)
        if was:
            curves.append(
                [e["val_accuracy"] for e in run.evaluations if e["step"] >= step]
            )
    longest = max(map(len, curves), default=0)
    return [
        (statistics.fmean(values), len(values))
        for values in (
            [curve[index] for curve in curves if index < len(curve)]
            for index in range(longest)
        )
    ]


@dataclasses.dataclass(frozen=True)
class StageOrder:
    """Who wins a stage.

    Attributes:
        stage: "start", "descent" or "saturation".
        measure: what is ordered, in words.
        rows: (label, value in words), the best first; those that never came there
            last.
    """

    stage: str
    measure: str
    rows: tuple[tuple[str, str], ...]


def stage_orders(analysis: Analysis) -> list[StageOrder]:
    """Return the order of configurations in each stage that any run came to."""
    known = [c for c in analysis.configurations if c.ended]
    if not known:
        return []
    orders = [_start_order(known)]
    learned = [c for c in known if c.escaped.num]
    if learned:
        orders.append(_descent_order(known, learned))
    if any(_settled(c) for c in known):
        orders.append(_saturation_order(known))
    return orders


def _start_order(known: Sequence[Configuration]) -> StageOrder:
    def describe(configuration: Configuration) -> str:
        rate, median = configuration.escaped, configuration.escape.median
        when = "" if math.isinf(median) else f", by {median:,.0f}"
        return f"{rate.num} of {rate.of}{when}"

    rows = sorted(known, key=lambda c: (-c.escaped.num / c.escaped.of, c.escape.median))
    return StageOrder(
        "start",
        "runs that left it, and the median step by which they had",
        tuple((c.label, describe(c)) for c in rows),
    )


def _descent_order(
    known: Sequence[Configuration], learned: Sequence[Configuration]
) -> StageOrder:
    # As far as all were seen in it: behind that, the mean is of the runs that left
    # early, or of another stage.
    index = min(count for c in learned for count in _descents(c)) - 1
    means = {c.label: aligned(c.ended)[index] for c in learned}
    found = [
        (label, f"{mean:.4f} ({count_runs(count)})")
        for label, (mean, count) in sorted(means.items(), key=lambda item: -item[1][0])
    ]
    never = [(c.label, "never came there") for c in known if c not in learned]
    after = f"{index} evaluation{'s' * (index != 1)} behind the first one that says so"
    return StageOrder(
        "descent",
        f"mean accuracy of the runs that left their start, {after}: as far as all of "
        "them were seen descending",
        (*found, *never),
    )


def _descents(configuration: Configuration) -> list[int]:
    """Return how many evaluations each run descended for, from its escape on.

    At least 1, the one that says that it left its start.
    """
    counts = []
    for run, labels in zip(configuration.ended, configuration.stages, strict=True):
        step, was = escape_event(run)
        if was:
            behind = [
                label
                for line, label in zip(run.evaluations, labels, strict=False)
                if line["step"] >= step
            ]
            descent = itertools.takewhile(lambda label: label == "descent", behind)
            counts.append(max(1, len(list(descent))))
    return counts


def count_runs(count: int) -> str:
    """Return "1 run" or "8 runs"."""
    return f"{count} run{'s' * (count != 1)}"


def _settled(configuration: Configuration) -> list[RunResult]:
    """Return the runs that came to saturation or beyond."""
    return [
        run
        for run, labels in zip(configuration.ended, configuration.stages, strict=True)
        if {"saturation", "overfit"} & set(labels)
    ]


def _saturation_order(known: Sequence[Configuration]) -> StageOrder:
    best = {
        c.label: [float(run.best["val_accuracy"]) for run in _settled(c)] for c in known
    }
    there = sorted(
        (label for label, values in best.items() if values),
        key=lambda label: -statistics.fmean(best[label]),
    )
    found = [
        (label, f"{statistics.fmean(best[label]):.4f} ({count_runs(len(best[label]))})")
        for label in there
    ]
    never = [(label, "never came there") for label in best if not best[label]]
    return StageOrder(
        "saturation", "mean best accuracy of the runs that came there", (*found, *never)
    )


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What other thresholds would have said.

    Attributes:
        change: in words.
        escaped: runs that left their start, by configuration.
        num_changed, num_labels: stage labels that are others, of how many.
    """

    change: str
    escaped: dict[str, int]
    num_changed: int
    num_labels: int


def sensitivity(analysis: Analysis) -> list[Sensitivity]:
    """Return what the stages would be with other thresholds, those used first."""
    found = []
    for change, thresholds in (("as used", stages.DEFAULT), *ALTERNATIVES):
        pairs = [
            (old, new)
            for c in analysis.configurations
            for run, labels in zip(c.ended, c.stages, strict=True)
            # Of a run that diverged one label more, or less, may be its end alone.
            for old, new in itertools.zip_longest(labels, stages_of(run, thresholds))
        ]
        escaped = {
            c.label: sum(escape_event(run, thresholds)[1] for run in c.ended)
            for c in analysis.configurations
        }
        changed = sum(old != new for old, new in pairs)
        found.append(Sensitivity(change, escaped, changed, len(pairs)))
    return found


def describe_plateaus(configuration: Configuration) -> str:
    """Return what diagnostics say of its evaluations at the start, "" without any."""
    lines: list[dict[str, Any]] = [
        line
        for run, labels in zip(configuration.ended, configuration.stages, strict=True)
        for line, label in zip(run.evaluations, labels, strict=False)
        if label in AT_START and line.get("curvature_gradient") is not None
    ]
    if not lines:
        return ""
    words = [f"{len(lines)} evaluation{'s' * (len(lines) > 1)} at the start"]
    scales = [line["noise_scale"] for line in lines if line.get("noise_scale")]
    batch = configuration.ended[0].settings["batch_size"]
    if scales:
        scale = statistics.median(scales)
        rules = "noise" if scale > batch else "signal"
        words.append(
            f"gradient noise scale {scale:,.0f} (median of {len(scales)}): a batch of "
            f"{batch} is mostly {rules}"
        )
    missing = len(lines) - len(scales)
    if missing:
        words.append(f"in {missing} the gradient could not be told from noise")
    surfaces = [surface.describe_surface(line) for line in lines]
    common = statistics.mode(surfaces)
    words.append(f"in {surfaces.count(common)} {common}")
    return f"{configuration.label}: {'; '.join(words)}"
