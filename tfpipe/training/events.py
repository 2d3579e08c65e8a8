"""TensorBoard events under Keras's own tags, derived from a run's JSON lines.

An event file is a TFRecord file of `Event` messages. They are written here, as
TensorBoard's own protocol has them, and not by TensorFlow: its summaries took as long
for each step as all else that a run writes, and reports need none of it.
"""

import math
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.scalar import metadata
from tensorboard.plugins.text import metadata as text_metadata

from tfpipe.base import files
from tfpipe.data.records import frame_record
from tfpipe.training import hparams, run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.measure import METRICS

FLUSH_SECONDS = 10.0
NORMS = ("grad_norm", "update_norm", "weight_norm")
DIAGNOSTICS = (
    "distance",
    "noise_scale",
    "curvature_gradient",
    "curvature_update",
    "hessian_smallest",
    "hessian_largest",
)
SPLITS = {"train": "train_eval", "validation": "val", "test": "test"}
"""Folders of TensorBoard, and how their metrics begin in metrics.jsonl."""


def file_name(seconds: float) -> str:
    """Return the name of an event file begun so many seconds after 1970.

    TensorBoard takes the files of a folder by the seconds in their names, in order.
    """
    return f"events.out.tfevents.{seconds:010.0f}.tfpipe"


def keras_scalars(line: dict[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Return what Keras's callback would write of a full evaluation.

    Args:
        line: of metrics.jsonl.

    Returns:
        (folder, step, value by tag): `evaluation_*_vs_iterations` by update, `epoch_*`
        from epoch 0 on. A value that wasn't finite is None.
    """
    evaluated = _by_split(line)
    trained = {name: line[name] for name in ("loss", "accuracy", "learning_rate")}
    epoch = math.ceil(line["epoch"]) - 1
    by_update = [
        (split, int(line["step"]), _tags("evaluation_{}_vs_iterations", values))
        for split, values in evaluated.items()
    ]
    by_epoch = [
        (split, epoch, _tags("epoch_{}", values))
        for split, values in {**evaluated, "train": trained}.items()
    ]
    return by_update + by_epoch


def _by_split(line: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metrics of an evaluation by folder, without those that it lacks."""
    found = {
        split: {
            name: line[f"{prefix}_{name}"]
            for name in METRICS
            if f"{prefix}_{name}" in line
        }
        for split, prefix in SPLITS.items()
    }
    return {split: values for split, values in found.items() if values}


def _tags(pattern: str, values: dict[str, Any]) -> dict[str, Any]:
    return {pattern.format(name): value for name, value in values.items()}


class EventFile:
    """One event file of TensorBoard; events go to its end.

    Args:
        file: where to, empty.
        wall_time: of its beginning, in seconds since 1970; None: now.

    Raises:
        OSError: where it can't be written.
    """

    def __init__(self, file: IO[bytes], wall_time: float | None = None) -> None:
        self._file = file
        self._flushed = 0.0
        self._write(event_pb2.Event(file_version="brain.Event:2"), wall_time)
        # A TensorBoard that runs drops what it has read of older files of this folder.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(session_log=start), wall_time)

    @classmethod
    def create(cls, folder: Path) -> "EventFile":
        """Begin a file of now in a folder, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(open(folder / file_name(time.time()), "wb"))

    def _write(self, event: Any, wall_time: float | None = None) -> None:
        event.wall_time = time.time() if wall_time is None else wall_time
        self._file.write(frame_record(event.SerializeToString()))
        if time.time() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def add_scalars(
        self, step: int, values: dict[str, float], wall_time: float | None = None
    ) -> None:
        """Add one value of each tag at a step, of now or another time since 1970."""
        found = [
            summary_pb2.Summary.Value(
                tag=tag,
                metadata=metadata.create_summary_metadata("", ""),
                tensor=tensor_pb2.TensorProto(
                    dtype=types_pb2.DT_FLOAT,
                    tensor_shape={},
                    float_val=[np.float32(value)],
                ),
            )
            for tag, value in values.items()
        ]
        self.add_summary(summary_pb2.Summary(value=found), step, wall_time)

    def add_text(self, tag: str, text: str, wall_time: float | None = None) -> None:
        """Add a text in Markdown."""
        value = summary_pb2.Summary.Value(
            tag=tag,
            metadata=text_metadata.create_summary_metadata("", ""),
            tensor=tensor_pb2.TensorProto(
                dtype=types_pb2.DT_STRING, tensor_shape={}, string_val=[text.encode()]
            ),
        )
        self.add_summary(summary_pb2.Summary(value=[value]), 0, wall_time)

    def add_summary(
        self, summary: Any, step: int = 0, wall_time: float | None = None
    ) -> None:
        """Add a summary of any plugin."""
        self._write(event_pb2.Event(step=step, summary=summary), wall_time)

    def flush(self) -> None:
        """Let TensorBoard see all that was added."""
        self._file.flush()
        self._flushed = time.time()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class RunEvents:
    """The event files of one run: train/, validation/, test/ where there is one.

    One more, in the run folder itself, holds its row of the HParams table. All are
    written anew from metrics.jsonl and steps.jsonl, so that a continued run has no step
    twice.
    """

    def __init__(self, folder: Path, config: RunConfig, facts: dict[str, Any]) -> None:
        self.folder = folder
        self._files: dict[str, EventFile] = {}
        for name in (*run_folder.EVENTS, run_folder.SESSION):
            for old in (folder / name).glob(run_folder.EVENT_FILES):
                old.unlink()
        for name in ("train", "validation"):
            self._file(name)
        for one in hparams.start_summaries(config, facts):
            self._file(run_folder.SESSION).add_summary(one)
        steps = files.read_json_lines(folder / run_folder.STEPS)
        evaluations = files.read_json_lines(folder / run_folder.METRICS)
        # Lines have no time of day; evaluations have the seconds of the run.
        known = [(e["step"], e["wall_seconds"]) for e in evaluations] or [(0, 0.0)]
        at, seconds = zip(*known, strict=True)
        for line in steps:
            when = facts["began_seconds"] + np.interp(line["step"], at, seconds)
            self.write_step(line, float(when))
        for line in evaluations:
            self.write_evaluation(line, facts["began_seconds"] + line["wall_seconds"])

    def _file(self, name: str) -> EventFile:
        if name not in self._files:
            self._files[name] = EventFile.create(self.folder / name)
        return self._files[name]

    def write_step(self, line: dict[str, Any], wall_time: float | None = None) -> None:
        """Write one line of steps.jsonl: this batch's own loss and accuracy, norms."""
        batch = ("loss", "accuracy", "learning_rate")
        values = {f"batch_{name}": line[name] for name in batch}
        values |= {name: line[name] for name in NORMS if line.get(name) is not None}
        self._file("train").add_scalars(line["step"], values, wall_time)

    def write_evaluation(
        self, line: dict[str, Any], wall_time: float | None = None
    ) -> None:
        """Write one line of metrics.jsonl.

        A full evaluation is written as Keras's callback does; a probe has tags of its
        own.
        """
        step = line["step"]
        is_probe = line["kind"] == "probe"
        if is_probe:
            found = [
                (split, step, _tags("probe_{}", values))
                for split, values in _by_split(line).items()
            ]
        else:
            found = keras_scalars(line)
        for split, at, tags in found:
            self._file(split).add_scalars(at, tags, wall_time)
        # What a full evaluation found beside its metrics is of the model as it is.
        extra = {name: line.get(name) for name in ("logit_spread", *DIAGNOSTICS)}
        if line["dead_units"]:  # of a model that has ReLUs
            extra["most_dead_units"] = max(line["dead_units"])
        known = {name: value for name, value in extra.items() if value is not None}
        self._file("train").add_scalars(step, known, wall_time)
        for file in self._files.values():
            file.flush()

    def end_session(self, status: str, numbers: dict[str, float]) -> None:
        """Write the run's numbers and its end, for the HParams table."""
        numbers = numbers | {"diverged": float(status == "diverged")}
        tags = {f"summary/{name}": value for name, value in numbers.items()}
        file = self._file(run_folder.SESSION)
        file.add_scalars(0, tags)
        file.add_summary(hparams.end_summary(status))

    def close(self) -> None:
        """Write out what is still in memory."""
        for file in self._files.values():
            file.close()
