"""TensorBoard events under Keras's own tags, derived from a run's JSON lines."""

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfpipe.base import files
from tfpipe.training import run_folder
from tfpipe.training.measure import METRICS

NORMS = ("grad_norm", "update_norm", "weight_norm")
SPLITS = {"train": "train_eval", "validation": "val", "test": "test"}
"""Folders of TensorBoard, and how their metrics begin in metrics.jsonl."""


class EventWriters:
    """Writers of `train/` and `validation/` of one run.

    Opening them writes the curves anew from metrics.jsonl and steps.jsonl, so that a
    continued run has no step twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writers: dict[str, Any] = {}
        for name in run_folder.EVENTS:
            for old in (folder / name).glob("events.out.tfevents.*"):
                old.unlink()
        for name in ("train", "validation"):
            self._writer(name)
        for line in files.read_json_lines(folder / run_folder.STEPS):
            self.write_step(line)
        for line in files.read_json_lines(folder / run_folder.METRICS):
            self.write_evaluation(line)

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            folder = str(self.folder / name)
            self._writers[name] = tf.summary.create_file_writer(folder)
        return self._writers[name]

    def _write(self, name: str, step: int, values: dict[str, float]) -> None:
        with self._writer(name).as_default():
            for tag, value in values.items():
                tf.summary.scalar(tag, value, step=step)

    def write_step(self, line: dict[str, Any]) -> None:
        """Write one line of steps.jsonl: this batch's own loss and accuracy, norms."""
        values = {
            f"batch_{name}": line[name]
            for name in ("loss", "accuracy", "learning_rate")
        }
        values |= {name: line[name] for name in NORMS if name in line}
        self._write("train", line["step"], values)

    def write_evaluation(self, line: dict[str, Any]) -> None:
        """Write one line of metrics.jsonl.

        A full evaluation is written as Keras's callback does: `epoch_*` from epoch 0
        on, and `evaluation_*_vs_iterations`; a probe has tags of its own.
        """
        step = line["step"]
        is_probe = line["kind"] == "probe"
        for split, prefix in SPLITS.items():
            values = {
                name: line[f"{prefix}_{name}"]
                for name in METRICS
                if f"{prefix}_{name}" in line
            }
            tag = "probe_{}" if is_probe else "evaluation_{}_vs_iterations"
            named = {tag.format(name): value for name, value in values.items()}
            if named:
                self._write(split, step, named)
            if not is_probe and split != "train":
                self._write_epoch(split, line, values)
        self._write("validation", step, {"logit_spread": line["logit_spread"]})
        if line["dead_units"]:  # of a model that has ReLUs
            self._write("train", step, {"most_dead_units": max(line["dead_units"])})
        if not is_probe:
            train = {n: line[n] for n in ("loss", "accuracy", "learning_rate")}
            self._write_epoch("train", line, train)
        self._write_out("flush")

    def _write_epoch(
        self, split: str, line: dict[str, Any], values: dict[str, float]
    ) -> None:
        epoch = math.ceil(line["epoch"]) - 1
        if values:
            tags = {f"epoch_{name}": value for name, value in values.items()}
            self._write(split, epoch, tags)

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
