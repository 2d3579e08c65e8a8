"""Say what a run will do and when it ends, before it takes hours."""

import dataclasses
import datetime
import math
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import settings
from tfpipe.base.progress import format_seconds
from tfpipe.training import catalog, moments, schedules
from tfpipe.training.config import RunConfig, StoppingConfig, can_stop
from tfpipe.training.optimizers import OPTIMIZERS, describe_row
from tfpipe.training.position import Position

LONG_SECONDS = 30 * 60
SHORT_SECONDS = 10 * 60
# A forward pass costs about a third of a training step; used until one was measured.
EVALUATION_SHARE = 1 / 3


def train_command(config: RunConfig, always: Collection[str] = ()) -> str:
    """Return the command line that makes or continues a run.

    Args:
        config: the run.
        always: settings that are named even where they are the defaults.
    """
    flags = settings.to_flags(config.replace(overwrite=False), always)
    return shlex.join(["python", "-m", "tfpipe.train", *flags])


def tensorboard_command(logdir: str) -> str:
    """Return the command that shows curves, runnable as it is, and what to set."""
    command = "tensorboard"
    if shutil.which(command) is None:
        # A virtual environment that isn't activated has it beside its Python.
        beside = Path(sys.executable).with_name(command)
        here = beside.is_relative_to(Path.cwd())
        command = str(beside.relative_to(Path.cwd()) if here else beside)
    return f"{shlex.join([command, '--logdir', logdir])}  (there, set Smoothing to 0)"


def describe_run(
    config: RunConfig,
    facts: dict[str, Any],
    validation_examples: int,
    stored_size: int = 0,
) -> list[str]:
    """Return the lines that say what will be trained.

    Args:
        config: the run.
        facts: config.json's.
        validation_examples: pictures of validation.
        stored_size: the side of the records' squares; 0 where pictures have their own.
    """
    data, optimizer, run = config.data, config.optimizer, config.run
    rate = catalog.describe_rate(optimizer.optimizer, optimizer.learning_rate)
    num_updates = run.epochs * int(facts["steps_per_epoch"])
    lines = [
        f"{config.model.model}, {facts['num_parameters']:,} parameters, "
        f"{data.image_size} x {data.image_size} pixels, weights {config.model.weights}",
        f"{optimizer.optimizer}{_in_brackets(optimizer.optimizer_args)}, learning rate "
        f"{rate}, {describe_schedule(config, num_updates)}",
        f"{facts['train_examples']:,} train and {validation_examples:,} validation "
        f"pictures, {facts['steps_per_epoch']:,} steps of {data.batch_size} an epoch, "
        f"{run.epochs} epoch{'s' * (run.epochs > 1)}, seed {run.seed}",
    ]
    if optimizer.optimizer in OPTIMIZERS:
        note = describe_row(optimizer.optimizer)
        lines += [f"{optimizer.optimizer}: {note}"] * bool(note)
    if "use_ema=true" in optimizer.optimizer_args:
        lines.append("evaluations and saved models are of the averaged weights")
    if optimizer.class_weight != "none":
        lines.append("the train loss weighs all classes the same; val_loss doesn't")
    if 0 < stored_size < data.image_size:
        lines.append(
            f"the records' pictures of {stored_size} pixels are enlarged: "
            f"--image_size={stored_size} shows as much and trains faster"
        )
    lines += [f"shortened: {brand}" for brand in facts["shortened"]]
    lines.append(
        f"{facts['precision']} ({facts['precision_reason']}) on {facts['device']}"
    )
    lines.append(f"early stopping: {describe_early_stopping(config)}")
    return lines


def _in_brackets(arguments: Sequence[str]) -> str:
    return f" ({', '.join(arguments)})" if arguments else ""


def describe_schedule(config: RunConfig, num_updates: int) -> str:
    """Say in a few words how the learning rate of a run changes, and if it can."""
    rule = config.optimizer
    if rule.schedule == schedules.DEFAULT:
        return f"decay {rule.decay:g}"
    text = f"{rule.schedule}{_in_brackets(rule.schedule_args)}"
    given = schedules.parse_args(rule.schedule, rule.schedule_args)
    epochs = config.run.epochs
    # The first epoch is the best so far; what is reduced acts on the epoch after.
    if rule.schedule == "plateau" and given.get("patience", 10) > epochs - 2:
        text += f"; it cannot act in a run of {epochs} epoch{'s' * (epochs > 1)}"
    warm_up, decay = given.get("warmup_steps", 0), given.get("decay_steps", 0)
    if warm_up >= num_updates:
        text += f"; its warm-up doesn't end in the run's {num_updates:,} updates"
    is_over = decay and warm_up + decay < num_updates and not given.get("cycle")
    if rule.schedule in schedules.TO_THE_END and is_over:
        last = f"{warm_up + decay:,} of {num_updates:,}"
        text += f"; it ends at update {last}, and its last rate stays"
    return text


