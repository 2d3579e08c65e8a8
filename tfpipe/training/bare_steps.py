"""Training steps without a run around them: of a range test, or to be timed.

    python -m tfpipe.training.bare_steps '{"model": "vgg16", "image_size": 64}'

takes a few steps of such a run and prints how long one is, as a line of JSON.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

import keras

from tfpipe.base import settings
from tfpipe.data.streaming.augment import Augmentation
from tfpipe.data.streaming.pipeline import Batches
from tfpipe.data.streaming.source import Source
from tfpipe.training import building, devices, promise
from tfpipe.training.config import RunConfig
from tfpipe.training.position import Position

WARM_UP_STEPS, MEASURED_STEPS = 2, 5


def open_source(run: RunConfig) -> Source:
    """Return the records of a run, split as it asks."""
    return Source(
        run.data.records_dir,
        fetch=run.data.fetch,
        validation_split=run.data.validation_split,
        split_seed=run.data.split_seed,
    )


def train_batches(
    run: RunConfig, source: Source, position: Position
) -> Iterator[tuple[Any, Any]]:
    """Yield train batches from a position on, epoch after epoch."""
    train_ids = source.split_ids("train", run.data.train_examples)
    batches = Batches(
        source,
        image_size=run.data.image_size,
        batch_size=run.data.batch_size,
        resize=run.data.resize,
        augmentation=Augmentation(kinds=run.data.augment, seed=run.run.seed),
    )
    epoch, step = position.epoch, position.epoch_step
    while True:
        with batches.loader.faults_by_name():
            yield from batches.epoch_dataset(
                train_ids, seed=run.run.seed, epoch=epoch, start_step=step
            )
        epoch, step = epoch + 1, 0


def take_step(
    model: keras.Model, batch: tuple[Any, Any], class_weights: dict[int, float] | None
) -> float:
    """Train on a batch; return the loss before the update."""
    logs = model.train_on_batch(
        *map(devices.as_input, batch), class_weight=class_weights, return_dict=True
    )
    return float(logs["loss"])


def time_steps(run: RunConfig) -> dict[str, Any]:
    """Take a few steps of a run, and leave nothing.

    Returns:
        step_seconds, the median of `MEASURED_STEPS` behind `WARM_UP_STEPS`; num_steps,
        of both; steps_per_epoch; evaluation_share, what an epoch's evaluation takes as
        a share of its steps.

    Raises:
        ValueError: for records, a model or an optimizer that don't fit.
    """
    source = open_source(run)
    size = run.data.batch_size
    num_steps = math.ceil(
        len(source.split_ids("train", run.data.train_examples)) / size
    )
    num_evaluated = math.ceil(len(source.splits["validation"].ids) / size)
    model = building.build(run, source.num_classes, run.run.epochs * num_steps).model
    batches = train_batches(run, source, Position())
    seconds = []
    for _ in range(WARM_UP_STEPS + MEASURED_STEPS):
        began = time.perf_counter()
        take_step(model, next(batches), None)
        seconds.append(time.perf_counter() - began)
    return {
        "step_seconds": statistics.median(seconds[WARM_UP_STEPS:]),
        "num_steps": len(seconds),
        "steps_per_epoch": num_steps,
        "evaluation_share": promise.EVALUATION_SHARE * num_evaluated / num_steps,
    }


if __name__ == "__main__":
    print(
        json.dumps(
            time_steps(settings.build_config(RunConfig, json.loads(sys.argv[1])))
        )
    )
