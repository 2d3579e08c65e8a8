"""What a study's runs say, as values: a configuration at a time, then pair by pair.

A run is the unit. Numbers are of the whole validation split at full evaluations; a run
that diverged counts with the majority share, which is what its answers are worth.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import results as run_results
from tfpipe.comparison import statistics
from tfpipe.comparison.results import RunResult
from tfpipe.comparison.statistics import Survival
from tfpipe.training import stages
from tfpipe.training.stages import Thresholds

ENDED = ("done", "stopped_early", "diverged")
IMPROVING_SHARE = 0.75
"""A best epoch behind this share of the budget says: train longer."""


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
        ended: the runs that count: done, stopped early, diverged.
        escaped: of those, how many left their start.
        escape: steps until they did, those that didn't censored at their last.
        targets: a ladder, growing.
        final, best: validation accuracy at the last and at the best epoch.
        final_escaped: `final` of the runs that left their start; None without one.
        test_final, test_best: test accuracy at the last epoch and at the best one of
            validation; None without a test split.
        train_seconds: of whole runs.
        stages: labels of each ended run, evaluation by evaluation.
        num_improving: ended runs whose best epoch lies in the last quarter.
    """

    label: str
    runs: tuple[RunResult, ...]
    ended: tuple[RunResult, ...]
    escaped: Rate
    escape: Survival
    targets: tuple[TargetTime, ...]
    final: Spread
    best: Spread
    final_escaped: Spread | None
    test_final: Spread | None
    test_best: Spread | None
    train_seconds: Spread
    stages: tuple[tuple[str, ...], ...]
    num_improving: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two configurations over the replicates that both ended.

    Attributes:
        one, other: labels; differences are of `one` less `other`.
        seeds: of the replicates.
        differences: in final validation accuracy, one a replicate.
        paired, unpaired: (mean, low, high) of the difference, 95 %; description.
        correlation: of the pairs, None where one of them never varies.
        p: of the sign-flip test.
        corrected_p: by Holm, over all declared comparisons.
        escape_p: of the permutation log-rank test of times to escape; description.
        is_distinguishable: whether corrected_p is at most the declared alpha.
    """

    one: str
    other: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    paired: tuple[float, float, float]
    unpaired: tuple[float, float, float]
    correlation: float | None
    p: float
    corrected_p: float
    escape_p: float
    is_distinguishable: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """A whole study.

    Attributes:
        configurations: in the order of the study.
        comparisons: all that were declared.
        declared: what `declaration.declare` returned.
    """

    configurations: tuple[Configuration, ...]
    comparisons: tuple[Comparison, ...]
    declared: dict[str, Any]

    @property
    def ranked(self) -> list[Configuration]:
        """Configurations with ended runs, the highest mean final accuracy first."""
        known = [c for c in self.configurations if c.ended]
        return sorted(known, key=lambda c: -c.final.mean)


def analyse(
    results: Sequence[RunResult], declared: dict[str, Any] | None = None
) -> Analysis:
    """Return what runs say.

    Args:
        results: of a study, in its order.
        declared: what `declaration.declare` returned; None: every pair is compared.
    """
    groups = group_runs(results, declared)
    configurations = tuple(
        _configuration(label, runs) for label, runs in groups.items()
    )
    if declared is None:
        declared = {
            "comparisons": list(itertools.combinations(groups, 2)),
            "baseline_run": "",
            "alpha": 0.05,
        }
    return Analysis(
        configurations=configurations,
        comparisons=_comparisons(configurations, declared),
        declared=declared,
    )


def group_runs(
    results: Sequence[RunResult], declared: dict[str, Any] | None = None
) -> dict[str, list[RunResult]]:
    """Return the runs of each configuration, by its label, in the order they come.

    Replicates that also resample the split are one configuration.
    """
    resamples = _resamples_split(results)
    groups: dict[str, list[RunResult]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for result in results:
        row = dict(result.identity)
        if resamples:
            del row["split_seed"]
        key = json.dumps(row, sort_keys=True)
        rows[key] = row
        groups.setdefault(key, []).append(result)
    known = (declared or {}).get("configurations", {})
    labels = run_results.label_settings(list(rows.values())) if rows else []
    found = {}
    for key, label in zip(rows, labels, strict=True):
        name = next((n for n, row in known.items() if _is_same(row, rows[key])), label)
        found[name] = sorted(groups[key], key=lambda result: result.settings["seed"])
    return found


def _resamples_split(results: Sequence[RunResult]) -> bool:
    """Tell whether the seed of the split grows with the seed of the run."""
    pairs = [(r.settings["split_seed"], r.settings["seed"]) for r in results]
    return (
        len({split for split, _ in pairs}) > 1
        and len({split - seed for split, seed in pairs}) == 1
    )


def _is_same(declared: dict[str, Any], row: dict[str, Any]) -> bool:
    """Tell whether settings are those declared, as far as both name them."""
    return all(declared.get(name, value) == value for name, value in row.items())


def final_accuracy(run: RunResult) -> float:
    """Return validation accuracy at the end; a diverged run's is the majority share."""
    if run.status == "diverged" or not run.evaluations:
        return run.majority_share
    return float(run.final["val_accuracy"])


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
    """Return (steps, True) where a run left its start, else (its last step, False)."""
    limit = stages.escape_threshold(
        run.majority_share, run.num_validation, thresholds.escape_errors
    )
    escape = stages.find_escape(run.evaluations, limit)
    if escape:
        return float(escape.upper), True
    return float(run.final["step"] if run.evaluations else 0), False


