"""What the runs of one configuration say, as values.

A run is the unit. Numbers are of the whole validation split at full evaluations; a run
that diverged counts with the majority share, which is what its answers are worth.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from tfpipe.comparison import statistics
from tfpipe.comparison.chosen import is_same
from tfpipe.comparison.labels import replicate_labels
from tfpipe.comparison.results import NEVER, RunResult
from tfpipe.comparison.statistics import Survival
from tfpipe.training import stages
from tfpipe.training.stages import Thresholds

ENDED = ("done", "stopped_early", "diverged")
TEST = "test_accuracy"
IMPROVING_SHARE = 0.75
"""A best epoch behind this share of the budget, in a descent, says: train longer."""


@dataclasses.dataclass(frozen=True)
class Rate:
    """How many of some runs did something, and the exact 95 % interval of that rate."""

    num: int
    of: int
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Spread:
    """A number of each run, their mean and its 95 % interval by Student's t.

    low and high are nan of fewer than two runs.
    """

    values: tuple[float, ...]
    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetTime:
    """When runs reached an accuracy.

    Attributes:
        share: of the way from the majority share to 1.
        accuracy: that is, in [0, 1].
        num_reached, of: runs that did, of how many.
        median_steps, median_train_seconds: by Kaplan and Meier, infinite where fewer
            than half did.
    """

    share: float
    accuracy: float
    num_reached: int
    of: int
    median_steps: float
    median_train_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
    """All runs of one configuration.

    Attributes:
        label: unlike the others': "adam 1e-4".
        runs: by seed; those that failed or never began among them.
        ended: the runs that count: done, stopped early, diverged; one a seed.
        escaped: of those, how many left their start.
        num_unconfirmed: of those, how many were above it at their last evaluation
            alone; not runs that no further epoch would follow.
        num_diverged: of those, how many diverged.
        escape: steps until they did; those that didn't are censored at the budget, or
            where they were cut.
        targets: a ladder, growing.
        final: validation accuracy at the last epoch.
        escaped_final, escaped_best: of the runs that left their start, at the last and
            at the best epoch; None without one.
        escaped_test_final, escaped_test_best: test accuracy at these epochs; None
            without one, or without a test split.
        train_seconds: of runs that didn't diverge.
        stages: labels of each ended run, evaluation by evaluation.
        num_improving: ended runs that `is_improving` calls so.
    """

    label: str
    runs: tuple[RunResult, ...]
    ended: tuple[RunResult, ...]
    escaped: Rate
    num_unconfirmed: int
    num_diverged: int
    escape: Survival
    targets: tuple[TargetTime, ...]
    final: Spread
    escaped_final: Spread | None
    escaped_best: Spread | None
    escaped_test_final: Spread | None
    escaped_test_best: Spread | None
    train_seconds: Spread
    stages: tuple[tuple[str, ...], ...]
    num_improving: int

    @property
    def optimizer(self) -> str:
        """Its name, as settings have it."""
        return str(self.runs[0].settings["optimizer"])

    @property
    def learning_rate(self) -> float:
        """That of all its runs, at the start of a schedule."""
        return float(self.runs[0].settings["learning_rate"])


def group_runs(
    results: Sequence[RunResult], declared: dict[str, Any] | None = None
) -> dict[str, list[RunResult]]:
    """Return the runs of each configuration, by its label, in the order they come.

    Replicates that also resample the split are one configuration.
    """
    resamples = resamples_split(results, declared)
    groups: dict[str, list[RunResult]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for result in results:
        row = dict(result.identity)
        if resamples:
            row.pop("split_seed", None)
        key = json.dumps(row, sort_keys=True)
        rows[key] = row
        groups.setdefault(key, []).append(result)
    known = (declared or {}).get("configurations", {})
    labels = replicate_labels([groups[key][0].config for key in rows])
    found: dict[str, list[RunResult]] = {}
    for key, label in zip(rows, labels, strict=True):
        name = next((n for n, row in known.items() if is_same(row, rows[key])), label)
        if name in found:  # rates that differ in a seventh digit
            name = f"{name} ({len(found) + 1})"
        found[name] = sorted(groups[key], key=lambda result: result.settings["seed"])
    return found


def group_by_rates(points: Sequence[Configuration]) -> list[list[Configuration]]:
    """Return those that differ in their learning rate and in nothing else, together.

    Groups go in the order of their first; in each rates grow, and of two configurations
    of one rate the first counts.
    """
    groups: dict[str, dict[float, Configuration]] = {}
    for c in points:
        row = {
            name: value
            for name, value in c.runs[0].identity.items()
            if name not in ("learning_rate", "split_seed")
        }
        group = groups.setdefault(json.dumps(row, sort_keys=True), {})
        group.setdefault(c.learning_rate, c)
    return [[group[rate] for rate in sorted(group)] for group in groups.values()]


def resamples_split(
    results: Sequence[RunResult], declared: dict[str, Any] | None
) -> bool:
    """Tell whether replicates have another split each.

    Undeclared, they do if the seed of the split grows with the seed of the run.
    """
    if declared is not None and "seeds" in declared:
        return "split_seeds" in declared
    pairs = [(r.settings["split_seed"], r.settings["seed"]) for r in results]
    return (
        len({split for split, _ in pairs}) > 1
        and len({split - seed for split, seed in pairs}) == 1
    )


def best_accuracy(run: RunResult, metric: str = "val_accuracy") -> float:
    """Return an accuracy at the best epoch of validation; without any, the majority's.

    That epoch's model was kept, whatever became of the run.
    """
    if not run.evaluations:
        return run.majority_share
    return float(run.best.get(metric, math.nan))


def spread(values: Sequence[float]) -> Spread:
    """Return the mean of values and its interval; all nan without any."""
    if not values:
        return Spread((), math.nan, math.nan, math.nan)
    return Spread(tuple(values), *statistics.mean_interval(values))


def stages_of(run: RunResult, thresholds: Thresholds = stages.DEFAULT) -> list[str]:
    """Return the stage of each evaluation of a run; a diverged run ends in its own."""
    labels = stages.label_stages(
        run.evaluations,
        majority_share=run.majority_share,
        num_examples=run.num_validation,
        start_loss=run.start_loss,
        budget=run.settings["epochs"],
        thresholds=thresholds,
    )
    if run.status == "diverged" and labels[-1:] != ["diverged"]:
        labels.append("diverged")
    return labels


def escape_event(
    run: RunResult, thresholds: Thresholds = stages.DEFAULT
) -> tuple[float, bool]:
    """Return (steps, True) where a run left its start, else (steps watched, False).

    A run that diverged, or that early stopping ended, was not watched for less than the
    others: it never left. Those that Kaplan and Meier censor may still, like the rest.
    """
    limit = stages.escape_threshold(
        run.majority_share, run.num_validation, thresholds.escape_errors
    )
    escape = stages.find_escape(run.evaluations, limit)
    if escape:
        return float(escape.upper), True
    if run.status in NEVER:
        return float(run.budget_steps), False
    return float(run.final["step"] if run.evaluations else 0), False


def is_improving(run: RunResult) -> bool:
    """Tell whether a run ends in descent, its best epoch in the budget's last quarter.

    The best of a run that only wavers may lie there, too: that is no improvement. One
    that came above its start at the last evaluation has improved there.
    """
    if run.is_unconfirmed:
        return True
    if stages_of(run)[-1:] != ["descent"]:
        return False
    error = stages.standard_error(run.majority_share, run.num_validation)
    if run.final["val_accuracy"] < run.best["val_accuracy"] - error:
        return False  # it fell back
    return bool(run.best["step"] > IMPROVING_SHARE * run.budget_steps)


def describe_runs(label: str, runs: Sequence[RunResult]) -> Configuration:
    """Return what the runs of a configuration say."""
    ended = _one_a_seed(runs)
    events = [escape_event(run) for run in ended]
    escaped = [was for _, was in events]
    leavers = [run for run, was in zip(ended, escaped, strict=True) if was]
    tested = [run for run in leavers if not math.isnan(best_accuracy(run, TEST))]
    return Configuration(
        label=label,
        runs=tuple(runs),
        ended=ended,
        escaped=_rate(sum(escaped), len(ended)),
        num_unconfirmed=sum(run.is_unconfirmed for run in ended),
        num_diverged=sum(run.status == "diverged" for run in ended),
        escape=statistics.kaplan_meier([time for time, _ in events], escaped),
        targets=tuple(_target(ended, share) for share in stages.TARGETS),
        final=spread([run.final_accuracy() for run in ended]),
        escaped_final=_spread_of(leavers, RunResult.final_accuracy),
        escaped_best=_spread_of(leavers, best_accuracy),
        escaped_test_final=_spread_of(tested, lambda run: run.final_accuracy(TEST)),
        escaped_test_best=_spread_of(tested, lambda run: best_accuracy(run, TEST)),
        train_seconds=spread(
            [
                run.final["train_seconds"]
                for run in ended
                if run.evaluations and run.status != "diverged"
            ]
        ),
        stages=tuple(tuple(stages_of(run)) for run in ended),
        num_improving=sum(map(is_improving, ended)),
    )


def _spread_of(
    runs: Sequence[RunResult], value_of: Callable[[RunResult], float]
) -> Spread | None:
    return spread([value_of(run) for run in runs]) if runs else None


def _one_a_seed(runs: Sequence[RunResult]) -> tuple[RunResult, ...]:
    """Return the runs that ended; of two of one seed, which are no two, the first."""
    found: dict[int, RunResult] = {}
    for run in runs:
        if run.status in ENDED and run.facts:
            found.setdefault(run.settings["seed"], run)
    return tuple(found.values())


def _rate(num: int, of: int) -> Rate:
    low, high = statistics.exact_interval(num, of) if of else (0.0, 1.0)
    return Rate(num, of, low, high)


def _target(ended: Sequence[RunResult], share: float) -> TargetTime:
    """Return when runs came a share of the way from the majority share to 1."""
    lines = [
        stages.first_reach(run.evaluations, stages.target(share, run.majority_share))
        for run in ended
    ]
    reached = [line is not None for line in lines]
    longest = max((run.final["step"] for run in ended if run.evaluations), default=0)

    def median(clock: str) -> float:
        times = [
            _watched(run, clock, longest) if line is None else float(line[clock])
            for run, line in zip(ended, lines, strict=True)
        ]
        return statistics.kaplan_meier(times, reached).median

    majority = max((run.majority_share for run in ended), default=math.nan)
    return TargetTime(
        share=share,
        accuracy=stages.target(share, majority),
        median_steps=median("step"),
        median_train_seconds=median("train_seconds"),
        num_reached=sum(reached),
        of=len(ended),
    )


def _watched(run: RunResult, clock: str, longest: int) -> float:
    """Return how long a run was watched without success, see `escape_event`.

    One that took as many updates as any is not watched less for taking them faster:
    its seconds would leave the slow ones that succeed, and a median too early.
    """
    if run.status in NEVER:
        return math.inf
    if not run.evaluations:
        return 0.0
    return math.inf if run.final["step"] == longest else float(run.final[clock])
