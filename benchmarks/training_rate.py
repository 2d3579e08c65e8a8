"""python benchmarks/training_rate.py --records_dir=records --image_size=64

Measures how much of the bare step rate is left when batches come from records: images/s
of `train_on_batch` on one synthetic batch, and of the same with tfpipe's input
function in front.

Both alternate in one process, some steps each, with one model; the table gives medians
and ranges over the turns.
"""

import dataclasses
import os
import statistics
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, setting

BATCH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    records_dir: str = setting("records", "Folder of records.", front=True)
    image_size: int = setting(64, "Side in pixels.", minimum=8, front=True)
    model: str = setting("vgg16", "A model by its name.", front=True)
    precision: str = setting(
        "auto",
        "As for training.",
        choices=("auto", "float32", "mixed_bfloat16"),
        front=True,
    )
    cache: str = setting(
        "none", "As for training.", choices=("auto", "memory", "none"), front=True
    )
    steps: int = setting(10, "Steps a turn.", minimum=1, front=True)
    turns: int = setting(5, "Turns of each.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)


def time_steps(model: Any, batches: Any, steps: int) -> float:
    """Return images/s of some training steps, waiting for their batches included."""
    count, start = 0, time.perf_counter()
    for _ in range(steps):
        pictures, labels = next(batches)
        model.train_on_batch(pictures, labels)
        count += len(labels)
    return count / (time.perf_counter() - start)


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the trainer does
    import itertools

    import numpy as np

    from tfpipe.data.streaming.pipeline import input_fn
    from tfpipe.training import models, precision
    from tfpipe.training.config import ModelConfig, OptimizerConfig

    chosen = ModelConfig(model=config.model, precision=config.precision)
    resolved, _ = precision.resolve_precision(
        chosen.precision, chosen.model, on_gpu=False
    )
    model = models.build_model(chosen, config.image_size, 2, seed=0, precision=resolved)
    model.compile(models.build_optimizer(OptimizerConfig()), "categorical_crossentropy")
    dataset = input_fn(
        config.records_dir,
        "train",
        image_size=config.image_size,
        batch_size=BATCH,
        cache=config.cache,
    )
    # Whole batches alone, as the synthetic one is, over epochs without end.
    real = (
        batch
        for batch in itertools.chain.from_iterable(
            iter(dataset) for _ in itertools.count()
        )
        if len(batch[1]) == BATCH
    )
    random = np.random.default_rng(0)
    shape = (BATCH, config.image_size, config.image_size, 3)
    one = (
        random.random(shape, np.float32),
        np.eye(2, dtype=np.float32)[random.integers(0, 2, BATCH)],
    )
    contenders = {"one synthetic batch": itertools.repeat(one), "tfpipe's input": real}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for batches in contenders.values():
        time_steps(model, batches, 3)
    if config.cache != "none":
        for _ in dataset:  # the first epoch fills it
            pass
    for _ in range(config.turns):
        for name, batches in contenders.items():
            rates[name].append(time_steps(model, batches, config.steps))
    facts = machine.describe()
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("tensorflow", "keras"))
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['cpu_flags']}; {versions}")
    print(
        f"{config.model} at {config.image_size} px, {resolved}, batches of {BATCH}, "
        f"--cache={config.cache}; {config.turns} turns of {config.steps} steps\n"
    )
    print("| batches | images/s, median (range) | ratio |\n| --- | --- | --- |")
    base = statistics.median(rates["one synthetic batch"])
    for name, found in rates.items():
        middle = statistics.median(found)
        print(
            f"| {name} | {middle:.2f} ({min(found):.2f} to {max(found):.2f}) "
            f"| {middle / base:.3f} |"
        )
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
