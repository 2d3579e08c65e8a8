"""runs/study.json: what a study asks, written down before its first run.

A study that is given again with other settings is noted as a change, with time and
reason: what was fixed beforehand and what came later stays apart.
"""

import dataclasses
import datetime
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.comparison import chosen, score, statistics, tuning
from tfpipe.comparison.labels import (
    comparable_settings,
    configuration_labels,
    respell,
)
from tfpipe.comparison.planning import Design, Family
from tfpipe.training import naming, run_folder, stages
from tfpipe.training.config import RunConfig

FILE = "study.json"
FORMAT_VERSION = 1
METRIC, METRIC_AT = "val_accuracy", "the last epoch"
TEST = "paired sign-flip test, Holm's correction over the comparisons"
ALPHA = 0.05


def declare(
    runs: Sequence[RunConfig],
    fingerprint: str,
    baseline: str = "",
    design: Design | None = None,
) -> dict[str, Any]:
    """Return what a study of these runs fixes beforehand.

    Where rates are searched, what is compared isn't known before: then it is the rule
    that is fixed, and "best of adam" stands for what it will choose; see
    `chosen.resolve`.

    Args:
        runs: all of the study; of one that searches, `Design.candidates`.
        fingerprint: the records'.
        baseline: the label of the configuration that others are compared with; "":
            every pair is compared.
        design: of the study, where it searches rates.

    Raises:
        ValueError: for a baseline that isn't among them.
    """
    seeds = sorted({run.run.seed for run in runs})
    first = [run for run in runs if run.run.seed == seeds[0]]
    labels = configuration_labels(first)
    configurations = {
        label: naming.identity(run) for label, run in zip(labels, first, strict=True)
    }
    if design and design.families:
        fixed = labels[len(labels) - len(design.fixed) :]
        configurations = {
            **{family.best: _any_of(family) for family in design.families},
            **{label: configurations[label] for label in fixed},
        }
    names = list(configurations)
    pairs = [list(pair) for pair in itertools.combinations(names, 2)]
    if baseline:
        baseline = {respell(name): name for name in names}.get(
            respell(baseline), baseline
        )
        if baseline not in names:
            raise ValueError(
                f"baseline_run must be one of {', '.join(names)}, got {baseline!r}"
            )
        pairs = [[baseline, name] for name in names if name != baseline]
    declared = {
        "dataset_fingerprint": fingerprint,
        "configurations": configurations,
        "epochs": max(run.run.epochs for run in runs),
        "seeds": seeds,
        "metric": METRIC,
        "metric_at": METRIC_AT,
        "targets": list(stages.TARGETS),
        "targets_are": "shares of the way from the majority share to 1",
        "baseline_run": baseline,
        "comparisons": pairs,
        "test": TEST,
        "alpha": ALPHA,
        "stages": dataclasses.asdict(stages.DEFAULT),
    }
    # Studies without these keep the declaration that they were begun with.
    if design and design.vary_split:
        declared["split_seeds"] = sorted({run.data.split_seed for run in runs})
    if design and design.families:
        declared["search"] = _search_rule(design)
    return declared


def _any_of(family: Family) -> dict[str, Any]:
    """Return the settings of a family, its rates at the start in the rate's place."""
    rates = list(family.search.start)
    return {**naming.identity(family.config), "learning_rate": rates}


def _search_rule(design: Design) -> dict[str, Any]:
    """Return by which rule rates are tried and chosen."""
    rows = [comparable_settings(run) for run in design.starts]
    factors = {name: list(dict.fromkeys(row[name] for row in rows)) for name in rows[0]}
    first = design.starts[0].run.seed
    widened = [f.best for f in design.families if f.search.centre is not None]
    return {
        "factors": {name: values for name, values in factors.items() if values[1:]},
        "seeds": [first + number for number in design.tried],
        "score": f"over these seeds: {score.WORDS}; of equal ones the nearest to the "
        "middle of the rates tried, then the lower",
        "widened": widened,
        "widened_by": tuning.WIDENED_BY,
        "most_widened": tuning.MOST_WIDENED,
        "widening": "where the best of any is its lowest or highest rate, all get as "
        "many half decades more: there, or at the side nearer to their best",
        "compared_on": "fresh seeds" if design.tune else "the same seeds",
    }


