"""What must match between compared runs: what did, and what didn't."""

import collections
import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from tfpipe.comparison import configurations
from tfpipe.comparison.labels import format_number
from tfpipe.comparison.results import RunResult, describe_machine

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
OUTCOMES = {
    "precision": ("precision",),
    "train examples": ("train_examples", "validation_split", "split_seed"),
    "split sizes": ("validation_split", "split_seed"),
    "epochs trained": ("epochs", "max_steps"),
}
"""What came of settings: where one of these is a factor, it is one, too."""
UNKNOWN = "not recorded"
TRIALS = "configurations an optimizer"


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
    results: Sequence[RunResult],
    declared: dict[str, Any] | None = None,
    tuning: Sequence[RunResult] = (),
) -> list[Check]:
    """Return every check of the runs that began.

    Args:
        results: those that are compared.
        declared: what `declaration.declare` returned: settings that differ between
            its configurations are its factors.
        tuning: runs that only chose rates: trials, too.
    """
    begun = [result for result in results if result.facts]
    ended = [r for r in begun if r.status in ("done", "stopped_early")]
    about = _declared_factors(begun, declared)

    def outcome(
        name: str, runs: Sequence[RunResult], value_of: Callable[[RunResult], Any]
    ) -> Check:
        is_factor = any(setting in about for setting in OUTCOMES[name])
        return dataclasses.replace(_check(name, runs, value_of), is_factor=is_factor)

    def seed_of(result: RunResult, *changing: str) -> tuple[Any, ...]:
        """Return the seed, with the factors that change what it gives."""
        names = [name for name in changing if name in about]
        return result.settings["seed"], *(result.identity.get(name) for name in names)

    checks = [
        _check("dataset", begun, lambda r: r.facts["dataset_fingerprint"][:12]),
        *_settings(begun, about),
        outcome("precision", begun, lambda r: r.facts["precision"]),
        outcome("train examples", begun, lambda r: r.facts["train_examples"]),
        outcome("split sizes", begun, lambda r: _words(r.facts.get("split_sizes", {}))),
        *_within(
            "initial weights",
            begun,
            lambda r: (
                *(r.settings[name] for name in ("model", "weights")),
                *seed_of(r, "image_size"),
            ),
            lambda r: r.facts["initial_weights_sha256"][:12],
        ),
        *_orders(
            begun,
            # Where pictures are augmented, a fingerprint says how, too.
            lambda r: seed_of(
                r, "train_examples", "validation_split", "split_seed", "augment"
            ),
        ),
        outcome(
            "epochs trained",
            [r for r in ended if r.evaluations],
            lambda r: format_number(r.final["epoch"]),
        ),
        _check("back end", begun, lambda r: r.facts.get("backend", "tensorflow")),
        _check("device", begun, lambda r: _sessions(r, lambda s: s.get("device"))),
        _check("machine", begun, lambda r: _sessions(r, describe_machine)),
        # Older runs didn't record them: of these nothing is known.
        _check("threads", [r for r in begun if UNKNOWN not in _threads(r)], _threads),
        *_own_code(begun),
        *(
            _check(name, begun, functools.partial(_version, name))
            for name in sorted({n for r in begun for n in r.facts["versions"]})
        ),
        _runs_a_seed(begun),
        _trials([*begun, *(run for run in tuning if run.facts)]),
    ]
    return [check for check in checks if check.groups]


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


def _declared_factors(
    begun: Sequence[RunResult], declared: dict[str, Any] | None
) -> set[str]:
    """Return the settings that differ between declared configurations.

    So does the seed of the split where replicates resample it.
    """
    rows = list((declared or {}).get("configurations", {}).values())
    names = {name for row in rows for name in row}
    found = {n for n in names if len({json.dumps(row.get(n)) for row in rows}) > 1}
    resamples = configurations.resamples_split(begun, declared)
    return found | ({"split_seed"} if resamples else set())


def _settings(begun: Sequence[RunResult], about: set[str]) -> list[Check]:
    """Return a check a setting; those that the study is about are factors."""
    names = dict.fromkeys(name for result in begun for name in result.identity)
    # As they came out they are checks of their own; epochs are counted as trained.
    for name in ("precision", "train_examples", "epochs"):
        names.pop(name, None)
    return [
        dataclasses.replace(
            _check(name, begun, functools.partial(_setting, name)),
            is_factor=name in FACTORS or name in about,
        )
        for name in names
    ]


