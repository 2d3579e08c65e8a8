"""Which configurations the comparisons of a declaration turned out to be between."""

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

from tfpipe.comparison import results, tuning
from tfpipe.comparison.results import RunResult
from tfpipe.comparison.tuning import Search
from tfpipe.training import config as run_config
from tfpipe.training.run_folder import FINISHED


@dataclasses.dataclass(frozen=True)
class Stages:
    """The runs of a study by what they are for.

    Attributes:
        declared: the declaration, searched configurations by the rates chosen; None
            where nothing was declared.
        compared: the runs that are compared.
        tuning: those that only chose rates; [] where nothing was tuned.
        undeclared: those of other seeds: more of them would be more tries at a small p.
    """

    declared: dict[str, Any] | None
    compared: list[RunResult]
    tuning: list[RunResult]
    undeclared: list[RunResult]


def resolve(declared: dict[str, Any] | None, found: Sequence[RunResult]) -> Stages:
    """Return what is compared, and between which configurations.

    "best of adam" gets the name of what the declared rule chooses by these results.
    While its rate isn't chosen it keeps its own: it counts among those declared.

    Args:
        declared: what `declaration.declare` returned, None where nothing was.
        found: the runs of the study, those that rates were chosen by among them.
    """
    if declared is None:
        return Stages(None, list(found), [], [])
    seeds = set(declared["seeds"])
    choosing = set(declared.get("search", {}).get("seeds", ())) - seeds
    compared = [run for run in found if run.config.run.seed in seeds]
    if "search" in declared:
        chosen = _choose(declared, found, [_identity(declared, run) for run in found])
        labels = results.replicate_labels([run.config for run in compared])
        names = {
            name: label
            for name, identity in chosen.items()
            for run, label in zip(compared, labels, strict=True)
            if _identity(declared, run) == identity
        }
        declared = {
            **declared,
            "configurations": {
                names.get(name, name): identity for name, identity in chosen.items()
            },
            "comparisons": [
                [names.get(name, name) for name in pair]
                for pair in declared["comparisons"]
            ],
            "baseline_run": names.get(
                declared["baseline_run"], declared["baseline_run"]
            ),
        }
    return Stages(
        declared,
        compared,
        [run for run in found if run.config.run.seed in choosing],
        [run for run in found if run.config.run.seed not in choosing | seeds],
    )


def _identity(declared: dict[str, Any], result: RunResult) -> dict[str, Any]:
    """Return a run's identity, that of its configuration where replicates vary it."""
    identity = run_config.identity(result.config)
    if "split_seeds" in declared:
        first = next(iter(declared["configurations"].values()))
        identity["split_seed"] = first["split_seed"]
    return identity


def _choose(
    declared: dict[str, Any],
    found: Sequence[RunResult],
    identities: Sequence[dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return the identity of each declared configuration, searched rates chosen."""
    configurations = declared["configurations"]
    rule = declared.get("search", {})
    searches = {}
    for name, identity in configurations.items():
        rates = identity["learning_rate"]
        if name in rule.get("widened", ()):
            # The middle of those at the start is the centre itself.
            searches[name] = tuning.around(rates[len(rates) // 2])
        elif isinstance(rates, list):
            searches[name] = Search(start=tuple(rates))

    def scores(name: str, rates: Sequence[float]) -> list[float] | None:
        means = []
        for rate in rates:
            asked = {**configurations[name], "learning_rate": rate}
            ended = {
                result.config.run.seed: result.final_accuracy()
                for result, identity in zip(found, identities, strict=True)
                if result.status in FINISHED and identity == asked
            }
            if not set(rule["seeds"]) <= set(ended):
                return None
            means.append(statistics.fmean(ended[seed] for seed in rule["seeds"]))
        return means

    best = tuning.follow(searches, scores).best
    return {
        name: {**identity, "learning_rate": best.get(name, identity["learning_rate"])}
        for name, identity in configurations.items()
    }
