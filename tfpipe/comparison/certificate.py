"""What must match between compared runs: what did, and what didn't."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from tfpipe.comparison.results import RunResult, format_number

NAMED = 2
"""Runs that a line names before it counts the others."""
FACTORS = (
    "optimizer",
    "learning_rate",
    "decay",
    "optimizer_args",
    "schedule",
    "schedule_args",
)
"""Settings that a comparison is about: they may differ without being declared."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that runs should have in common.

    Attributes:
        name: "initial weights".
        groups: the runs' labels by what they have, in words; one: all match.
        is_factor: whether it differs because the study is about it.
    """

    name: str
    groups: dict[str, list[str]]
    is_factor: bool = False

    @property
    def matches(self) -> bool:
        """Whether all runs have the same."""
        return len(self.groups) < 2

    @property
    def is_brand(self) -> bool:
        """Whether it makes the runs no comparison."""
        return not self.matches and not self.is_factor

    def __str__(self) -> str:
        groups = "; ".join(
            f"{value}: {_list(labels)}" for value, labels in self.groups.items()
        )
        return f"{self.name} ({groups})"


def certify(
    results: Sequence[RunResult], declared: dict[str, Any] | None = None
) -> list[Check]:
    """Return every check of the runs that began.

    Args:
        results: of a study.
        declared: what `declaration.declare` returned: settings that differ between
            its configurations are its factors.
    """
    begun = [result for result in results if result.facts]
    ended = [r for r in begun if r.status in ("done", "stopped_early")]
    checks = [
        _check("dataset", begun, lambda r: r.facts["dataset_fingerprint"][:12]),
        *_settings(begun, declared),
        _check("precision", begun, lambda r: r.facts["precision"]),
        _check("train examples", begun, lambda r: r.facts["train_examples"]),
        _check("split sizes", begun, lambda r: _words(r.facts["split_sizes"])),
        *_within(
            "initial weights",
            begun,
            lambda r: (r.settings["seed"], r.settings["model"], r.settings["weights"]),
            lambda r: r.facts["initial_weights_sha256"][:12],
        ),
        *_orders(begun),
        _check("epochs trained", ended, lambda r: _number(r.final["epoch"])),
        _check("back end", begun, lambda r: r.facts.get("backend", "tensorflow")),
        _check("device", begun, lambda r: r.facts.get("device", "not recorded")),
        _check("machine", begun, _machine),
        *(
            _check(name, begun, lambda r, name=name: r.facts["versions"].get(name))  # type: ignore[misc]
            for name in sorted({n for r in begun for n in r.facts["versions"]})
        ),
        _trials(begun),
    ]
    return [check for check in checks if check.groups]


def brands(
    results: Sequence[RunResult], declared: dict[str, Any] | None = None
) -> list[str]:
    """Return in what compared runs differ and mustn't, a line each."""
    return [
        f"not comparable: runs differ in {check}"
        for check in certify(results, declared)
        if check.is_brand
    ]


def _check(
    name: str, results: Sequence[RunResult], value_of: Callable[[RunResult], Any]
) -> Check:
    groups: dict[str, list[str]] = {}
    for result in results:
        groups.setdefault(str(value_of(result)), []).append(result.label)
    return Check(name, groups)


def _within(
    name: str,
    results: Sequence[RunResult],
    key_of: Callable[[RunResult], Any],
    value_of: Callable[[RunResult], Any],
) -> list[Check]:
    """Return one check of what must match among runs of the same key."""
    differing = []
    for key in dict.fromkeys(map(key_of, results)):
        check = _check(name, [r for r in results if key_of(r) == key], value_of)
        if not check.matches:
            differing.append(check)
    if differing or not results:
        return differing
    return [Check(name, {"the same in each seed": [r.label for r in results]})]


def _settings(
    begun: Sequence[RunResult], declared: dict[str, Any] | None
) -> list[Check]:
    """Return a check a setting; those that the study is about are factors."""
    known = list((declared or {}).get("configurations", {}).values())
    # As they came out they are checks of their own.
    names = dict.fromkeys(name for result in begun for name in result.identity)
    for name in ("precision", "train_examples"):
        names.pop(name, None)
    checks = []
    for name in names:
        check = _check(name, begun, lambda r, name=name: _number(r.identity.get(name)))  # type: ignore[misc]
        values = {json.dumps(row.get(name)) for row in known}
        is_declared = len(values) > 1 or (
            name == "split_seed" and _moves_with_seed(begun)
        )
        is_factor = name in FACTORS or is_declared
        checks.append(dataclasses.replace(check, is_factor=is_factor))
    return checks


def _moves_with_seed(begun: Sequence[RunResult]) -> bool:
    return len({r.settings["split_seed"] - r.settings["seed"] for r in begun}) == 1


def _orders(begun: Sequence[RunResult]) -> list[Check]:
    """Return the check of the order that each epoch of a seed was seen in."""

    def order(result: RunResult) -> dict[float, str]:
        return {
            line["epoch"]: line["order_fingerprint"]
            for line in result.evaluations
            if "order_fingerprint" in line
        }

    # Runs of other lengths share the epochs that both trained.
    known = [result for result in begun if order(result)]
    shared: dict[int, float] = {}
    for result in known:
        key = result.settings["seed"]
        last = max(order(result))
        shared[key] = min(shared.get(key, last), last)

    def seen(result: RunResult) -> str:
        last = shared[result.settings["seed"]]
        return " ".join(v[:12] for epoch, v in order(result).items() if epoch <= last)

    return _within("order of pictures", known, lambda r: r.settings["seed"], seen)


def _trials(begun: Sequence[RunResult]) -> Check:
    """Return the check that every optimizer had as many trials as the others."""
    trials: dict[str, set[str]] = {}
    for result in begun:
        optimizer = result.settings["optimizer"]
        trials.setdefault(optimizer, set()).add(json.dumps(result.identity))
    groups: dict[str, list[str]] = {}
    for optimizer, identities in trials.items():
        groups.setdefault(str(len(identities)), []).append(optimizer)
    # More trials find a better best: a fact to read the answer by, not a fault of it.
    return Check("configurations an optimizer", groups, is_factor=True)


def _machine(result: RunResult) -> str:
    machine = result.facts["machine"]
    return f"{machine['cpu']} with {machine['cores']} cores"


def _number(value: Any) -> str:
    return format_number(value)


def _words(values: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in values.items())


def _list(labels: list[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more