def is_improving(run: RunResult) -> bool:
    """Tell whether the best epoch of a run that learned lies in its last quarter."""
    if run.status == "diverged" or run.escape is None:
        return False
    return bool(run.best["step"] > IMPROVING_SHARE * run.final["step"])


def _configuration(label: str, runs: Sequence[RunResult]) -> Configuration:
    ended = tuple(run for run in runs if run.status in ENDED and run.facts)
    trained = [run for run in ended if run.evaluations]
    events = [escape_event(run) for run in ended]
    escaped = [was for _, was in events]
    leavers = [
        final_accuracy(run) for run, was in zip(ended, escaped, strict=True) if was
    ]
    tested = [run for run in trained if "test_accuracy" in run.final]
    return Configuration(
        label=label,
        runs=tuple(runs),
        ended=ended,
        escaped=_rate(sum(escaped), len(ended)),
        escape=statistics.kaplan_meier([time for time, _ in events], escaped),
        targets=tuple(_target(ended, share) for share in stages.TARGETS),
        final=spread([final_accuracy(run) for run in ended]),
        best=spread(
            [
                float(run.best["val_accuracy"])
                if run.evaluations
                else run.majority_share
                for run in ended
            ]
        ),
        final_escaped=spread(leavers) if leavers else None,
        test_final=spread([run.final["test_accuracy"] for run in tested])
        if tested
        else None,
        test_best=spread([run.best["test_accuracy"] for run in tested])
        if tested
        else None,
        train_seconds=spread([run.final["train_seconds"] for run in trained]),
        stages=tuple(tuple(stages_of(run)) for run in ended),
        num_improving=sum(map(is_improving, ended)),
    )


def _rate(num: int, of: int) -> Rate:
    low, high = statistics.exact_interval(num, of) if of else (0.0, 1.0)
    return Rate(num, of, low, high)


def _target(ended: Sequence[RunResult], share: float) -> TargetTime:
    """Return when runs came a share of the way from the majority share to 1."""

    def median(clock: str) -> float:
        times, reached = [], []
        for run in ended:
            accuracy = stages.target(share, run.majority_share)
            line = stages.first_reach(run.evaluations, accuracy)
            last = run.final[clock] if run.evaluations else 0.0
            times.append(float(line[clock] if line else last))
            reached.append(line is not None)
        count.append(sum(reached))
        return statistics.kaplan_meier(times, reached).median

    count: list[int] = []
    majority = max((run.majority_share for run in ended), default=math.nan)
    return TargetTime(
        share=share,
        accuracy=stages.target(share, majority),
        median_steps=median("step"),
        median_train_seconds=median("train_seconds"),
        num_reached=count[0],
        of=len(ended),
    )


def _comparisons(
    configurations: Sequence[Configuration], declared: dict[str, Any]
) -> tuple[Comparison, ...]:
    """Return the declared comparisons; what isn't there can't be compared."""
    by_label = {configuration.label: configuration for configuration in configurations}
    pairs = [
        (by_label[one], by_label[other])
        for one, other in declared["comparisons"]
        if one in by_label and other in by_label
    ]
    both = [_pair(one, other) for one, other in pairs]
    tests = [statistics.sign_flip_test([d for _, d in found]) for found in both]
    # Over all that were declared: one that has no runs yet counts as shown nothing.
    missing = len(declared["comparisons"]) - len(pairs)
    corrected = statistics.holm([*tests, *[1.0] * missing])[: len(pairs)]
    found = []
    for (one, other), differences, p, p_all in zip(
        pairs, both, tests, corrected, strict=True
    ):
        events = [[escape_event(run) for run in each.ended] for each in (one, other)]
        first = [final_accuracy(run) for run in one.ended]
        second = [final_accuracy(run) for run in other.ended]
        seeds = [seed for seed, _ in differences]
        values = spread([d for _, d in differences])
        found.append(
            Comparison(
                one=one.label,
                other=other.label,
                seeds=tuple(seeds),
                differences=values.values,
                paired=(values.mean, values.low, values.high),
                unpaired=statistics.unpaired_interval(first, second)
                if first and second
                else (math.nan, math.nan, math.nan),
                correlation=statistics.correlation(
                    *(_accuracies(each, seeds) for each in (one, other))
                ),
                p=p,
                corrected_p=p_all,
                escape_p=statistics.log_rank_test(*events) if all(events) else 1.0,
                is_distinguishable=p_all <= declared["alpha"],
            )
        )
    return tuple(found)


def _pair(one: Configuration, other: Configuration) -> list[tuple[int, float]]:
    """Return (seed, difference) of the replicates that both ended."""
    theirs = {run.settings["seed"]: final_accuracy(run) for run in other.ended}
    return [
        (run.settings["seed"], final_accuracy(run) - theirs[run.settings["seed"]])
        for run in one.ended
        if run.settings["seed"] in theirs
    ]


def _accuracies(configuration: Configuration, seeds: Sequence[int]) -> list[float]:
    return [
        final_accuracy(run)
        for run in configuration.ended
        if run.settings["seed"] in seeds
    ]
