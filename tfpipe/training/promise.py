"""Say what a run will do and when it ends, before it takes hours."""

import dataclasses
import datetime

from tfpipe.base.progress import format_seconds
from tfpipe.training import catalog
from tfpipe.training.config import RunConfig

LONG_SECONDS = 30 * 60
SHORT_SECONDS = 10 * 60
# A forward pass costs about a third of a training step; used until one was measured.
EVALUATION_SHARE = 1 / 3


def describe_run(
    config: RunConfig,
    *,
    num_parameters: int,
    train_examples: int,
    validation_examples: int,
    steps_per_epoch: int,
) -> list[str]:
    """Return the lines that say what will be trained."""
    data, optimizer, run = config.data, config.optimizer, config.run
    rate = catalog.describe_rate(optimizer.optimizer, optimizer.learning_rate)
    return [
        f"{config.model.model}, {num_parameters:,} parameters, {data.image_size} x "
        f"{data.image_size} pixels, weights {config.model.weights}",
        f"{optimizer.optimizer}, learning rate {rate}, decay {optimizer.decay:g}",
        f"{train_examples:,} train and {validation_examples:,} validation pictures, "
        f"{steps_per_epoch:,} steps of {data.batch_size} an epoch, {run.epochs} "
        f"epoch{'s' if run.epochs > 1 else ''}, seed {run.seed}",
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The work left in a run."""

    steps: int
    """Training steps left."""
    evaluations: int
    """Evaluations left."""
    epochs: int
    """Epochs of the whole run."""
    validation_steps: int
    """Batches an evaluation."""
    command: str
    """The run's own command line."""


def time_left(plan: Plan, step_seconds: float) -> float:
    """Return the seconds that the plan takes at `step_seconds` a step."""
    batches = plan.evaluations * plan.validation_steps * EVALUATION_SHARE
    return (plan.steps + batches) * step_seconds


def describe_time(plan: Plan, step_seconds: float, now: datetime.datetime) -> list[str]:
    """Return the promise: how long, until when, and shorter ways if it is long."""
    seconds = time_left(plan, step_seconds)
    end = now + datetime.timedelta(seconds=seconds)
    when = f"{end:%H:%M}" if end.date() == now.date() else f"{end:%a %d %b %H:%M}"
    lines = [
        f"{step_seconds:.2f} s a step: {plan.steps:,} steps and {plan.evaluations} "
        f"evaluation{'s' if plan.evaluations > 1 else ''} take about "
        f"{format_seconds(seconds)}, until {when}"
    ]
    if seconds > LONG_SECONDS:
        evaluation = plan.validation_steps * EVALUATION_SHARE * step_seconds
        few = max(10, int((SHORT_SECONDS - evaluation) / step_seconds))
        lines += [
            "shorter looks (Ctrl-C saves this run, its command continues it):",
            f"  {plan.command} --max_steps={few}    about "
            f"{format_seconds(few * step_seconds + evaluation)}",
        ]
        if plan.epochs > 1:
            epoch = seconds / plan.evaluations
            lines.append(
                f"  {plan.command} --epochs=1    about {format_seconds(epoch)}"
            )
    return lines
