"""Train one configuration into its run folder, exactly, and continue it.

from tfpipe import RunConfig, train
train(RunConfig.of(records_dir="records", optimizer="adam", image_size=64))
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpipe.base import files
from tfpipe.base.progress import Progress
from tfpipe.base.signals import postponed_signals
from tfpipe.data import order
from tfpipe.data.streaming.augment import Augmentation
from tfpipe.data.streaming.pipeline import Batches
from tfpipe.data.streaming.source import Source
from tfpipe.training import (
    building,
    devices,
    diagnostics,
    evaluations,
    moments,
    outcome,
    provenance,
    run_folder,
    state,
    stopping,
    updates,
    verdict,
)
from tfpipe.training.clocks import Clocks, as_fields
from tfpipe.training.config import RunConfig
from tfpipe.training.diagnostics import Diagnostics
from tfpipe.training.evaluations import Evaluator
from tfpipe.training.norms import EVERY, Norms
from tfpipe.training.position import Position
from tfpipe.training.record_checks import check_records
from tfpipe.training.run_folder import RunRecord
from tfpipe.training.telling import Reporter, Say
from tfpipe.training.writer import RunWriter


def train(
    config: RunConfig, *, callbacks: Sequence[Any] = (), say: Say = print
) -> RunRecord:
    """Train `config`, or continue where its run folder stands.

    Args:
        config: the run.
        callbacks: a person's own Keras callbacks; their hooks of training, epochs and
            train batches are called as `fit` calls them. Their state is not saved.
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
    clocks = Clocks()
    source = Source(
        config.data.records_dir,
        fetch=config.data.fetch,
        validation_split=config.data.validation_split,
        split_seed=config.data.split_seed,
    )
    check_records(config, source.manifest)
    folder = run_folder.run_folder(config)
    with run_folder.open_run_folder(folder):
        # Another process may have trained it between the first look and the lock.
        record = run_folder.find_run(config)
        if record is None or not record.is_finished(config.run.epochs):
            _Run(config, source, folder, say, clocks).train(record, callbacks)
    return run_folder.read_run(folder)


