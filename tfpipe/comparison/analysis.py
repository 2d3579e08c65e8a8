"""What a study's runs say, as values: its configurations, and pair by pair.

A run that diverged is never ahead of one that didn't: that may answer one class, and
not the largest.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import statistics
from tfpipe.comparison.configurations import (
    Configuration,
    describe_runs,
    escape_event,
    group_runs,
    spread,
)
from tfpipe.comparison.results import RunResult
from tfpipe.comparison.score import score_runs

MOST_OTHERS = 66
"""Pairs of which none was declared that a report lists: those of 12 configurations."""


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
        corrected_p: by Holm, over all declared comparisons; nan of others.
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
        others: those that were not: they decide nothing, and their p stands alone.
        declared: what `declaration.declare` returned.
    """

    configurations: tuple[Configuration, ...]
    comparisons: tuple[Comparison, ...]
    others: tuple[Comparison, ...]
    declared: dict[str, Any]

    @property
    def ranked(self) -> list[Configuration]:
        """Configurations with ended runs, the best first, see `score.Score`."""
        known = [c for c in self.configurations if c.ended]
        return sorted(known, key=lambda c: score_runs(c.ended), reverse=True)

    @property
    def budget_unit(self) -> str:
        """What more of is a larger budget: "epochs", or "steps" where they are cut."""
        runs = [run for c in self.configurations for run in c.ended]
        is_cut = any(
            run.budget_steps < run.settings["epochs"] * run.facts["steps_per_epoch"]
            for run in runs
        )
        return "steps" if is_cut else "epochs"

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
    configurations = tuple(describe_runs(label, runs) for label, runs in groups.items())
    if declared is None:
        declared = {
            "comparisons": list(itertools.combinations(groups, 2)),
            "baseline_run": "",
            "alpha": 0.05,
        }
    return Analysis(
        configurations=configurations,
        comparisons=_declared_comparisons(configurations, declared),
        others=_other_comparisons(configurations, declared),
        declared=declared,
    )


def _declared_comparisons(
    configurations: Sequence[Configuration], declared: dict[str, Any]
) -> tuple[Comparison, ...]:
    """Return the declared comparisons; what isn't there can't be compared."""
    by_label = {configuration.label: configuration for configuration in configurations}
    found = [
        _compare(by_label[one], by_label[other])
        for one, other in declared["comparisons"]
        if one in by_label and other in by_label
    ]
    # Over all that were declared: one that has no runs yet counts as shown nothing.
    missing = len(declared["comparisons"]) - len(found)
    corrected = statistics.holm([*(c.p for c in found), *[1.0] * missing])
    return tuple(
        dataclasses.replace(
            comparison, corrected_p=p, is_distinguishable=p <= declared["alpha"]
        )
        for comparison, p in zip(found, corrected, strict=False)
    )


def _other_comparisons(
    configurations: Sequence[Configuration], declared: dict[str, Any]
) -> tuple[Comparison, ...]:
    """Return the pairs that weren't declared, () where they are too many to read."""
    asked = {frozenset(pair) for pair in declared["comparisons"]}
    pairs = [
        (one, other)
        for one, other in itertools.combinations(configurations, 2)
        if frozenset((one.label, other.label)) not in asked
    ]
    if len(pairs) > MOST_OTHERS:
        return ()
    return tuple(_compare(one, other) for one, other in pairs)


def _compare(one: Configuration, other: Configuration) -> Comparison:
    """Return a comparison that stands alone: nothing is corrected."""
    replicates = _pair(one, other)
    seeds = [seed for seed, _ in replicates]
    differences = spread([difference for _, difference in replicates])
    first = [run.final_accuracy() for run in one.ended]
    second = [run.final_accuracy() for run in other.ended]
    events = [[escape_event(run) for run in each.ended] for each in (one, other)]
    return Comparison(
        one=one.label,
        other=other.label,
        seeds=tuple(seeds),
        differences=differences.values,
        paired=(differences.mean, differences.low, differences.high),
        unpaired=statistics.unpaired_interval(first, second)
        if first and second
        else (math.nan, math.nan, math.nan),
        correlation=statistics.correlation(
            *(_accuracies(each, seeds) for each in (one, other))
        ),
        p=statistics.sign_flip_test(differences.values),
        corrected_p=math.nan,
        escape_p=statistics.log_rank_test(*events) if all(events) else 1.0,
        is_distinguishable=False,
    )


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
