"""Which configurations the comparisons of a declaration turned out to be between."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

from tfpipe.comparison import tuning
from tfpipe.comparison.labels import replicate_labels
from tfpipe.comparison.results import RunResult
from tfpipe.comparison.score import Score, score_runs
from tfpipe.comparison.tuning import Search
from tfpipe.training import naming
from tfpipe.training.run_folder import FINISHED


@dataclasses.dataclass(frozen=True)
class Parts:
    """The runs of a study by what they are for.

    Attributes:
        declared: the declaration, searched configurations by the rates chosen; None
            where nothing was declared.
        compared: the runs that are compared.
        tuning: those that only chose rates; [] where nothing was tuned.
        undeclared: those of other configurations or seeds: more of them would be more
            tries at a small p.
    """

    declared: dict[str, Any] | None
    compared: list[RunResult]
    tuning: list[RunResult]
    undeclared: list[RunResult]


def resolve(declared: dict[str, Any] | None, found: Sequence[RunResult]) -> Parts:
    """Return what is compared, and between which configurations.

    "best of adam" gets the name of what the declared rule chooses by these results.
    While its rate isn't chosen it keeps its own: it counts among those declared.

    Args:
        declared: what `declaration.declare` returned, None where nothing was.
        found: the runs of the study, those that rates were chosen by among them.
    """
    if declared is None:
        return Parts(None, list(found), [], [])
    identities = [_identity(declared, run) for run in found]
    rule = declared.get("search", {})
    searched = [
        row
        for row in declared["configurations"].values()
        if isinstance(row["learning_rate"], list)
    ]
    rows = declared["configurations"]
    if rule:
        rows = _choose(declared, found, identities)
    is_tuned = rule.get("compared_on") == "fresh seeds"
    parts, compared = Parts(declared, [], [], []), []
    for run, identity in zip(found, identities, strict=True):
        seed = run.config.run.seed
        is_tried = any(
            is_same(row, identity, but=("learning_rate",)) for row in searched
        )
        is_asked = any(is_same(row, identity) for row in rows.values())
        # Where rates are chosen by the very runs that are compared, all are shown.
        if seed in declared["seeds"] and (is_asked or (is_tried and not is_tuned)):
            parts.compared.append(run)
            compared.append(identity)
        elif is_tuned and is_tried and seed in rule["seeds"]:
            parts.tuning.append(run)
        else:
            parts.undeclared.append(run)
    if not rule:
        return parts
    labels = replicate_labels([run.config for run in parts.compared])
    names = {
        name: label
        for name, row in rows.items()
        for identity, label in zip(compared, labels, strict=True)
        if is_same(row, identity)
    }
    return dataclasses.replace(
        parts,
        declared={
            **declared,
            "configurations": {
                names.get(name, name): row for name, row in rows.items()
            },
            "comparisons": [
                [names.get(name, name) for name in pair]
                for pair in declared["comparisons"]
            ],
            "baseline_run": names.get(
                declared["baseline_run"], declared["baseline_run"]
            ),
        },
    )


def is_same(
    declared: dict[str, Any], identity: dict[str, Any], but: Collection[str] = ()
) -> bool:
    """Tell whether settings are those declared, as far as both name them.

    Args:
        declared: of a configuration.
        identity: of a run.
        but: settings that may differ.
    """
    return all(
        declared.get(name, value) == value
        for name, value in identity.items()
        if name not in but
    )


def _identity(declared: dict[str, Any], result: RunResult) -> dict[str, Any]:
    """Return a run's identity, as its configuration's where replicates vary the split.

    One with another split than its seed has in the study is of no configuration.
    """
    identity = naming.identity(result.config)
    if "split_seeds" in declared:
        first = next(iter(declared["configurations"].values()))
        offset = declared["split_seeds"][0] - declared["seeds"][0]
        is_own = identity["split_seed"] - result.config.run.seed == offset
        identity["split_seed"] = first["split_seed"] if is_own else None
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

    def scores(name: str, rates: Sequence[float]) -> list[Score] | None:
        found_scores = []
        for rate in rates:
            asked = {**configurations[name], "learning_rate": rate}
            ended = {
                result.config.run.seed: result
                for result, identity in zip(found, identities, strict=True)
                if result.status in FINISHED and identity == asked
            }
            if not set(rule["seeds"]) <= set(ended):
                return None
            found_scores.append(score_runs([ended[seed] for seed in rule["seeds"]]))
        return found_scores

    best = tuning.follow(searches, scores).best
    return {
        name: {**identity, "learning_rate": best.get(name, identity["learning_rate"])}
        for name, identity in configurations.items()
    }
