"""The format of a run folder, for writer and reader."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.data.manifest import read_manifest
from tfpipe.training import catalog, naming, schedules
from tfpipe.training import config as run_config
from tfpipe.training.config import RunConfig

FORMAT_VERSION = 2
CONFIG, STATUS, SUMMARY = "config.json", "status.json", "model.txt"
METRICS, STEPS = "metrics.jsonl", "steps.jsonl"
PREDICTIONS, CHECKPOINT, PLOTS = "predictions", "checkpoint", "plots"
BEST_MODEL, LAST_MODEL, EXPORT = "best.keras", "last.keras", "export.json"
EVENTS = ("train", "validation", "test")
SESSION = "."
"""Where TensorBoard finds a run's row of its HParams table."""
EVENT_FILES = "events.out.tfevents.*"
# All that a run writes: what starting again may remove, and nothing else.
OWN_FILES = (CONFIG, STATUS, SUMMARY, METRICS, STEPS, BEST_MODEL, LAST_MODEL, EXPORT)
OWN_PATTERNS = {
    PREDICTIONS: ("step-*.npz*",),
    CHECKPOINT: ("step-*",),
    PLOTS: ("accuracy.png*", "loss.png*"),
    **dict.fromkeys((*EVENTS, SESSION), (EVENT_FILES,)),
}
# What stands in a folder whose run was stopped before its first config.json.
FIRST_FILES = {
    ".lock",
    *(STATUS, SUMMARY, EXPORT),
    *(name for own in OWN_FILES for name in files.aside_names(own)),
}

FINISHED = ("done", "stopped_early", "diverged")


class UnreadableRunError(ValueError):
    """A run folder is damaged, or of a newer format."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run as its folder tells it."""

    folder: Path
    config: RunConfig
    facts: dict[str, Any]
    """All of config.json."""
    status: dict[str, Any]
    """status, reason, epoch (completed), step (updates)."""
    evaluations: list[dict[str, Any]]
    """The lines of metrics.jsonl that are of all of validation."""
    probes: list[dict[str, Any]]
    """Those that are quick looks at a fixed part of it."""

    @property
    def name(self) -> str:
        """The folder's name, which is the run's."""
        return self.folder.name

    def is_finished(self, epochs: int) -> bool:
        """Tell whether nothing is left to train for a budget of `epochs`."""
        status = self.status["status"]
        if status == "done" and not self.status.get("cut_by_max_steps"):
            return bool(self.status["epoch"] >= epochs)
        return status in FINISHED


def is_run_folder(folder: Path) -> bool:
    """Tell whether `folder` holds a run."""
    return (folder / CONFIG).is_file()


def run_folder(config: RunConfig) -> Path:
    """Return the folder that a run writes."""
    return Path(config.run.runs_dir) / naming.run_name(config)


def read_run(folder: Path) -> RunRecord:
    """Read a run folder.

    Raises:
        ValueError: where it is no run folder; UnreadableRunError where it is of a newer
            format, or damaged.
    """
    if not is_run_folder(folder):
        raise ValueError(
            f"run folder must hold {CONFIG}, got {folder} without; "
            "name a folder that a training wrote"
        )
    try:
        return _read(folder)
    except UnreadableRunError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        found = " ".join(str(error).split())
        if isinstance(error, KeyError):
            found = f"nothing of {error.args[0]}"
        raise UnreadableRunError(
            f"{folder} must be a run as a training wrote it, got {found}; put its "
            "files back, or remove the folder to train it again"
        ) from None


def _read(folder: Path) -> RunRecord:
    facts, status = _read_json(folder / CONFIG), _read_json(folder / STATUS)
    if facts["format_version"] > FORMAT_VERSION:
        raise UnreadableRunError(
            f"format version of {folder} must be at most {FORMAT_VERSION}, got "
            f"{facts['format_version']}; install a newer tfpipe"
        )
    _check_types(status, {"status": str, "reason": str, "epoch": int, "step": int})
    _check_types(facts, {"dataset_fingerprint": str, "steps_per_epoch": int})
    _check_types(facts.get("own_code_sha256", {}), {})
    if status["status"] == "running" and not files.FolderLock.is_held(folder):
        status |= {"status": "interrupted", "reason": "its process ended"}
    lines = files.read_json_lines(folder / METRICS)
    for line in lines:
        seconds = [name for name in line if name.endswith("_seconds")]
        numbers = dict.fromkeys(("epoch", "step", *seconds), (int, float))
        _check_types(line, {"kind": str, **numbers})
    lines = _today(lines, facts["format_version"])
    return RunRecord(
        folder=folder,
        config=run_config.from_json(facts["config"]),
        facts=facts,
        status=status,
        evaluations=[line for line in lines if line["kind"] == "full"],
        probes=[line for line in lines if line["kind"] == "probe"],
    )


def _check_types(values: Any, kinds: dict[str, Any]) -> None:
    """Refuse what isn't an object with these values, of these types.

    Raises:
        KeyError: for one that is missing.
        TypeError: for one of another type.
    """
    if not isinstance(values, dict):
        raise TypeError(f"{json.dumps(values)} for an object")
    for name, kind in kinds.items():
        if not isinstance(values[name], kind):
            raise TypeError(f"{json.dumps(values[name])} for {name}")


