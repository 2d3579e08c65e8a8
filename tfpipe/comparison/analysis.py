"""What a study's runs say, as values: a configuration at a time, then pair by pair.

A run is the unit. Numbers are of the whole validation split at full evaluations; a run
that diverged counts with the majority share, which is what its answers are worth.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import statistics
from tfpipe.comparison.results import RunResult
from tfpipe.comparison.statistics import Survival


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
