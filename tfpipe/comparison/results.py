"""Read the runs of a comparison into plain values; numbers come from nowhere else."""

import csv
import dataclasses
import functools
import io
import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfpipe.comparison.labels import comparable_settings, configuration_labels
from tfpipe.training import naming, run_folder, stages
from tfpipe.training.config import RunConfig
from tfpipe.training.run_folder import RunRecord
from tfpipe.training.stages import Escape

QUANTITIES = ("val_accuracy", "val_loss", "accuracy", "loss")
METRICS = (*QUANTITIES, "test_accuracy", "test_loss", "learning_rate")
RUN_COLUMNS = ("run", "label", "optimizer", "learning_rate", "seed", "status")
CSV_COLUMNS = (*RUN_COLUMNS, "epoch", "step", "metric", "value")
NEVER = ("diverged", "stopped_early")
"""What such a run had not reached it never will."""
CLOCKS = ("train_seconds", "eval_seconds", "wall_seconds")
# Without these a run can't stand in a report.
NEEDED = {
    "dataset_fingerprint": str,
    "initial_weights_sha256": str,
    "machine": dict,
    "precision": str,
    "steps_per_epoch": int,
    "train_examples": int,
    "validation_class_counts": list,
    "versions": dict,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunResult:
    """One run of a comparison: what was asked, and what its folder says."""

    name: str
    label: str
    """Short and unlike the others': "rmsprop 1e-4", with whatever differs."""
    config: RunConfig
    settings: dict[str, Any]
    """The settings it was trained with, by flat name."""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    """All of config.json; empty where the run never began."""
    status: str = "not started"
    reason: str = ""
    evaluations: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Evaluations of the whole validation split, in order of steps."""
    folder: Path | None = None
    """Its run folder; None where the run never began."""
    probes: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    """Quick looks at a fixed part of it, in order of steps."""

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """The settings that tell configurations apart."""
        return naming.identity(self.config)

    @property
    def majority_share(self) -> float:
        """Share of the largest class in the validation split: what one answer gets."""
        return float(max(self._class_counts) / self.num_validation)

    @property
    def num_validation(self) -> int:
        """Pictures in the validation split."""
        return sum(self._class_counts)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self._class_counts)

    @property
    def _class_counts(self) -> list[int]:
        counts: list[int] = self.facts["validation_class_counts"]
        return counts

    @property
    def start_loss(self) -> float:
        """Validation loss before the first step; of no information where none is."""
        starts = [line["val_loss"] for line in self.probes if line["step"] == 0]
        return float(starts[0]) if starts else math.log(self.num_classes)

    @property
    def budget_steps(self) -> int:
        """Updates of the whole run."""
        steps = int(self.settings["epochs"] * self.facts["steps_per_epoch"])
        return min(steps, self.settings["max_steps"] or steps)

    @property
    def shortened(self) -> list[str]:
        """In which ways the run saw less than a whole one, empty where it didn't."""
        return list(self.facts.get("shortened", []))

    @property
    def shared_machine(self) -> int:
        """Other runs that trained on its machine at the same time, 0: it was alone."""
        return num_workers(self.facts) - 1

    @property
    def shared_gpu(self) -> int:
        """Other runs that trained on its GPU at the same time."""
        return num_workers(self.facts, "gpu_workers") - 1

    @property
    def threshold(self) -> float:
        """Validation accuracy above which the run has left its start."""
        return stages.escape_threshold(self.majority_share, self.num_validation)

    @property
    def escape(self) -> Escape | None:
        """When the run left its start, in updates; None: it didn't."""
        return stages.find_escape(self.evaluations, self.threshold)

    @property
    def is_unconfirmed(self) -> bool:
        """Whether only the last evaluation says that the run left its start.

        Not where no further one would have followed to tell.
        """
        return (
            self.status not in NEVER
            and self.escape is None
            and stages.is_unconfirmed(self.evaluations, self.threshold)
        )

    @property
    def final(self) -> dict[str, Any]:
        """The last evaluation."""
        return self.evaluations[-1]

    @property
    def best(self) -> dict[str, Any]:
        """The evaluation of the highest validation accuracy, the first of equals."""
        return max(self.evaluations, key=lambda evaluation: evaluation["val_accuracy"])

    def final_accuracy(self, metric: str = "val_accuracy") -> float:
        """Return what a run that has ended counts, in [0, 1].

        It is the accuracy at its end; of one that diverged the majority share, which is
        what its answers are worth.
        """
        if self.status == "diverged" or not self.evaluations:
            return self.majority_share
        return float(self.final.get(metric, math.nan))

    def series(self, metric: str) -> tuple[list[float], list[float]]:
        """Return epochs and values of a metric, without what is missing or infinite.

        Epochs are whole numbers, but for a run that max_steps cut.
        """
        points = [
            (evaluation["epoch"], evaluation[metric])
            for evaluation in self.evaluations
            if evaluation.get(metric) is not None and math.isfinite(evaluation[metric])
        ]
        return [epoch for epoch, _ in points], [value for _, value in points]


def num_workers(facts: dict[str, Any], name: str = "workers") -> int:
    """Return how many runs shared the machine, or the GPU, in any session of a run.

    Args:
        facts: config.json's.
        name: "workers", or "gpu_workers".
    """
    sessions = [facts, *facts.get("sessions", [])]
    return max(int(session.get(name, 1)) for session in sessions)


def read_results(runs: Sequence[RunConfig]) -> list[RunResult]:
    """Return what became of each run, in the order given."""
    return [
        _read(run, label)
        for run, label in zip(runs, configuration_labels(runs), strict=True)
    ]


def _read(run: RunConfig, label: str) -> RunResult:
    folder = run_folder.run_folder(run)
    if not run_folder.is_run_folder(folder):
        return RunResult(
            name=naming.run_name(run),
            label=label,
            config=run,
            settings=naming.in_words(run),
        )
    return _from_record(run_folder.read_run(folder), label)


def _from_record(record: RunRecord, label: str) -> RunResult:
    return RunResult(
        name=record.name,
        label=label,
        config=record.config,
        settings=naming.in_words(record.config),
        facts=record.facts,
        status=record.status["status"],
        reason=record.status["reason"],
        evaluations=[_with_nan(line) for line in record.evaluations],
        probes=[_with_nan(line) for line in record.probes],
        folder=record.folder,
    )


def _with_nan(line: dict[str, Any]) -> dict[str, Any]:
    """Return an evaluation whose numbers that aren't finite are numbers again.

    JSON has no word for them; they were written as null.
    """
    missing = [name for name in QUANTITIES if name in line and line[name] is None]
    return {**line, **dict.fromkeys(missing, math.nan)}


def read_folder(
    runs_dir: Path,
    declared: dict[str, Any] | None = None,
    tell: Callable[[str], None] = print,
    planned: Sequence[RunConfig] = (),
) -> list[RunResult]:
    """Return every run of a folder of run folders.

    Args:
        runs_dir: the folder; other things in it are left alone.
        declared: what the study declared: its configurations come first, in its order.
            Within a configuration runs go by seed.
        tell: is given a line for each run folder that is damaged and left out.
        planned: runs that are listed even where they never began.

    Raises:
        ValueError: where there is no run.
    """
    if not runs_dir.is_dir():
        raise ValueError(
            f"runs folder must exist, got {runs_dir}; name the one that compare or "
            "train wrote"
        )
    found: list[tuple[RunConfig, RunRecord | None]] = []
    damaged = []
    for folder in sorted(filter(_holds_run, runs_dir.iterdir())):
        try:
            record = _whole(run_folder.read_run(folder))
            found.append((record.config, record))
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            words = f"left out {folder}, which can't be read: {_one_line(error)}"
            if not isinstance(error, run_folder.UnreadableRunError):
                words += "; remove it to train this run again"
            damaged.append(words)
            tell(damaged[-1])
    waiting = [run for run in planned if not _holds_run(run_folder.run_folder(run))]
    found += [(run, None) for run in waiting]
    if not found:
        got = f"; {damaged[0]}" if damaged else ""
        raise ValueError(
            f"runs folder must hold runs, got {runs_dir} without; name the folder "
            f"that compare or train wrote{got}"
        )
    order = list((declared or {}).get("configurations", {}).values())
    for run, _ in found:
        identity = naming.identity(run)
        if identity not in order:
            order.append(identity)
    found.sort(
        key=lambda pair: (order.index(naming.identity(pair[0])), pair[0].run.seed)
    )
    labels = configuration_labels([run for run, _ in found])
    return [
        _from_record(record, label) if record else _read(run, label)
        for (run, record), label in zip(found, labels, strict=True)
    ]


def _holds_run(folder: Path) -> bool:
    """Tell whether a folder holds a run, or did before config.json went."""
    names = (run_folder.CONFIG, run_folder.METRICS, run_folder.STATUS)
    return folder.is_dir() and any((folder / name).is_file() for name in names)


def _whole(record: RunRecord) -> RunRecord:
    """Return a run that has all that a report asks of it.

    Raises:
        KeyError: naming what is missing.
        ValueError: for what is there and can't be.
    """
    for name, kind in NEEDED.items():
        _check(name, record.facts[name], isinstance(record.facts[name], kind))
    for name, kind in (("cpu", str), ("cores", int)):
        value = record.facts["machine"][name]
        _check(f"machine's {name}", value, isinstance(value, kind))
    counts = record.facts["validation_class_counts"]
    is_whole = all(isinstance(count, int) and count >= 0 for count in counts)
    _check("validation_class_counts", counts, is_whole and sum(counts) > 0)
    lines, status = record.evaluations, record.status
    if status["status"] in ("done", "stopped_early") and (
        not lines or int(lines[-1]["epoch"]) < status["epoch"]
    ):
        raise ValueError(
            f"metrics.jsonl ends before epoch {status['epoch']}, which it came to"
        )
    for line in record.evaluations:
        for name in ("epoch", "step", "train_seconds", "eval_seconds"):
            _check(name, line[name], _is_finite(line[name]))
        for name in QUANTITIES:
            value = line[name]  # null: a number that isn't finite
            _check(name, value, value is None or isinstance(value, (int, float)))
        _check("val_accuracy", line["val_accuracy"], _is_finite(line["val_accuracy"]))
    return record


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _check(name: str, value: Any, is_right: bool) -> None:
    if not is_right:
        raise ValueError(f"it says that {name} is {json.dumps(value)}")


def _one_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it says nothing of {error.args[0]}"
    return " ".join(str(error).split())


def seconds_an_epoch(result: RunResult) -> float | None:
    """Return the median seconds of an epoch and its evaluation, None without one.

    An epoch that max_steps cut is counted as if the rest took as long a step.
    """
    seconds, step, before = [], 0, (0.0, 0.0)
    for line in result.evaluations:
        now = line["train_seconds"], line["eval_seconds"]
        if line["step"] > step:
            part = (line["step"] - step) / result.facts["steps_per_epoch"]
            train, evaluating = now[0] - before[0], now[1] - before[1]
            seconds.append(train / part + evaluating)
        step, before = line["step"], now
    return statistics.median(seconds) if seconds else None


def conditions_of(result: RunResult) -> dict[str, Any]:
    """Return under which conditions a run was made, by name.

    They are the settings that tell runs apart, with `precision` and `train_examples`
    as they came out, then data, machine and versions where the run has begun.
    """
    names = comparable_settings(RunConfig())
    conditions = {name: result.settings[name] for name in names}
    if not result.facts:
        return conditions
    facts = result.facts
    return {
        **conditions,
        "precision": facts["precision"],
        "train_examples": facts["train_examples"],
        "dataset": facts["dataset_fingerprint"][:12],
        "machine": describe_machine(facts),
        **facts["versions"],
    }


def describe_machine(session: dict[str, Any]) -> str:
    """Return "A CPU with 8 cores (avx2, fma)": all of it, whoever shared it.

    The instructions belong to it: by them the same settings train to other digits on
    CPUs of one name.

    Args:
        session: config.json's facts, or one of its `sessions`.
    """
    machine = session["machine"]
    # Those of a run are its share.
    shares = machine["cores"] * int(session.get("workers", 1))
    cores = machine.get("all_cores", shares)
    flags = ", ".join(machine.get("cpu_flags", ()))
    words = f"{machine['cpu']} with {cores} core{'s' * (cores != 1)}"
    return f"{words} ({flags})" if flags else words


def _cell(text: str) -> str:
    """Return text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def to_csv(results: Sequence[RunResult]) -> str:
    """Return every number of every evaluation in long form, a metric a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for result in results:
        values = result.settings
        run = [*map(_cell, (result.name, result.label, values["optimizer"]))]
        run += [values["learning_rate"], values["seed"], result.status]
        for line in result.evaluations:
            names = [name for name in METRICS + CLOCKS if line.get(name) is not None]
            rows = [(name, line[name]) for name in names]
            shares = line.get("predicted_shares") or []
            rows += [
                (f"predicted_share_{class_name}", share)
                for class_name, share in zip(
                    result.facts.get("class_names", ()), shares, strict=False
                )
            ]
            for metric, value in rows:
                writer.writerow([*run, line["epoch"], line["step"], metric, value])
    return text.getvalue()