def _today(lines: list[dict[str, Any]], version: int) -> list[dict[str, Any]]:
    """Return lines of an older format as today's: in 1, seconds were each epoch's."""
    if version == 1:
        sums = {"train_seconds": 0.0, "eval_seconds": 0.0}
        for line in lines:
            for name in sums:
                sums[name] += line[name]
            line |= sums
    return lines


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            return value
        found = f"a {type(value).__name__}"
    except OSError as error:
        found = str(error.strerror)
    except ValueError as error:
        found = str(error)
    raise UnreadableRunError(
        f"{path} must be the JSON that a training wrote, got {found}; put it back, "
        "or remove the run's folder to train it again"
    )


@contextlib.contextmanager
def open_run_folder(folder: Path) -> Iterator[None]:
    """Lock a run folder, made if absent; one that got nothing goes again.

    Raises:
        ValueError: where it holds files that no run wrote.
        BlockingIOError: where another process writes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with files.FolderLock(folder) as lock:
        foreign = {path.name for path in folder.iterdir()} - FIRST_FILES
        if foreign and not is_run_folder(folder):
            raise ValueError(
                f"run folder must be new or a run's, got {folder} with "
                f"{min(foreign)!r}; choose another --run_name or --runs_dir"
            )
        try:
            yield
        finally:
            if list(folder.iterdir()) == [lock.path]:
                lock.path.unlink()
                folder.rmdir()


def write_status(
    folder: Path,
    status: str,
    *,
    epoch: int,
    step: int,
    reason: str = "",
    cut_by_max_steps: bool = False,
    pace: dict[str, float] | None = None,
    seconds: dict[str, float] | None = None,
) -> None:
    """Write status.json: what became of the run, how far it came, at which pace."""
    values = {
        "status": status,
        "reason": reason,
        "epoch": epoch,
        "step": step,
        "cut_by_max_steps": cut_by_max_steps,
    }
    extra = {"pace": pace, "seconds": seconds}
    values |= {name: value for name, value in extra.items() if value}
    files.write_json(folder / STATUS, values)


def clear(folder: Path) -> None:
    """Remove what a run wrote into `folder`, and nothing else.

    config.json goes last: it says whose the rest is if a kill comes in between. The
    status is no longer that of an ended run from the first removal on.
    """
    if is_run_folder(folder):
        write_status(folder, "interrupted", epoch=0, step=0, reason="overwritten")
    for name, patterns in OWN_PATTERNS.items():
        for pattern in patterns:
            for path in (folder / name).glob(pattern):
                path.unlink()
        if name != SESSION:
            with contextlib.suppress(OSError):  # absent, or not the run's alone
                (folder / name).rmdir()
    for own in reversed(OWN_FILES):
        for name in (*files.aside_names(own), own):
            (folder / name).unlink(missing_ok=True)


def find_run(config: RunConfig) -> RunRecord | None:
    """Return the run that `config` would continue, or None where it would begin.

    Records that are gone are no difference: what is done can be drawn without them.

    Raises:
        ValueError: where the folder holds a run of other settings, records or own
            code, naming them.
    """
    folder = run_folder(config)
    if config.run.overwrite or not is_run_folder(folder):
        return None
    record = read_run(folder)
    as_long = record.config.replace(epochs=config.run.epochs)
    theirs = {**naming.identity(as_long), "seed": record.config.run.seed}
    if "epochs" in theirs:
        theirs["epochs"] = record.config.run.epochs
    ours = {**naming.identity(config), "seed": config.run.seed}
    with contextlib.suppress(ValueError):
        fingerprint = read_manifest(config.data.records_dir).fingerprint
        theirs["dataset_fingerprint"] = record.facts["dataset_fingerprint"]
        ours["dataset_fingerprint"] = fingerprint
    for name, digest in record.facts.get("own_code_sha256", {}).items():
        with contextlib.suppress(ValueError):
            ours[f"own code {name}"] = catalog.own_code_sha256(name)
            theirs[f"own code {name}"] = digest
    refuse_differences(record, theirs, ours)
    return record


def describe_finished(record: RunRecord) -> str:
    """Say that nothing is left to do for a run, and what would go on with it."""
    status, epoch = record.status["status"], record.status["epoch"]
    line = f"{record.folder}: already {status.replace('_', ' ')} at epoch {epoch}"
    rule = record.config.optimizer
    is_fixed = schedules.depends_on_length(rule.schedule, rule.schedule_args)
    is_cut = record.status.get("cut_by_max_steps")
    if status == "done" and not is_cut and not is_fixed:
        return f"{line}; a larger --epochs goes on, --overwrite starts again"
    return f"{line}; --overwrite starts again"


def refuse_differences(
    record: RunRecord, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    """Refuse to continue a run in which any of `theirs` was other than `ours`.

    Raises:
        ValueError: naming each difference.
    """
    different = [
        f"{name}={theirs.get(name)!r} (now {value!r})"
        for name, value in ours.items()
        if value != theirs.get(name)
    ]
    if different:
        raise ValueError(
            f"the run in {record.folder} must go on with {', '.join(different)}; "
            "give another --run_name, or --overwrite to start again"
        )
