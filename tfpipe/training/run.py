"""Train one configuration into its run folder, exactly, and continue it.

from tfpipe import RunConfig, train
train(RunConfig.of(records_dir="records", optimizer="adam", image_size=64))
"""

import datetime
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpipe.base import files
from tfpipe.base.progress import Progress, format_seconds
from tfpipe.base.signals import Postponed, postponed_signals
from tfpipe.data import order
from tfpipe.data.pipeline import Batches, Source
from tfpipe.training import (
    catalog,
    curves,
    events,
    export,
    measure,
    models,
    precision,
    promise,
    provenance,
    run_folder,
    state,
    stopping,
)
from tfpipe.training.config import RunConfig
from tfpipe.training.run_folder import RunRecord

Say = Callable[[str], None]


def train(
    config: RunConfig, *, callbacks: Sequence[Any] = (), say: Say = print
) -> RunRecord:
    """Train `config`, or continue where its run folder stands.

    Args:
        config: the run.
        callbacks: a person's own Keras callbacks, driven as `fit` drives them; their
            state is not saved.
        say: takes the lines meant for people.

    Returns:
        The run as its folder tells it: see `RunRecord.status`.

    Raises:
        ValueError: for records or a run folder that don't fit the configuration.
        KeyboardInterrupt: on Ctrl-C, once the state is saved.
    """
    record = run_folder.find_run(config)
    if record and record.is_finished(config.run.epochs):
        say(run_folder.describe_finished(record))
        return record
    source = Source(config.data.records_dir, fetch=config.data.fetch)
    folder = run_folder.run_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    with files.FolderLock(folder), postponed_signals() as signals:
        if config.run.overwrite:
            run_folder.clear(folder)
        run = _Run(config, source, folder, signals, say)
        run.prepare(record, callbacks)
        try:
            run.go()
        except KeyboardInterrupt:
            run.save("interrupted", "stopped by a signal")
            say(f"saved at step {run.position.step:,}; the same command continues")
            raise
        except BaseException as error:
            run.write_status("failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            run.close()
    return run_folder.read_run(folder)


class _Run:
    """One training under way."""

    def __init__(
        self,
        config: RunConfig,
        source: Source,
        folder: Path,
        signals: Postponed,
        say: Say,
    ) -> None:
        self.config, self.source, self.folder = config, source, folder
        self.signals, self.say = signals, say
        self.position = state.Position()
        self.class_names = source.manifest.class_names
        self.batches = Batches(
            source,
            image_size=config.data.image_size,
            batch_size=config.data.batch_size,
            resize=config.data.resize,
        )
        self.train_ids = source.split_ids("train", config.data.train_examples)
        self.val_ids = source.split_ids("validation")
        self.steps_per_epoch = math.ceil(len(self.train_ids) / config.data.batch_size)
        self.precision = precision.resolve_precision(
            config.model.precision, config.model.model
        )
        self.events: events.EventWriters | None = None
        self.measured: list[float] = []
        self.advised = False

    # Preparing

    def prepare(self, record: RunRecord | None, callbacks: Sequence[Any]) -> None:
        """Build the model, restore its state, open the files."""
        config = self.config
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision[0])
        try:
            self.model = models.build_model(
                config.model,
                config.data.image_size,
                len(self.class_names),
                config.run.seed,
            )
        finally:
            keras.config.set_dtype_policy(policy)
        self.optimizer = models.build_optimizer(config.optimizer)
        self.optimizer.build(self.model.trainable_variables)
        self.model.compile(
            optimizer=self.optimizer,
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        self.variables = [*self.model.variables, *self.optimizer.variables]
        self.stopping = stopping.build_early_stopping(config.stopping)
        own = [self.stopping] if self.stopping else []
        self.callbacks = keras.callbacks.CallbackList(
            [*own, *callbacks], model=self.model
        )
        facts = provenance.collect_facts(
            config,
            self.source.manifest,
            self.model,
            self.precision,
            len(self.train_ids),
            self.steps_per_epoch,
        )
        if record is None:
            self._begin(facts)
        else:
            run_folder.refuse_differences(
                record,
                {name: record.facts[name] for name in provenance.FIXED},
                {name: facts[name] for name in provenance.FIXED},
            )
            self._restore()
        self.session_start = time.monotonic() - self.position.wall_seconds
        self.events = events.EventWriters(self.folder)
        self._announce(facts)
        self.write_status("running", "")

    def _begin(self, facts: dict[str, Any]) -> None:
        files.check_free_space(self.folder, state.disk_bytes(self.variables))
        run_folder.clear(self.folder)
        lines: list[str] = []
        self.model.summary(print_fn=lines.append)
        summary = "\n".join(lines) + "\n"
        files.write_bytes(self.folder / run_folder.SUMMARY, summary.encode())
        export.describe_export(
            self.folder / run_folder.EXPORT, self.class_names, self.config.data.resize
        )
        # The status first: a folder with a config has a status.
        self.write_status("running", "")
        files.write_json(self.folder / run_folder.CONFIG, facts)

    def _restore(self) -> None:
        self.position, damaged = state.load_state(
            self.folder / run_folder.CHECKPOINT, self.variables
        )
        for name in damaged:
            self.say(f"damaged, the checkpoint before is used: {name}")
        for name in (run_folder.METRICS, run_folder.STEPS):
            path = self.folder / name
            if path.exists():
                os.truncate(path, getattr(self.position, f"{path.stem}_bytes"))

    def _announce(self, facts: dict[str, Any]) -> None:
        config, say = self.config, self.say
        say(f"run {self.folder}")
        lines = promise.describe_run(
            config,
            num_parameters=facts["num_parameters"],
            train_examples=len(self.train_ids),
            validation_examples=len(self.val_ids),
            steps_per_epoch=self.steps_per_epoch,
        )
        lines += [f"shortened: {brand}" for brand in facts["shortened"]]
        lines.append(f"{self.precision[0]} ({self.precision[1]}) on {facts['device']}")
        lines.append(
            "early stopping: "
            + stopping.describe_early_stopping(config.stopping, config.run.epochs)
        )
        if self.position.step:
            lines.append(
                f"continues in epoch {self.position.epoch + 1} at step "
                f"{self.position.step:,}"
            )
        for line in lines:
            say(f"  {line}")

    # Training

    def go(self) -> None:
        """Train until the budget, early stopping or divergence ends the run."""
        self.model.stop_training = False
        self.callbacks.on_train_begin()
        stopping.set_state(self.stopping, self.position.stopping)
        status = "done"
        while self.position.epoch < self.config.run.epochs:
            if not self._train_epoch():
                status = "diverged"
                break
            self._finish_epoch()
            if self.model.stop_training:
                status = "stopped_early"
                break
            if self._is_cut():
                break
        self.callbacks.on_train_end()
        if status != "diverged":
            export.save_model(self.model, self.folder / run_folder.LAST_MODEL)
        reason = {
            "done": "",
            "stopped_early": "EarlyStopping",
            "diverged": f"loss is not finite at step {self.position.step:,}",
        }[status]
        self.write_status(status, reason)
        self._conclude(status, reason)

    def _is_cut(self) -> bool:
        limit = self.config.run.max_steps
        return bool(limit) and self.position.step >= limit

    def _train_epoch(self) -> bool:
        """Train to the end of the epoch; False where the loss is not finite."""
        position, config = self.position, self.config
        steps = self.steps_per_epoch
        dataset = self.batches.epoch_dataset(
            self.train_ids,
            seed=config.run.seed,
            epoch=position.epoch,
            start_step=position.epoch_step,
        )
        if position.epoch_step == 0:
            self.callbacks.on_epoch_begin(position.epoch)
        saved = time.monotonic()
        interval = config.run.checkpoint_minutes * 60
        label = f"epoch {position.epoch + 1}/{config.run.epochs}"
        with Progress(label, steps - position.epoch_step, "steps") as progress:
            batches = iter(dataset)
            while position.epoch_step < steps and not self._is_cut():
                start = time.monotonic()
                try:
                    pictures, labels = next(batches)
                except tf.errors.OpError:
                    self.source.store.raise_fault()
                    raise
                logs = self._train_step(pictures, labels)
                seconds = time.monotonic() - start
                position.train_seconds += seconds
                if not math.isfinite(logs["loss"]):
                    return False
                self._promise(seconds)
                progress.advance(
                    note=f"loss {position.loss_sum / position.num_examples:.4f} "
                    f"accuracy {position.num_correct / position.num_examples:.4f}"
                )
                self.signals.raise_received()
                if interval and time.monotonic() - saved >= interval:
                    self.save("running", "")
                    saved = time.monotonic()
        return True

    def _train_step(self, pictures: Any, labels: Any) -> dict[str, float]:
        position = self.position
        rate = float(self.optimizer.learning_rate)
        self.callbacks.on_train_batch_begin(position.epoch_step)
        logs = self.model.train_on_batch(pictures, labels, return_dict=True)
        count = int(labels.shape[0])
        position.step += 1
        position.epoch_step += 1
        position.loss_sum += float(logs["loss"]) * count
        position.num_correct += round(float(logs["accuracy"]) * count)
        position.num_examples += count
        line = {
            "step": position.step,
            "epoch": position.epoch + 1,
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]),
            "learning_rate": rate,
        }
        files.append_json_line(self.folder / run_folder.STEPS, line)
        if self.events:
            self.events.write_step(line)
        self.callbacks.on_train_batch_end(position.epoch_step - 1, dict(logs))
        return line

    def _promise(self, seconds: float) -> None:
        """After five steps say how long the rest takes; the first two warm up."""
        self.measured.append(seconds)
        if len(self.measured) != 5:
            return
        position, run = self.position, self.config.run
        steps = run.epochs * self.steps_per_epoch - position.step
        evaluations = run.epochs - position.epoch
        if run.max_steps:
            steps = min(steps, run.max_steps - position.step)
            evaluations = min(evaluations, math.ceil(steps / self.steps_per_epoch))
        plan = promise.Plan(
            steps=steps,
            evaluations=max(evaluations, 1),
            epochs=run.epochs,
            validation_steps=math.ceil(len(self.val_ids) / self.config.data.batch_size),
            command=provenance.command(self.config),
        )
        typical = float(np.median(self.measured[2:]))
        for line in promise.describe_time(plan, typical, datetime.datetime.now()):
            self.say(line)

    def _finish_epoch(self) -> None:
        """Evaluate, write the epoch's line, save."""
        position, config = self.position, self.config
        start = time.monotonic()
        try:
            evaluation = measure.evaluate(
                self.model,
                self.batches.dataset(self.val_ids),
                self.signals.raise_received,
            )
        except tf.errors.OpError:
            self.source.store.raise_fault()
            raise
        eval_seconds = time.monotonic() - start
        measure.save_predictions(
            self.folder / run_folder.PREDICTIONS / f"step-{position.step}.npz",
            self.val_ids,
            evaluation,
        )
        ids = order.epoch_order(self.train_ids, config.run.seed, position.epoch)
        part = position.epoch_step / self.steps_per_epoch
        line = {
            "epoch": position.epoch + (1 if part == 1 else round(part, 4)),
            "step": position.step,
            "kind": "full",
            "loss": position.loss_sum / position.num_examples,
            "accuracy": position.num_correct / position.num_examples,
            "val_loss": evaluation.loss,
            "val_accuracy": evaluation.accuracy,
            "predicted_shares": evaluation.predicted_shares,
            "learning_rate": float(self.optimizer.learning_rate),
            "order_fingerprint": order.order_fingerprint(ids[: position.num_examples]),
            "train_seconds": position.train_seconds,
            "eval_seconds": eval_seconds,
            "wall_seconds": time.monotonic() - self.session_start,
        }
        files.append_json_line(self.folder / run_folder.METRICS, line)
        if self.events:
            self.events.write_evaluation(line)
        self.say(
            f"epoch {position.epoch + 1}/{config.run.epochs}: "
            f"loss {line['loss']:.4f} accuracy {line['accuracy']:.4f}, "
            f"val_loss {line['val_loss']:.4f} val_accuracy {line['val_accuracy']:.4f}, "
            f"{format_seconds(position.train_seconds)} + "
            f"{format_seconds(eval_seconds)} evaluation"
        )
        self._say_collapse(measure.describe_collapse(evaluation, self.class_names))
        if evaluation.accuracy > position.best_val_accuracy:
            position.best_val_accuracy = evaluation.accuracy
            export.save_model(self.model, self.folder / run_folder.BEST_MODEL)
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        self.callbacks.on_epoch_end(
            position.epoch, {name: line[name] for name in names}
        )
        if part == 1:
            position.epoch += 1
            position.begin_epoch()
        self.save("running", "")
        self._draw()

    def _say_collapse(self, collapse: str) -> None:
        if not collapse:
            return
        self.say(f"  {collapse}")
        if not self.advised:
            self.advised = True
            optimizer = self.config.optimizer
            rates = catalog.suggest_rates(optimizer.optimizer, optimizer.learning_rate)
            flags = " or ".join(f"--learning_rate={rate:g}" for rate in rates)
            self.say(
                "  some runs leave this state after more epochs; if this one does not, "
                f"try {flags}"
            )

    # Keeping

    def save(self, status: str, reason: str) -> None:
        """Write a checkpoint and the status."""
        position = self.position
        position.wall_seconds = time.monotonic() - self.session_start
        position.stopping = stopping.get_state(self.stopping)
        for name in (run_folder.METRICS, run_folder.STEPS):
            path = self.folder / name
            size = path.stat().st_size if path.exists() else 0
            setattr(position, f"{path.stem}_bytes", size)
        state.save_state(self.folder / run_folder.CHECKPOINT, self.variables, position)
        self.write_status(status, reason)

    def write_status(self, status: str, reason: str) -> None:
        """Write status.json for where the run stands."""
        run_folder.write_status(
            self.folder,
            status,
            reason=reason,
            epoch=self.position.epoch,
            step=self.position.step,
            cut_by_max_steps=status == "done" and self._is_cut(),
        )

    def _draw(self) -> None:
        lines = files.read_json_lines(self.folder / run_folder.METRICS)
        counts = provenance.validation_class_counts(self.source.manifest)
        curves.draw_run(
            lines,
            self.folder / run_folder.PLOTS,
            self.folder.name,
            max(counts) / sum(counts),
        )

    def _conclude(self, status: str, reason: str) -> None:
        self.say(f"{status.replace('_', ' ')}{f' ({reason})' if reason else ''}")
        self.say(f"curves: {self.folder / run_folder.PLOTS}")
        self.say(
            f"TensorBoard: tensorboard --logdir {self.config.run.runs_dir}  "
            "(set Smoothing to 0)"
        )

    def close(self) -> None:
        """Close what `prepare` opened."""
        if self.events:
            self.events.close()