def describe_early_stopping(config: RunConfig) -> str:
    """Say in one line what early stopping can do in a run."""
    rule, epochs = config.stopping, config.run.epochs
    if rule.early_stopping == "off":
        default = StoppingConfig(early_stopping="off")
        idle = [
            name
            for name, value in dataclasses.asdict(rule).items()
            if value != getattr(default, name)
        ]
        return f"off; {' and '.join(idle)} can't act" if idle else "off"
    whose = "Keras 2's" if rule.early_stopping == "keras2" else "Keras's"
    line = (
        f"{whose}, on {rule.monitor} with baseline {rule.baseline:g} and patience "
        f"{rule.patience}"
    )
    if not can_stop(config):
        line += f"; it cannot stop a run of {epochs} epoch{'s' * (epochs > 1)}"
    return line


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The work left in a run."""

    config: RunConfig
    steps: int
    """Training steps left."""
    evaluations: int
    """Evaluations left."""
    evaluation_steps: int
    """Batches an evaluation."""
    probe_steps: int
    """Batches of all probes left."""
    epochs_done: int
    """Epochs completed."""
    diagnostic_seconds: float
    """Of diagnostics at each evaluation."""


def plan_rest(
    config: RunConfig,
    position: Position,
    *,
    steps_per_epoch: int,
    evaluation_steps: int,
    probe_steps: int,
    diagnostic_seconds: float = 0.0,
) -> Plan:
    """Return the work left at `position`.

    Args:
        config: the run.
        position: where it stands.
        steps_per_epoch: batches an epoch.
        evaluation_steps, probe_steps: batches of a full evaluation, and of a probe.
        diagnostic_seconds: what diagnostics take at each evaluation.
    """
    limit = config.run.epochs * steps_per_epoch
    if config.run.max_steps:
        limit = min(limit, config.run.max_steps)
    return Plan(
        config=config,
        steps=limit - position.step,
        evaluations=math.ceil(limit / steps_per_epoch) - position.epoch,
        evaluation_steps=evaluation_steps,
        probe_steps=probe_steps
        * moments.num_probes(position.step + 1, limit, steps_per_epoch),
        epochs_done=position.epoch,
        diagnostic_seconds=diagnostic_seconds,
    )


def time_left(plan: Plan, step_seconds: float) -> float:
    """Return the seconds that the plan takes at `step_seconds` a step."""
    batches = plan.evaluations * plan.evaluation_steps + plan.probe_steps
    seconds = (plan.steps + batches * EVALUATION_SHARE) * step_seconds
    return seconds + plan.evaluations * plan.diagnostic_seconds


def describe_time(plan: Plan, step_seconds: float, now: datetime.datetime) -> list[str]:
    """Return the promise: how long, until when, and two shorter ways if it is long."""
    seconds = time_left(plan, step_seconds)
    lines = [
        f"{step_seconds:.2f} s a step: {plan.steps:,} steps and {plan.evaluations} "
        f"evaluation{'s' * (plan.evaluations > 1)} take about "
        f"{format_seconds(seconds)}, until {format_end(now, seconds)}"
    ]
    if seconds > LONG_SECONDS:
        lines.append("shorter looks (Ctrl-C saves this run, its command continues it):")
        lines += [
            f"  {train_command(config)}    about {format_seconds(cost)}"
            for config, cost in shorter_runs(plan, step_seconds)
        ]
    return lines


def format_end(now: datetime.datetime, seconds: float) -> str:
    """Return when `seconds` from now is, with its day where that isn't today."""
    end = now + datetime.timedelta(seconds=seconds)
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%a %d %b %H:%M}"


def shorter_runs(plan: Plan, step_seconds: float) -> list[tuple[RunConfig, float]]:
    """Return two runs that are shorter than the plan, with their seconds.

    They have folders of their own, so that the run under way stays what it is, but for
    the first epoch of this very run, which is a part of it.
    """
    config = plan.config.replace(run_name="", max_steps=0)
    evaluation = plan.evaluation_steps * EVALUATION_SHARE * step_seconds
    steps = max(10, int((SHORT_SECONDS - evaluation) / step_seconds))
    found = [(config.replace(max_steps=steps), steps * step_seconds + evaluation)]
    rule = plan.config.optimizer
    is_fixed = schedules.depends_on_length(rule.schedule, rule.schedule_args)
    if plan.config.run.epochs > 1 and plan.epochs_done == 0 and not is_fixed:
        one = plan.config.replace(epochs=1)
        found.append((one, time_left(plan, step_seconds) / plan.evaluations))
    else:
        few = max(5, steps // 4)
        found.append((config.replace(max_steps=few), few * step_seconds + evaluation))
    return found
