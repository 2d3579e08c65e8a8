"""What a study's runs say, as values: a configuration at a time, then pair by pair.

A run is the unit. Numbers are of the whole validation split at full evaluations; a run
that diverged counts with the majority share, which is what its answers are worth, and
is never ahead of one that didn't: that may answer one class, and not the largest.
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
        escape: steps until they did; those that didn't are censored at their last,
            those that diverged before at the budget: they never will.
        targets: a ladder, growing.
        final, best: validation accuracy at the last and at the best epoch.
        final_escaped: `final` of the runs that left their start; None without one.
        test_final, test_best: test accuracy at the last epoch and at the best one of
            validation; None without a test split.
        train_seconds: of runs that didn't diverge.
        stages: labels of each ended run, evaluation by evaluation.
        num_improving: ended runs in descent whose best epoch lies in the last quarter.
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
        differences: in final validation accuracy, one a replicate; 0 where a run that
            diverged would be ahead of one that didn't.
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
        """Configurations with ended runs, the highest mean final accuracy first.

        Those of which no run left its start come last: their accuracies are chance.
        """
        known = [c for c in self.configurations if c.ended]
        return sorted(known, key=lambda c: (not c.escaped.num, -c.final.mean))

    @property
    def is_declared(self) -> bool:
        """Whether the comparisons were declared, and aren't simply all pairs."""
        return "configurations" in self.declared


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
    resamples = resamples_split(results)
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
    labels = run_results.replicate_labels([groups[key][0].config for key in rows])
    found: dict[str, list[RunResult]] = {}
    for key, label in zip(rows, labels, strict=True):
        name = next((n for n, row in known.items() if _is_same(row, rows[key])), label)
        if name in found:  # rates that differ in a seventh digit
            name = f"{name} ({len(found) + 1})"
        found[name] = sorted(groups[key], key=lambda result: result.settings["seed"])
    return found


def are_of_rates(points: Sequence[Configuration]) -> bool:
    """Tell whether configurations differ in their learning rate and in nothing else."""
    rows = {
        json.dumps(
            {
                name: value
                for name, value in c.runs[0].identity.items()
                if name not in ("learning_rate", "split_seed")
            },
            sort_keys=True,
        )
        for c in points
    }
    rates = {c.runs[0].settings["learning_rate"] for c in points}
    return len(rows) <= 1 and len(rates) == len(points)


def resamples_split(results: Sequence[RunResult]) -> bool:
    """Tell whether the seed of the split grows with the seed of the run."""
    pairs = [(r.settings["split_seed"], r.settings["seed"]) for r in results]
    return (
        len({split for split, _ in pairs}) > 1
        and len({split - seed for split, seed in pairs}) == 1
    )


def _is_same(declared: dict[str, Any], row: dict[str, Any]) -> bool:
    """Tell whether settings are those declared, as far as both name them."""
    return all(declared.get(name, value) == value for name, value in row.items())


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
    """Return (steps, True) where a run left its start, else (its last step, False).

    A run that diverged was not watched for less than the others: it would never have.
    """
    limit = stages.escape_threshold(
        run.majority_share, run.num_validation, thresholds.escape_errors
    )
    escape = stages.find_escape(run.evaluations, limit)
    if escape:
        return float(escape.upper), True
    if run.status == "diverged":
        return float(run.budget_steps), False
    return float(run.final["step"] if run.evaluations else 0), False


def is_improving(run: RunResult) -> bool:
    """Tell whether a run ends in descent, its best epoch in the budget's last quarter.

    The best of a run that only wavers may lie there, too: that is no improvement.
    """
    if stages_of(run)[-1:] != ["descent"]:
        return False
    error = stages.standard_error(run.majority_share, run.num_validation)
    if run.final["val_accuracy"] < run.best["val_accuracy"] - error:
        return False  # it fell back
    return bool(run.best["step"] > IMPROVING_SHARE * run.budget_steps)


def _configuration(label: str, runs: Sequence[RunResult]) -> Configuration:
    ended = _one_a_seed(runs)
    events = [escape_event(run) for run in ended]
    escaped = [was for _, was in events]
    leavers = [
        run.final_accuracy() for run, was in zip(ended, escaped, strict=True) if was
    ]
    has_test = any("test_accuracy" in line for run in ended for line in run.evaluations)
    tested = [run for run in ended if not math.isnan(best_accuracy(run, TEST))]
    return Configuration(
        label=label,
        runs=tuple(runs),
        ended=ended,
        escaped=_rate(sum(escaped), len(ended)),
        escape=statistics.kaplan_meier([time for time, _ in events], escaped),
        targets=tuple(_target(ended, share) for share in stages.TARGETS),
        final=spread([run.final_accuracy() for run in ended]),
        best=spread([best_accuracy(run) for run in ended]),
        final_escaped=spread(leavers) if leavers else None,
        test_final=spread([run.final_accuracy(TEST) for run in tested])
        if has_test
        else None,
        test_best=spread([best_accuracy(run, TEST) for run in tested])
        if has_test
        else None,
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

    def median(clock: str) -> float:
        times = [
            _watched(run, clock) if line is None else float(line[clock])
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


def _watched(run: RunResult, clock: str) -> float:
    """Return how long a run was watched without success; diverged, it is for good."""
    if run.status == "diverged":
        return math.inf
    return float(run.final[clock]) if run.evaluations else 0.0


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
        first = [run.final_accuracy() for run in one.ended]
        second = [run.final_accuracy() for run in other.ended]
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
    theirs = {run.settings["seed"]: run for run in other.ended}
    return [
        (run.settings["seed"], _difference(run, theirs[run.settings["seed"]]))
        for run in one.ended
        if run.settings["seed"] in theirs
    ]


def _difference(one: RunResult, other: RunResult) -> float:
    difference = one.final_accuracy() - other.final_accuracy()
    if one.status == "diverged" and other.status != "diverged":
        return min(difference, 0.0)
    if other.status == "diverged" and one.status != "diverged":
        return max(difference, 0.0)
    return difference


def _accuracies(configuration: Configuration, seeds: Sequence[int]) -> list[float]:
    return [
        run.final_accuracy()
        for run in configuration.ended
        if run.settings["seed"] in seeds
    ]
