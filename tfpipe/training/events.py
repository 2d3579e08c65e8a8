"""TensorBoard events under Keras's own tags, derived from a run's JSON lines."""

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfpipe.base import files
from tfpipe.training import run_folder
from tfpipe.training.measure import METRICS


class EventWriters:
    """Writers of `train/` and `validation/` of one run.

    Opening them writes the curves anew from metrics.jsonl and steps.jsonl, so that a
    continued run has no step twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers = {}
        for name in run_folder.EVENTS:
            for old in (folder / name).glob("events.out.tfevents.*"):
                old.unlink()
            self._writers[name] = tf.summary.create_file_writer(str(folder / name))
        for line in files.read_json_lines(folder / run_folder.STEPS):
            self.write_step(line)
        for line in files.read_json_lines(folder / run_folder.METRICS):
            self.write_evaluation(line)

    def write_step(self, line: dict[str, Any]) -> None:
        """Write one line of steps.jsonl: this batch's own loss and accuracy."""
        with self._writers["train"].as_default():
            for name in ("loss", "accuracy", "learning_rate"):
                tf.summary.scalar(f"batch_{name}", line[name], step=line["step"])

    def write_evaluation(self, line: dict[str, Any]) -> None:
        """Write one line of metrics.jsonl; like Keras, from epoch 0 on."""
        epoch = math.ceil(line["epoch"]) - 1
        with self._writers["train"].as_default():
            for name in ("loss", "accuracy", "learning_rate"):
                tf.summary.scalar(f"epoch_{name}", line[name], step=epoch)
        with self._writers["validation"].as_default():
            for name in METRICS:
                if f"val_{name}" not in line:
                    continue
                value = line[f"val_{name}"]
                tf.summary.scalar(f"epoch_{name}", value, step=epoch)
                tag = f"evaluation_{name}_vs_iterations"
                tf.summary.scalar(tag, value, step=line["step"])
        self._write_out("flush")

    def close(self) -> None:
        """Write out what is still in memory."""
        self._write_out("close")

    def _write_out(self, how: str) -> None:
        try:
            for writer in self._writers.values():
                getattr(writer, how)()
        except tf.errors.OpError as error:
            raise OSError(
                f"TensorBoard's files in {self.folder} must be writable, got "
                f"{error.message}; free disk space and give the same command again"
            ) from None
