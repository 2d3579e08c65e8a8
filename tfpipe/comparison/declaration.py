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
from tfpipe.comparison import results, statistics
from tfpipe.training import config as run_config
from tfpipe.training import run_folder, stages
from tfpipe.training.config import RunConfig

FILE = "study.json"
FORMAT_VERSION = 1
METRIC, METRIC_AT = "val_accuracy", "the last epoch"
TEST = "paired sign-flip test, Holm's correction over the comparisons"
ALPHA = 0.05


def declare(
    runs: Sequence[RunConfig], fingerprint: str, baseline: str = ""
) -> dict[str, Any]:
    """Return what a study of these runs fixes beforehand.

    Args:
        runs: all of the study.
        fingerprint: the records'.
        baseline: the label of the configuration that others are compared with; "":
            every pair is compared.

    Raises:
        ValueError: for a baseline that isn't among them.
    """
    seeds = sorted({run.run.seed for run in runs})
    configurations = [run for run in runs if run.run.seed == seeds[0]]
    labels = results.configuration_labels(configurations)
    pairs = [list(pair) for pair in itertools.combinations(labels, 2)]
    if baseline and baseline not in labels:
        raise ValueError(
            f"baseline_run must be one of {', '.join(labels)}, got {baseline!r}"
        )
    if baseline:
        pairs = [[baseline, label] for label in labels if label != baseline]
    return {
        "dataset_fingerprint": fingerprint,
        "configurations": {
            label: run_config.identity(run)
            for label, run in zip(labels, configurations, strict=True)
        },
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


def describe_power(declared: dict[str, Any]) -> str:
    """Say what a study can show at all, "" where nothing is compared."""
    replicates, comparisons = len(declared["seeds"]), len(declared["comparisons"])
    if not comparisons:
        return ""
    pairs = "pairs" if not declared["baseline_run"] else "comparisons with the baseline"
    words = (
        f"{replicates} replicate{'s' * (replicates > 1)} and {comparisons} "
        f"{pairs if comparisons > 1 else pairs.removesuffix('s')}: "
    )
    smallest = statistics.smallest_p(replicates, comparisons)
    if smallest > declared["alpha"]:
        needed = statistics.replicates_needed(comparisons, declared["alpha"])
        return f"{words}nothing can be significant; {needed} replicates are needed"
    return f"{words}the smallest p value they can give is {smallest:.2g}"


def digest(declared: dict[str, Any]) -> str:
    """Return the sha256 of a declaration, as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def write_declaration(
    runs_dir: Path, declared: dict[str, Any], runs: Sequence[RunConfig], reason: str
) -> None:
    """Write study.json, or note in it what is asked otherwise now.

    Args:
        runs_dir: the folder of run folders.
        declared: what `declare` returned.
        runs: all of the study; those that began before are counted.
        reason: why something changed, for people.
    """
    begun = [
        run for run in runs if run_folder.is_run_folder(run_folder.run_folder(run))
    ]
    entry = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "runs_begun_before": len(begun),
        "sha256": digest(declared),
        "declared": declared,
    }
    study = read_declaration(runs_dir)
    if study is None:
        study = {"format_version": FORMAT_VERSION, **entry, "changes": []}
    else:
        last = (study["changes"] or [study])[-1]
        if last["sha256"] == entry["sha256"]:
            return
        different = differences(last["declared"], declared)
        entry |= {"reason": reason, "different": different}
        study["changes"].append(entry)
    runs_dir.mkdir(parents=True, exist_ok=True)
    files.write_json(runs_dir / FILE, study)


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


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the names of what two declarations say otherwise."""
    return [name for name in now if now[name] != before.get(name)]
