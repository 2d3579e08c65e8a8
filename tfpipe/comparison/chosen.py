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
    """

    declared: dict[str, Any] | None
    compared: list[RunResult]
    tuning: list[RunResult]


def resolve(declared: dict[str, Any] | None, found: Sequence[RunResult]) -> Stages:
    """Return what is compared, and between which configurations.

    A comparison whose rates aren't chosen yet keeps its name: it counts among those
    that were declared.

    Args:
        declared: what `declaration.declare` returned, None where nothing was.
        found: the runs of the study.
    """
    if declared is None or "search" not in declared:
        return Stages(declared, list(found), [])
    # Seeds that neither choose nor compare came later: they are shown.
    choosing = set(declared["search"]["seeds"]) - set(declared["seeds"])
    pairs: list[Any] = list(concrete_comparisons(declared, found))
    pairs += declared["comparisons"][len(pairs) :]
    return Stages(
        {**declared, "comparisons": pairs},
        [run for run in found if run.config.run.seed not in choosing],
        [run for run in found if run.config.run.seed in choosing],
    )


def concrete_comparisons(
    declared: dict[str, Any], found: Sequence[RunResult]
) -> list[tuple[str, str]]:
    """Return which configurations the declared comparisons are between.

    "best of adam" is what the declared rule chooses by these results.

    Args:
        declared: what `declare` returned.
        found: the runs of the study, those that rates were chosen by among them.

    Returns:
        Pairs of labels as `results.replicate_labels` of all of `found` has them. A
        comparison is left out where one of the two isn't there or isn't chosen yet.
    """
    labels = results.replicate_labels([result.config for result in found])
    identities = [_identity(declared, result) for result in found]
    seeds = declared["seeds"]
    by_identity = [
        (identity, label)
        for result, identity, label in zip(found, identities, labels, strict=True)
        if result.config.run.seed in seeds
    ]
    concrete = {
        name: label
        for name, chosen in _choose(declared, found, identities).items()
        for identity, label in by_identity
        if identity == chosen
    }
    return [
        (concrete[one], concrete[other])
        for one, other in declared["comparisons"]
        if one in concrete and other in concrete
    ]


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
