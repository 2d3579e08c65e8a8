"""What a run tells people: how it begins, how it goes, how it ended."""

import datetime
import functools
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tfpipe.base.progress import format_seconds
from tfpipe.training import (
    catalog,
    measure,
    promise,
    run_folder,
    schedules,
    verdict,
)
from tfpipe.training.config import OptimizerConfig, RunConfig
from tfpipe.training.measure import Evaluation
from tfpipe.training.position import Position
from tfpipe.training.surface import describe_surface

Say = Callable[[str], None]
LOGGED = ("loss", "accuracy", "val_loss", "val_accuracy")
WARM_UP_STEPS, MEASURED_STEPS = 2, 5
"""Steps that compile and fill buffers, and those that a promise waits for."""


class Reporter:
    """The lines and progress notes of one run.

    Args:
        say: takes the lines.
        config: the run.
        folder: its run folder.
        class_names: of its records, by label.
    """

    def __init__(
        self, say: Say, config: RunConfig, folder: Path, class_names: tuple[str, ...]
    ) -> None:
        self._say, self._config, self._folder = say, config, folder
        self._class_names = class_names
        self._plan: Callable[[Position], promise.Plan]
        self._step_seconds: list[float] = []
        self._advised: set[bool] = set()

    def report_damage(self, names: Iterable[str]) -> None:
        """Name the checkpoints that are passed over."""
        for name in names:
            self._say(f"damaged, the checkpoint before is used: {name}")

    def report_start(
        self,
        facts: dict[str, Any],
        validation_examples: int,
        stored_size: int,
        step: int,
    ) -> None:
        """Say what will be trained, see `promise.describe_run`, and from which step."""
        self._say(f"run {self._folder}")
        for line in promise.describe_run(
            self._config, facts, validation_examples, stored_size
        ):
            self._say(f"  {line}")
        if step:
            self._say(f"  goes on after step {step:,}")

    def report_diagnostics(self, seconds: float, num_bytes: int) -> None:
        """Say what diagnostics cost at each evaluation."""
        memory = num_bytes / 1e9
        self._say(
            f"  diagnostics: about {format_seconds(seconds)} at each "
            f"evaluation{f' and {memory:.1f} GB of memory' if memory else ''}"
        )

    def set_costs(
        self,
        *,
        steps_per_epoch: int,
        evaluation_steps: int,
        probe_steps: int,
        diagnostic_seconds: float,
    ) -> None:
        """Take what a promise is made of, see `promise.plan_rest`."""
        self._plan = functools.partial(
            promise.plan_rest,
            self._config,
            steps_per_epoch=steps_per_epoch,
            evaluation_steps=evaluation_steps,
            probe_steps=probe_steps,
            diagnostic_seconds=diagnostic_seconds,
        )

    def count_step(self, seconds: float, position: Position) -> None:
        """After five steps say how long the rest takes; the first two warm up."""
        measured = self._step_seconds
        if len(measured) == MEASURED_STEPS:
            return
        measured.append(seconds)
        if len(measured) == MEASURED_STEPS:
            typical = statistics.median(measured[WARM_UP_STEPS:])
            for line in promise.describe_time(
                self._plan(position), typical, datetime.datetime.now()
            ):
                self._say(line)

    def describe_progress(self, position: Position, clock: verdict.Clock) -> str:
        """Return how the epoch goes, how fast, and when the run will have ended."""
        note = (
            f"loss {position.loss_sum / position.num_examples:.4f} "
            f"accuracy {position.num_correct / position.num_examples:.4f}"
        )
        if not clock.num_examples:
            return note
        rate = clock.rate
        seconds = promise.time_left(
            self._plan(position), self._config.data.batch_size / rate
        )
        end = promise.format_end(datetime.datetime.now(), seconds)
        return f"{note}, {rate:,.3g} images/s, run until {end}"

    def report_evaluation(
        self,
        line: dict[str, Any],
        evaluation: Evaluation,
        position: Position,
        num_updates: int,
    ) -> None:
        """Say what an epoch brought, and what to do where it collapsed.

        Args:
            line: of metrics.jsonl.
            evaluation: of all of validation.
            position: at the end of the epoch, before the next begins.
            num_updates: until then; a schedule counts them.
        """
        began = position.epoch_began_seconds
        numbers = [f"{name} {line[name]:.4f}" for name in LOGGED]
        train, evaluating = (
            format_seconds(line[f"{part}_seconds"] - began.get(part, 0.0))
            for part in ("train", "eval")
        )
        self._say(
            f"epoch {position.epoch + 1}/{self._config.run.epochs}: "
            f"{', '.join(numbers)}, {train} + {evaluating} evaluation"
        )
        surface = describe_surface(line)
        if surface:
            self._say(f"  {surface}")
        collapse = measure.describe_collapse(evaluation, self._class_names)
        if not collapse:
            return
        rule, applied = self._config.optimizer, line["learning_rate"]
        # Each kind of advice once: what a warm-up hid shows when it is over.
        kind = is_held_down(rule, applied, num_updates)
        if kind in self._advised:
            self._say(f"  {collapse.partition(':')[0]}, as before")
            return
        self._advised.add(kind)
        self._say(f"  {collapse}")
        self._say(f"  {advise(rule, applied, num_updates)}")

    def report_save(self, step: int) -> None:
        """Say that an interrupted run can go on."""
        self._say(f"saved at step {step:,}; the same command goes on")

    def report_pace(self, pace: dict[str, float], advice: str) -> None:
        """Say what set the pace of training, see `verdict.describe`."""
        self._say(verdict.describe(pace, advice))

    def report_unknown_pace(self, error: Exception) -> None:
        """Say why it isn't known."""
        self._say(f"how fast the input is couldn't be measured: {error}")

    def report_end(self, status: str, reason: str, summary: Iterable[str]) -> None:
        """Say how the run ended, what came of it, and where to look at it.

        Args:
            status, reason: as in status.json.
            summary: of `outcome.describe`.
        """
        why = f" ({reason})" if reason else ""
        self._say(f"{status.replace('_', ' ')}{why}")
        for line in summary:
            self._say(f"  {line}")
        self._say(f"curves: {self._folder / run_folder.PLOTS}")
        command = promise.tensorboard_command(self._config.run.runs_dir)
        self._say(f"TensorBoard: {command}")