class _Run:
    """One training under way."""

    def __init__(
        self,
        config: RunConfig,
        source: Source,
        folder: Path,
        say: Say,
        clocks: Clocks,
    ) -> None:
        self.config, self.source = config, source
        self.clocks = clocks
        self.folder = folder
        self.reporter = Reporter(say, config, folder, source.manifest.class_names)
        self.train_ids = source.split_ids("train", config.data.train_examples)
        self.held_out = evaluations.held_out(source)
        self.val_ids = self.held_out["validation"]
        self.batches = Batches(
            source,
            image_size=config.data.image_size,
            batch_size=config.data.batch_size,
            resize=config.data.resize,
            augmentation=Augmentation(kinds=config.data.augment, seed=config.run.seed),
            # Who sees each picture once gains nothing by keeping it.
            cache="none" if self._sees_once() else config.data.cache,
            cached_ids=np.concatenate([self.train_ids, *self.held_out.values()]),
        )
        self.steps_per_epoch = math.ceil(len(self.train_ids) / config.data.batch_size)
        self.class_weights = updates.class_weights(
            config.optimizer.class_weight, source.splits["train"].class_counts
        )
        self.position = Position()
        self.compiled: set[int] = set()
        self.clock = verdict.Clock()
        self.diagnostics: Diagnostics | None = None

    def _num_steps(self) -> int:
        steps = self.config.run.epochs * self.steps_per_epoch
        return min(steps, self.config.run.max_steps or steps)

    def _sees_once(self) -> bool:
        return self.config.data.cache == "auto" and self.config.run.epochs == 1

    def train(self, record: RunRecord | None, callbacks: Sequence[Any]) -> None:
        """Prepare, train, and leave a status whatever happens."""
        self._build(callbacks)
        self._open(record)
        with postponed_signals() as signals:
            self.signals = signals
            try:
                self.evaluator = Evaluator(
                    self.model,
                    self.held_out,
                    self.batches,
                    self.train_ids,
                    self.folder,
                )
                self.reporter.set_costs(
                    steps_per_epoch=self.steps_per_epoch,
                    evaluation_steps=self.evaluator.num_batches("full"),
                    probe_steps=self.evaluator.num_batches("probe"),
                    diagnostic_seconds=self._prepare_diagnostics(),
                )
                self.clocks.switch("other")
                self._go()
            except KeyboardInterrupt:
                self._save("interrupted", "stopped by a signal")
                if self.position.ended:
                    raise
                self.reporter.report_save(self.position.step)
                raise
            except BaseException as error:
                reason = f"{type(error).__name__}: {error}"
                self.writer.write_status("failed", self.position, reason)
                self.writer.end_events("failed", len(self.val_ids))
                raise
            finally:
                self.writer.close()

    # Preparing

    def _prepare_diagnostics(self) -> float:
        """Build what measures noise and curvature where asked.

        Returns:
            about the seconds that it takes at each evaluation.
        """
        if self.config.run.diagnostics == "economy":
            return 0.0
        with self.batches.loader.faults_by_name():
            self.diagnostics = diagnostics.build_diagnostics(
                self.config,
                self.model,
                self.batches,
                self.train_ids,
                self.signals.raise_received,
            )
        seconds = self.diagnostics.estimate_seconds()
        self.reporter.report_diagnostics(seconds, self.diagnostics.lanczos_bytes())
        return seconds

    def _seconds_before(self, record: RunRecord) -> dict[str, float]:
        """Return what earlier sessions took, with what came behind the checkpoint."""
        at_end = record.status.get("seconds")
        if not at_end or record.status["step"] != self.position.step:
            return self.position.seconds
        return {part: at_end[f"{part}_seconds"] for part in self.position.seconds}

    def _build(self, callbacks: Sequence[Any]) -> None:
        config = self.config
        built = building.build(config, self.source.num_classes, self._num_steps())
        self.model, self.optimizer = built.model, built.optimizer
        self.precision = built.precision
        every = EVERY[config.run.diagnostics]
        self.norms = Norms(self.optimizer, self.model.trainable_variables, every)
        self.stopping = stopping.build_early_stopping(config.stopping)
        self.plateau = stopping.build_plateau(config.optimizer)
        own = [rule for rule in (self.plateau, self.stopping) if rule]
        self.callbacks = keras.callbacks.CallbackList(
            [*own, *callbacks], model=self.model
        )
        counts = self.source.splits["validation"].class_counts
        self.writer = RunWriter(
            self.folder,
            self.model,
            built.variables,
            max(counts) / sum(counts),
        )

    def _open(self, record: RunRecord | None) -> None:
        facts = provenance.collect_facts(
            self.config,
            self.source,
            self.model,
            self.precision,
            len(self.train_ids),
            self.steps_per_epoch,
        )
        if record is None:
            self.position = self.writer.begin(
                facts, self.config.data.resize, self.source.storing.facts
            )
        else:
            fixed = provenance.FIXED
            theirs = {name: record.facts.get(name) for name in fixed}
            ours = {name: facts[name] for name in fixed}
            run_folder.refuse_differences(record, theirs, ours)
            self.position, damaged, lost = self.writer.take_up(record)
            self.clocks.go_on(self._seconds_before(record))
            self.reporter.report_damage(damaged)
            facts = provenance.add_session(
                record.facts, facts, self.position.step, lost
            )
            files.write_json(self.folder / run_folder.CONFIG, facts)
        self.facts = facts
        self.reporter.report_start(
            facts,
            len(self.val_ids),
            self.source.storing.image_size,
            self.position.step,
        )

    # Training

    def _go(self) -> None:
        """Train until the budget, early stopping or divergence ends the run."""
        position = self.position
        self.writer.write_status("running", position)
        with self.clocks.running("log"):
            self.writer.open_events(self.config, self.facts)
        self.model.stop_training = False
        with self.clocks.running("callbacks"):
            self.callbacks.on_train_begin()
        stopping.set_state(self.stopping, position.stopping)
        stopping.set_state(self.plateau, position.plateau)
        while not position.ended and position.epoch < self.config.run.epochs:
            self._train_epoch()
            if not position.ended:
                self._finish_epoch()
        with self.clocks.running("callbacks"):
            self.callbacks.on_train_end()
        status = position.ended or "done"
        with self.clocks.running("log"):
            self.writer.draw(is_last=True)
            self.writer.end_events(status, len(self.val_ids))
        if status != "diverged" and "last" in self.config.run.keep:
            self._save_model(run_folder.LAST_MODEL)
        is_cut = status == "done" and self._is_cut()
        pace = self._judge_pace()
        self.writer.write_status(
            status,
            position,
            position.reason,
            is_cut=is_cut,
            pace=pace,
            seconds=self.clocks.fields(),
        )
        summary = outcome.describe(
            self.writer.full_lines(),
            self.writer.majority,
            len(self.val_ids),
            start_loss=self.writer.start_loss(),
            budget=self.config.run.epochs,
            seconds=self.clocks.read(),
        )
        self.reporter.report_end(status, position.reason, summary)

    def _judge_pace(self) -> dict[str, float]:
        """Return the numbers of what set the pace of this session's training."""
        if self.clock.num_steps < verdict.LEAST_STEPS:
            return {}
        epoch = self.batches.epoch_dataset(
            self.train_ids, seed=self.config.run.seed, epoch=0
        )
        try:
            with self.batches.loader.faults_by_name():
                pace = verdict.judge(self.clock, verdict.measure_input(epoch))
        except Exception as error:  # of a picture that this run didn't need
            self.reporter.report_unknown_pace(error)
            return {}
        if pace:
            self.reporter.report_pace(pace, self.batches.faster_input())
        return pace

    def _is_cut(self) -> bool:
        limit = self.config.run.max_steps
        return bool(limit) and self.position.step >= limit

    def _train_epoch(self) -> None:
        """Train to the end of the epoch, or until something ends the run."""
        position, config = self.position, self.config
        ids = order.epoch_order(self.train_ids, config.run.seed, position.epoch)
        size = config.data.batch_size
        with self.clocks.running("train"):
            batches = iter(
                self.batches.epoch_dataset(
                    self.train_ids,
                    seed=config.run.seed,
                    epoch=position.epoch,
                    start_step=position.epoch_step,
                    with_ids=True,
                )
            )
        if position.epoch_step == 0:
            with self.clocks.running("callbacks"):
                self.callbacks.on_epoch_begin(position.epoch)
        saved = time.monotonic()
        interval = config.run.checkpoint_minutes * 60
        label = f"epoch {position.epoch + 1}/{config.run.epochs}"
        left = self.steps_per_epoch - position.epoch_step
        if config.run.max_steps:
            left = min(left, config.run.max_steps - position.step)
        with Progress(label, left, "steps") as progress:
            while position.epoch_step < self.steps_per_epoch and not self._is_cut():
                self._probe(progress)
                self.clocks.switch("train")
                start = time.monotonic()
                with self.batches.loader.faults_by_name():
                    pictures, labels, delivered = next(batches)
                waited = time.monotonic() - start
                if len(delivered) not in self.compiled:  # an epoch's end is smaller
                    self.compiled.add(len(delivered))
                    self.clocks.switch("first_step")
                first = position.epoch_step * size
                order.check_delivered(delivered, ids[first : first + size])
                self._train_step(pictures, labels)
                seconds = time.monotonic() - start
                self.clocks.switch("other")
                self.clock.add(len(delivered), waited, seconds - waited)
                if position.ended:
                    return
                self.reporter.count_step(seconds, position)
                progress.advance(
                    note=self.reporter.describe_progress(position, self.clock)
                )
                self.signals.raise_received()
                if self.model.stop_training:
                    return
                if interval and time.monotonic() - saved >= interval:
                    self._save("running")
                    if position.ended:
                        return
                    saved = time.monotonic()

    def _probe(self, progress: Progress) -> None:
        """Take a quick look where one is due; an epoch's end has a full evaluation."""
        position = self.position
        if position.step not in moments.PROBE_STEPS:
            return
        if position.evaluated_step == position.step:
            return

        def after_batch() -> None:
            self.signals.raise_received()
            progress.advance(0, note=f"probe at step {position.step:,}")

        with self.clocks.running("eval"):
            found = self.evaluator.probe(after_batch)
        self._write_evaluation(found)

    def _train_step(self, pictures: Any, labels: Any) -> None:
        """Train on one batch, write its line, and see whether it stayed finite."""
        position, clocks = self.position, self.clocks
        rate = float(self.optimizer.learning_rate)
        with clocks.running("callbacks"):
            self.callbacks.on_train_batch_begin(position.epoch_step)
        with clocks.running("diagnostics"):
            self.norms.begin_step(position.step + 1)
        logs = self.model.train_on_batch(
            *map(devices.as_input, (pictures, labels)),
            class_weight=self.class_weights,
            return_dict=True,
        )
        with clocks.running("diagnostics"):
            is_finite, norms = self.norms.end_step()
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        count = int(labels.shape[0])
        position.step += 1
        position.epoch_step += 1
        position.loss_sum += loss * count
        position.num_correct += round(accuracy * count)
        position.num_examples += count
        with clocks.running("log"):
            self.writer.write_step(
                {
                    "step": position.step,
                    "epoch": position.epoch + 1,
                    "loss": loss,
                    "accuracy": accuracy,
                    "learning_rate": rate,
                    **norms,
                }
            )
        with clocks.running("callbacks"):
            self.callbacks.on_train_batch_end(position.epoch_step - 1, dict(logs))
        if not math.isfinite(loss):
            self._diverge("loss")
        elif not is_finite:
            self._diverge("gradient")

    def _finish_epoch(self) -> None:
        """Evaluate, write the epoch's line, save."""
        position = self.position
        batches = self.evaluator.num_batches("full")
        with (
            self.clocks.running("eval"),
            Progress("evaluation", batches, "batches") as progress,
        ):

            def after_batch() -> None:
                self.signals.raise_received()
                progress.advance()

            evaluation, found = self.evaluator.full(position.step, after_batch)
        if not math.isfinite(evaluation.loss):
            self._diverge("val_loss")
            return
        if self.diagnostics:
            update = self.norms.last_update or self.writer.load_update(position.step)
            with self.clocks.running("diagnostics"):
                found |= self.diagnostics.measure(update)
        line = self._write_evaluation(found)
        updates_taken = position.step // (
            self.optimizer.gradient_accumulation_steps or 1
        )
        self.reporter.report_evaluation(line, evaluation, position, updates_taken)
        if evaluation.accuracy > position.best_val_accuracy:
            position.best_val_accuracy = evaluation.accuracy
            if "best" in self.config.run.keep:
                self._save_model(run_folder.BEST_MODEL)
        logs = {name: line[name] for name in ("loss", "accuracy")}
        logs |= {f"val_{name}": value for name, value in evaluation.metrics.items()}
        with self.clocks.running("callbacks"):
            self.callbacks.on_epoch_end(position.epoch, logs)
        if position.epoch_step == self.steps_per_epoch:
            position.epoch += 1
            position.begin_epoch(self.clocks.read())
        if self.model.stop_training:
            by_rule = self.stopping and self.stopping.wait >= self.stopping.patience
            self._end("stopped_early", "EarlyStopping" if by_rule else "a callback")
        elif self._is_cut():
            self._end("done", "max_steps")
        self._save("running")
        with self.clocks.running("log"):
            self.writer.draw()

    def _end(self, status: str, reason: str) -> None:
        self.position.ended, self.position.reason = status, reason

    def _diverge(self, what: str) -> None:
        """End a run; its last checkpoint, which was finite, stays."""
        self._end("diverged", f"{what} is not finite at step {self.position.step}")

    def _save_model(self, name: str) -> None:
        with (
            self.clocks.running("save"),
            updates.averaged_weights(self.model, self.optimizer),
        ):
            self.writer.save_model(name)

    def _write_evaluation(self, found: dict[str, Any]) -> dict[str, Any]:
        """Write a line of metrics.jsonl; `epoch` has a fraction inside of one."""
        position, seed = self.position, self.config.run.seed
        part = position.epoch_step / self.steps_per_epoch
        line = {
            "epoch": position.epoch + (1 if part == 1 else round(part, 4)),
            "step": position.step,
            **found,
            "learning_rate": float(self.optimizer.learning_rate),
        }
        if found["kind"] == "full":
            ids = order.epoch_order(self.train_ids, seed, position.epoch)
            line |= {
                "loss": position.loss_sum / position.num_examples,
                "accuracy": position.num_correct / position.num_examples,
                # Every batch was checked against these ids when it was delivered.
                "order_fingerprint": order.order_fingerprint(
                    ids[: position.num_examples],
                    self.batches.epoch_seed(position.epoch),
                ),
            }
        line |= self.clocks.fields()
        with self.clocks.running("log"):
            self.writer.write_evaluation(line)
        position.evaluated_step = position.step
        return line

    def _save(self, status: str, reason: str = "") -> None:
        """Save the state, but for one that isn't finite: the one before stays."""
        position = self.position
        with self.clocks.running("save"):
            if not state.are_finite(self.writer.variables):
                self._diverge("the state")
                self.writer.write_status(position.ended, position, position.reason)
                return
            position.stopping = stopping.get_state(self.stopping)
            position.plateau = stopping.get_state(self.plateau)
            position.seconds = self.clocks.read()
            self.writer.save_state(position)
            if self.diagnostics and position.epoch_step:
                # An evaluation may come next, of the step that was taken before.
                self.writer.save_update(position.step, self.norms.last_update)
            # Of the checkpoint, so that a session that goes on from it adds to these.
            is_over = status == "interrupted"
            self.writer.write_status(
                status,
                position,
                reason,
                seconds=as_fields(position.seconds) if is_over else None,
            )