def _orders(
    begun: Sequence[RunResult], key_of: Callable[[RunResult], Any]
) -> list[Check]:
    """Return the check of the order that each epoch of a seed was seen in."""
    orders = [
        {
            line["epoch"]: line["order_fingerprint"][:12]
            for line in result.evaluations
            if "order_fingerprint" in line
        }
        for result in begun
    ]
    known = [(r, order) for r, order in zip(begun, orders, strict=True) if order]
    name, differing = "order of pictures", []
    for key in dict.fromkeys(key_of(result) for result, _ in known):
        same = [(r, order) for r, order in known if key_of(r) == key]
        # Runs of other lengths share the epochs that both trained.
        for epoch in sorted({epoch for _, order in same for epoch in order}):
            groups: dict[str, list[str]] = {}
            for result, order in same:
                if epoch in order:
                    groups.setdefault(order[epoch], []).append(result.label)
            if len(groups) > 1:
                differing.append(
                    Check(f"{name} in epoch {format_number(epoch)}", groups)
                )
                break
    if differing or not begun:
        return differing
    words = "the same in each seed"
    if len(known) < len(begun):
        words += f", of the {len(known)} of {len(begun)} runs that recorded it"
    return [Check(name, {words if known else UNKNOWN: [r.label for r in begun]})]


def _own_code(begun: Sequence[RunResult]) -> list[Check]:
    """Return, for each model or optimizer of one's own, the check of its text."""

    def digest(name: str, run: RunResult) -> str:
        return str(run.facts.get("own_code_sha256", {}).get(name, ""))[:12]

    names = sorted({n for r in begun for n in r.facts.get("own_code_sha256", {})})
    return [
        _check(
            f"code of {name}",
            [run for run in begun if digest(name, run)],
            functools.partial(digest, name),
        )
        for name in names
    ]


def _runs_a_seed(results: Sequence[RunResult]) -> Check:
    """Return the check that no two runs are the same replicate."""
    counted: dict[str, str] = {}
    left_out = []
    for result in results:
        replicate = json.dumps([result.identity, result.settings["seed"]])
        if counted.setdefault(replicate, result.name) != result.name:
            left_out.append(result.name)
    if left_out:
        groups = {"one counts": list(counted.values()), "left out": left_out}
        return Check("runs a seed", groups)
    return _check("runs a seed", results, lambda _: "1")


def _trials(begun: Sequence[RunResult]) -> Check:
    """Return the check that every optimizer had as many trials as the others."""
    found = configurations.group_runs(begun).values()
    trials = collections.Counter(runs[0].settings["optimizer"] for runs in found)
    groups: dict[str, list[str]] = {}
    for optimizer, count in trials.items():
        groups.setdefault(str(count), []).append(optimizer)
    # More trials find a better best: a fact to read the answer by, not a fault of it.
    return Check(TRIALS, groups, is_factor=True)


def _sessions(result: RunResult, value_of: Callable[[dict[str, Any]], Any]) -> str:
    """Return a fact of the process that began a run and of those that went on."""
    sessions = [result.facts, *result.facts.get("sessions", [])]
    return ", then ".join(
        dict.fromkeys(str(value_of(session) or UNKNOWN) for session in sessions)
    )


def _threads(result: RunResult) -> str:
    return _sessions(result, lambda session: session["machine"].get("threads"))


def _setting(name: str, result: RunResult) -> str:
    return format_number(result.identity.get(name))


def _version(name: str, result: RunResult) -> str:
    # Switches are recorded where they are set.
    unset = "none recorded" if "ONEDNN_" in name or "DNNL_" in name else None
    return _sessions(
        result, lambda session: _named(session["versions"].get(name, unset))
    )


def _named(version: str | None) -> str:
    return "empty" if version == "" else version or UNKNOWN


def _words(values: dict[str, int]) -> str:
    return ", ".join(f"{n} {count:,}" for n, count in values.items()) or UNKNOWN


def _list(labels: list[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more