def is_held_down(rule: OptimizerConfig, applied: float, num_updates: int) -> bool:
    """Tell whether a schedule keeps a rate below half of the one configured.

    Args:
        rule: the optimizer's settings.
        applied: the learning rate of the next update.
        num_updates: taken until then.
    """
    if applied >= rule.learning_rate / 2 or rule.schedule == "constant":
        return False
    # By itself the default of --decay takes a million updates for it.
    return rule.schedule != schedules.DEFAULT or rule.decay * num_updates > 1


def advise(rule: OptimizerConfig, applied: float, num_updates: int) -> str:
    """Say what to change where a run has collapsed; arguments as `is_held_down`."""
    if not is_held_down(rule, applied, num_updates):
        return catalog.advise_rate(rule.optimizer, rule.learning_rate)
    given = schedules.parse_args(rule.schedule, rule.schedule_args)
    warm_up = given.get("warmup_steps", 0)
    if num_updates < warm_up:
        return (
            f"the warm-up holds the learning rate at {applied:.3g} here, below "
            f"{rule.learning_rate:g}: give a smaller warmup_steps in --schedule_args, "
            f"or train on past update {warm_up:,}"
        )
    moved = f"from {rule.learning_rate:g} down to {applied:.3g} here"
    if rule.schedule == schedules.DEFAULT:
        return (
            f"decay has brought the learning rate {moved}: give a smaller --decay than "
            f"{rule.decay:g}"
        )
    return (
        f"schedule {rule.schedule} has brought the learning rate {moved}: give other "
        "--schedule_args, or --schedule=constant"
    )
