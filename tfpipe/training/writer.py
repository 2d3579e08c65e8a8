"""Write a run folder: lines, events, plots, models, state, status."""

import math
import os
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpipe.base import files
from tfpipe.training import curves, events, export, outcome, run_folder, state
from tfpipe.training.config import RunConfig
from tfpipe.training.position import Position
from tfpipe.training.run_folder import RunRecord

DRAW_SECONDS = 30.0
"""Between two drawings of a run's plots, which take half a second."""
LINES = (run_folder.METRICS, run_folder.STEPS)


class RunWriter:
    """The files of one run under way; its folder is locked by the caller."""

    def __init__(
        self, folder: Path, model: keras.Model, variables: list[Any], majority: float
    ) -> None:
        self.folder, self.model, self.variables = folder, model, variables
        self.majority = majority
        # Made before the first step, so that a model that can't be saved is refused
        # then, and not after an epoch.
        self.copy = export.copy_model(model)
        self._events: events.RunEvents | None = None
        self._drawn = -math.inf

    def begin(
        self, facts: dict[str, Any], resize: str, storing: dict[str, Any]
    ) -> Position:
        """Start a new run, in place of one that is overwritten."""
        files.check_free_space(self.folder, state.disk_bytes(self.variables))
        run_folder.clear(self.folder)
        lines: list[str] = []
        self.model.summary(print_fn=lines.append)
        summary = "\n".join(lines) + "\n"
        files.write_bytes(self.folder / run_folder.SUMMARY, summary.encode())
        export.describe_export(
            self.folder / run_folder.EXPORT, facts["class_names"], resize, storing
        )
        # The status first: a folder with a config has a status.
        self.write_status("running", Position())
        files.write_json(self.folder / run_folder.CONFIG, facts)
        return Position()

    def take_up(self, record: RunRecord) -> tuple[Position, list[str], dict[str, Any]]:
        """Go back to the last checkpoint.

        Returns:
            its position; damaged ones by name; and what was done behind it and is lost:
            steps, and the seconds from the checkpoint to the last of them.

        Raises:
            ValueError: where the checkpoint, or the lines written before it, are gone.
        """
        version = record.facts["format_version"]
        if version != run_folder.FORMAT_VERSION:
            raise ValueError(
                f"run in {self.folder} must be of format {run_folder.FORMAT_VERSION} "
                f"to go on, got {version}; give another --run_name, or --overwrite to "
                "start again"
            )
        folder = self.folder / run_folder.CHECKPOINT
        position, damaged = state.load_state(folder, self.variables)
        # Killed before its first checkpoint, a run has at most one full evaluation.
        had_some = len(record.evaluations) > 1 or record.status["status"] == "done"
        if position.step == 0 and had_some:
            raise ValueError(
                f"{folder} must hold a checkpoint to go on from, got none; start again "
                "with --overwrite"
            )
        lost = self._lost(position)
        for name in LINES:
            path = self.folder / name
            length = getattr(position, f"{path.stem}_bytes")
            size = path.stat().st_size if path.exists() else 0
            if size < length:
                raise ValueError(
                    f"{path} must hold the {length} bytes that its checkpoint knows, "
                    f"got {size}; start again with --overwrite"
                )
            if size:
                os.truncate(path, length)
        return position, damaged, lost

    def _lost(self, position: Position) -> dict[str, Any]:
        steps = self.folder / run_folder.STEPS
        checkpoint = self.folder / run_folder.CHECKPOINT
        saved = checkpoint / f"step-{position.step:08d}.json"
        # config.json is written anew when a session begins: idle time is none's.
        begun = max(
            path.stat().st_mtime
            for path in (saved, self.folder / run_folder.CONFIG)
            if path.exists()
        )
        last = max((line["step"] for line in files.read_json_lines(steps)), default=0)
        num_steps = max(0, last - position.step)
        seconds = steps.stat().st_mtime - begun if num_steps else 0
        return {"lost_steps": num_steps, "lost_seconds": round(max(0, seconds), 3)}

    def open_events(self, config: RunConfig, facts: dict[str, Any]) -> None:
        """Start TensorBoard's files, derived from the lines that stand."""
        self._events = events.RunEvents(self.folder, config, facts)

    def end_events(self, status: str, num_validation: int) -> None:
        """Close the run's row of TensorBoard's HParams table."""
        numbers = outcome.summarise(self.full_lines(), self.majority, num_validation)
        if self._events:
            self._events.end_session(status, numbers)

    def full_lines(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl that are of all of validation."""
        lines = files.read_json_lines(self.folder / run_folder.METRICS)
        return [line for line in lines if line["kind"] == "full"]

    def write_step(self, line: dict[str, Any]) -> None:
        """Append a line to steps.jsonl, and show it in TensorBoard."""
        files.append_json_line(self.folder / run_folder.STEPS, line)
        if self._events:
            self._events.write_step(line)

    def write_evaluation(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl, and show it in TensorBoard."""
        files.append_json_line(self.folder / run_folder.METRICS, line)
        if self._events:
            self._events.write_evaluation(line)

    def start_loss(self) -> float:
        """Return the probe's validation loss before the first step, inf without."""
        lines = files.read_json_lines(self.folder / run_folder.METRICS)
        return next((line["val_loss"] for line in lines if not line["step"]), math.inf)

    def save_model(self, name: str) -> None:
        """Save the model as it is under one of the run folder's names."""
        self.copy.set_weights(self.model.get_weights())
        export.save_model(self.copy, self.folder / name)

    def save_state(self, position: Position) -> None:
        """Write a checkpoint; the lines it counts are on disk before it."""
        for name in LINES:
            path = self.folder / name
            size = files.sync_file(path) if path.exists() else 0
            setattr(position, f"{path.stem}_bytes", size)
        state.save_state(self.folder / run_folder.CHECKPOINT, self.variables, position)

    def save_update(self, step: int, update: list[Any] | None) -> None:
        """Keep what the last step changed beside the checkpoint of its step.

        Diagnostics look along it, and a run may go on right there. The next
        checkpoint removes it.
        """
        if update:
            with files.open_aside(self._update_path(step)) as file:
                np.savez(file, *map(keras.ops.convert_to_numpy, update))

    def load_update(self, step: int) -> list[Any] | None:
        """Return what `save_update` kept of a step, None without."""
        path = self._update_path(step)
        if not path.exists():
            return None
        with np.load(path) as arrays:
            return [arrays[name] for name in arrays.files]

    def _update_path(self, step: int) -> Path:
        name = f"step-{step:08d}.update.npz"
        return self.folder / run_folder.CHECKPOINT / name

    def write_status(
        self,
        status: str,
        position: Position,
        reason: str = "",
        *,
        is_cut: bool = False,
        pace: dict[str, float] | None = None,
        seconds: dict[str, float] | None = None,
    ) -> None:
        """Write status.json for where the run stands.

        Args:
            status, position, reason: what became of it, where it stands.
            is_cut: whether max_steps ended it.
            pace: the verdict's.
            seconds: of each part, at the end or at an interruption.
        """
        run_folder.write_status(
            self.folder,
            status,
            reason=reason,
            epoch=position.epoch,
            step=position.step,
            cut_by_max_steps=is_cut,
            pace=pace,
            seconds=seconds,
        )

    def draw(self, *, is_last: bool = False) -> None:
        """Draw the run's two plots from its lines, where they were not just drawn."""
        now = time.monotonic()
        if not is_last and now - self._drawn < DRAW_SECONDS:
            return
        self._drawn = now
        plots = self.folder / run_folder.PLOTS
        curves.draw_run(self.full_lines(), plots, self.folder.name, self.majority)

    def close(self) -> None:
        """Close TensorBoard's files."""
        if self._events:
            self._events.close()