def describe_power(declared: dict[str, Any]) -> str:
    """Say what a study can show at all, "" where nothing is compared."""
    replicates, comparisons = len(declared["seeds"]), len(declared["comparisons"])
    if not comparisons:
        return ""
    pairs = "pair" if comparisons == 1 else "pairs"
    if declared["baseline_run"]:
        pairs = f"comparison{'s' * (comparisons > 1)} with the baseline"
    words = (
        f"{replicates} replicate{'s' * (replicates > 1)} and {comparisons} {pairs}: "
    )
    smallest = statistics.smallest_p(replicates, comparisons)
    if smallest > declared["alpha"]:
        needed = statistics.replicates_needed(comparisons, declared["alpha"])
        words += f"nothing can be significant; {needed} replicates are needed"
    else:
        words += f"the smallest p value they can give is {smallest:.2g}"
    if declared.get("search", {}).get("compared_on") == "the same seeds":
        words += (
            "; rates are chosen by the very runs that are compared, which flatters "
            "them: --tune compares fresh ones"
        )
    return words


def digest(declared: dict[str, Any]) -> str:
    """Return the sha256 of a declaration, as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def write_declaration(runs_dir: Path, declared: dict[str, Any], reason: str) -> None:
    """Write study.json, or note in it what is asked otherwise now.

    Args:
        runs_dir: the folder of run folders.
        declared: what `declare` returned.
        reason: why something changed, for people; where nothing did, why the last
            change was made, if that isn't known yet.
    """
    study = read_declaration(runs_dir)
    earlier = [study, *study["changes"]] if study else []
    asked = [declared, *(entry["declared"] for entry in earlier)]
    entry = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "runs_begun_before": _count_begun(runs_dir, asked),
        "sha256": digest(declared),
        "declared": declared,
    }
    if study is None:
        study = {"format_version": FORMAT_VERSION, **entry, "changes": []}
    else:
        last = (study["changes"] or [study])[-1]
        different = differences(last["declared"], declared)
        if not different:
            if not reason or last.get("reason") != "":
                return
            last |= {"reason": reason, "reason_time": entry["time"]}
            files.write_json(runs_dir / FILE, study, sort_keys=False)
            return
        entry |= {"reason": reason, "different": different}
        study["changes"].append(entry)
    runs_dir.mkdir(parents=True, exist_ok=True)
    # Tables have configurations in the order in which they were asked for.
    files.write_json(runs_dir / FILE, study, sort_keys=False)


def describe_change(runs_dir: Path, declared: dict[str, Any], reason: str) -> str:
    """Say what `write_declaration` notes, "" for a new study or an equal one."""
    study = read_declaration(runs_dir)
    if study is None:
        return ""
    last = (study["changes"] or [study])[-1]
    different = differences(last["declared"], declared)
    if different:
        why = "with its reason" if reason else "without a reason; --reason gives one"
        return (
            f"this is another study than {runs_dir / FILE} declares, in "
            f"{', '.join(different)}: to be noted there as a change, {why}"
        )
    if not reason:
        return ""
    if last.get("reason") == "":
        return f"the reason is for the last change in {runs_dir / FILE}"
    return f"nothing is asked otherwise than in {runs_dir / FILE}: --reason isn't used"


def _count_begun(runs_dir: Path, asked: Sequence[dict[str, Any]]) -> int:
    """Count the runs of any seed whose configuration is or was declared."""
    rows = [row for declared in asked for row in declared["configurations"].values()]
    count = 0
    for folder in runs_dir.iterdir() if runs_dir.is_dir() else ():
        if not run_folder.is_run_folder(folder):
            continue
        try:
            identity = naming.identity(run_folder.read_run(folder).config)
        except ValueError:
            continue  # a damaged one, of which nothing is known
        count += any(
            chosen.is_same(row, identity, but=("split_seed", *_searched(row)))
            for row in rows
        )
    return count


def _searched(row: dict[str, Any]) -> list[str]:
    return ["learning_rate"] if isinstance(row["learning_rate"], list) else []


def read_declaration(runs_dir: Path) -> dict[str, Any] | None:
    """Return study.json, or None where there is none.

    Raises:
        ValueError: where it isn't what was written: a declaration's digest must fit.
    """
    path = runs_dir / FILE
    if not path.exists():
        return None
    try:
        study: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entries = [study, *study["changes"]]
        is_whole = all(digest(e["declared"]) == e["sha256"] for e in entries)
    except (ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise ValueError(
            f"{path} must be a declaration as it was written, got another text; put "
            "the old one back, or move it away and give the command again"
        )
    return study


def last_declared(study: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what a study.json asks now: its last change, if there is one."""
    if study is None:
        return None
    declared: dict[str, Any] = (study["changes"] or [study])[-1]["declared"]
    return declared


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the names of what two declarations say otherwise, in whatever order."""
    return [
        name
        for name in {**before, **now}
        if _unordered(now.get(name)) != _unordered(before.get(name))
    ]


def _unordered(value: Any) -> Any:
    """Return a value of a declaration without the order that things were asked in."""
    if isinstance(value, dict):
        return {name: _unordered(each) for name, each in value.items()}
    if isinstance(value, list):
        return sorted(map(_unordered, value), key=json.dumps)
    return value
