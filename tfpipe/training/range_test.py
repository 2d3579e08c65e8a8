"""Test learning rates: steps at growing rates with a model that is thrown away."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpipe.base import files
from tfpipe.base.progress import Progress
from tfpipe.data.streaming.source import Source
from tfpipe.training import (
    bare_steps,
    building,
    range_config,
    rate_range,
    run_folder,
    state,
    updates,
)
from tfpipe.training.config import RunConfig
from tfpipe.training.position import Position
from tfpipe.training.range_config import FindConfig
from tfpipe.training.rate_range import RateRange
from tfpipe.training.record_checks import check_records

GROWN = 4.0
"""Times the loss at the start, and 1 above it, at which a test is over."""


def find_rate(config: FindConfig, say: Callable[[str], None] = print) -> RateRange:
    """Run a range test; write its picture and its numbers.

    Args:
        config: what is tested.
        say: takes the lines meant for people.

    Raises:
        ValueError: for records, a run or a checkpoint that don't fit.
    """
    run = range_config.run_of(config)
    source = bare_steps.open_source(run)
    check_records(run, source.manifest)
    title = range_config.describe_start(config, run)
    say(f"range test of {title}")
    model, position = _build(config, run, source.num_classes)
    weights = updates.class_weights(
        run.optimizer.class_weight, source.splits["train"].class_counts
    )
    rates, losses = _step(config, run, source, model, position, weights)
    found = rate_range.find_range(rates, losses)
    path = range_config.picture_path(config, run)
    rate_range.draw_range(found, path, title)
    files.write_json(
        path.with_suffix(".json"),
        {
            "test": title,
            "rates": list(rates),
            "losses": [loss if math.isfinite(loss) else None for loss in losses],
            "start": found.start,
            "noise": found.noise,
            "largest_stable": found.largest_stable,
            "steepest": found.steepest,
            "low": found.low,
            "high": found.high,
        },
    )
    from_run = bool(config.range.from_run)
    for line in rate_range.describe_range(found, from_run=from_run):
        say(f"  {line}")
    default = range_config.default_rate(run)
    if default:
        say(f"  Keras's default for {run.optimizer.optimizer} is {default:g}")
    say(f"picture: {path}")
    return found


def _build(
    config: FindConfig, run: RunConfig, num_classes: int
) -> tuple[keras.Model, Position]:
    """Return a model of its own, and where it stands."""
    if not config.range.from_run:
        return building.build(run, num_classes, config.range.steps).model, Position()
    record = run_folder.read_run(Path(config.range.from_run))
    built = building.build(
        run.replace(precision=record.facts["precision"]),
        num_classes,
        config.range.steps,
    )
    # The run's own optimizer may have a schedule, and then no variable for its rate.
    stored = updates.build_optimizer(record.config.optimizer, config.range.steps)
    stored.build(built.model.trainable_variables)
    folder = record.folder / run_folder.CHECKPOINT
    variables = [*built.model.variables, *stored.variables]
    position, _ = state.load_state(folder, variables)
    if position.step == 0:
        raise ValueError(
            f"{record.folder} must hold a checkpoint to start from, got none; leave "
            "from_run out"
        )
    pairs = zip(_state_of(built.optimizer), _state_of(stored), strict=True)
    for mine, theirs in pairs:
        mine.assign(theirs)
    return built.model, position


def _step(
    config: FindConfig,
    run: RunConfig,
    source: Source,
    model: keras.Model,
    position: Position,
    class_weights: dict[int, float] | None,
) -> tuple[list[float], list[float]]:
    """Take steps at growing rates.

    Returns:
        The rates, and the loss of the batch behind the update at each.
    """
    settings = config.range
    rates = np.geomspace(settings.min_rate, settings.max_rate, settings.steps)
    batches = bare_steps.train_batches(run, source, position)
    losses: list[float] = []
    with Progress("range test", len(rates), "steps") as progress:
        for rate in (*rates, rates[-1]):
            batch = next(batches)
            model.optimizer.learning_rate = float(rate)
            losses.append(bare_steps.take_step(model, batch, class_weights))
            progress.advance(note=f"rate {rate:.1e} loss {losses[-1]:.4f}")
            if _is_over(losses, len(rates)):
                break
    # What an update did shows in the batch behind it.
    return [float(rate) for rate in rates[: len(losses) - 1]], losses[1:]


def _is_over(losses: list[float], steps: int) -> bool:
    """Tell whether losses, on the average, have grown past what a rate can repair."""
    if not math.isfinite(losses[-1]):
        return True
    quiet = rate_range.num_quiet(steps)
    if len(losses) <= quiet:
        return False
    start = float(np.mean(losses[:quiet]))
    return bool(rate_range.smooth(losses)[-1] > max(GROWN * start, start + 1))


def _state_of(optimizer: Any) -> list[Any]:
    """Return an optimizer's variables but for its rate: a schedule has none."""
    return [v for v in optimizer.variables if v is not optimizer._learning_rate]
