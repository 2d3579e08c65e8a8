"""python benchmarks/training_rate.py --records_dir=records --image_size=64

Measures how much of the bare step rate is left of VGG16 training in batches of 32 when
batches come from records, and in a whole run with everything on by default: images/s of

- `train_on_batch` on one synthetic batch, the base of the ratios;
- the same on batches of tfpipe's input function;
- a run of tfpipe, its steps, lines, events and checkpoints every ten minutes;
- Keras's `fit` on that synthetic batch, again and again;
- PyTorch, channels last, on one synthetic batch.

Each is a process of its own that takes some steps to warm up; they alternate; the table
gives medians and ranges over the repeats.
"""

import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, setting

BATCH, WARM_UP = 32, 3
PACKAGES = ("tensorflow", "keras", "torch")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    records_dir: str = setting("records", "Folder of records.", front=True)
    image_size: int = setting(64, "Side in pixels.", minimum=32, front=True)
    precision: str = setting(
        "auto",
        "As for training.",
        choices=("auto", "float32", "mixed_bfloat16"),
        front=True,
    )
    cache: str = setting(
        "auto", "As for training.", choices=("auto", "memory", "none"), front=True
    )
    steps: int = setting(30, "Timed steps a process.", minimum=1, front=True)
    repeats: int = setting(3, "Processes of each.", minimum=1, front=True)
    one: str = setting("", "For its own use: the one to measure here.")

    def __post_init__(self) -> None:
        check_settings(self)


def resolve(config: Config) -> str:
    """Return the precision that training would take."""
    from tfpipe.training.precision import resolve_precision

    return resolve_precision(config.precision, "vgg16", on_gpu=False)[0]


def rate_of(step: Callable[[], Any], steps: int) -> float:
    """Return images/s of some calls behind those that warm up."""
    for _ in range(WARM_UP):
        step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return BATCH * steps / (time.perf_counter() - start)


def keras_model(config: Config) -> Any:
    """Return the experiment's model, compiled as training compiles it."""
    from tfpipe.training import models, updates
    from tfpipe.training.config import ModelConfig, OptimizerConfig

    model = models.build_model(
        ModelConfig(), config.image_size, 2, seed=0, precision=resolve(config)
    )
    optimizer = updates.build_optimizer(OptimizerConfig(), num_batches=1000)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def synthetic_batch(config: Config) -> tuple[Any, Any]:
    """Return pictures in [0, 1] and one-hot labels."""
    import numpy as np

    random = np.random.default_rng(0)
    shape = (BATCH, config.image_size, config.image_size, 3)
    labels = np.eye(2, dtype=np.float32)[random.integers(0, 2, BATCH)]
    return random.random(shape, np.float32), labels


def synthetic(config: Config) -> float:
    """`train_on_batch` on one synthetic batch."""
    model, batch = keras_model(config), synthetic_batch(config)
    return rate_of(lambda: model.train_on_batch(*batch), config.steps)


def with_input(config: Config) -> float:
    """`train_on_batch` on batches of tfpipe's input function."""
    from tfpipe import input_fn

    model = keras_model(config)
    dataset = input_fn(
        config.records_dir,
        "train",
        image_size=config.image_size,
        batch_size=BATCH,
        cache=config.cache,
    )
    if config.cache != "none":
        for _ in dataset:  # the first epoch fills it
            pass

    def whole_batches() -> Iterator[Any]:
        while True:
            yield from (batch for batch in dataset if len(batch[1]) == BATCH)

    batches = whole_batches()
    return rate_of(lambda: model.train_on_batch(*next(batches)), config.steps)


def whole_run(config: Config) -> float:
    """A run of tfpipe with everything on by default."""
    import keras

    from tfpipe import RunConfig, train

    times: list[float] = []

    class Stamp(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        run = RunConfig.of(
            records_dir=config.records_dir,
            runs_dir=folder,
            image_size=config.image_size,
            precision=config.precision,
            cache=config.cache,
            max_steps=WARM_UP + config.steps,
        )
        train(run, callbacks=[Stamp()], say=lambda line: None)
    return BATCH * config.steps / (times[-1] - times[WARM_UP - 1])


def keras_fit(config: Config) -> float:
    """Keras's `fit` on one synthetic batch, again and again."""
    import keras
    import numpy as np

    model, (pictures, labels) = keras_model(config), synthetic_batch(config)
    times: list[float] = []

    class Stamp(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            times.append(time.perf_counter())

    steps = WARM_UP + config.steps
    model.fit(
        np.concatenate([pictures] * steps),
        np.concatenate([labels] * steps),
        batch_size=BATCH,
        verbose=0,
        shuffle=False,
        callbacks=[Stamp()],
    )
    return BATCH * config.steps / (times[-1] - times[WARM_UP - 1])


def pytorch(config: Config) -> float:
    """PyTorch's VGG16, channels last, on one synthetic batch."""
    import contextlib

    import torch
    from torch import nn

    layers: list[Any] = []
    channels = 3
    for width, number in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(number):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2)]
    torch.manual_seed(0)
    torch.set_num_threads(machine.usable_cores())
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last)
    optimizer = torch.optim.RMSprop(model.parameters(), 1e-4)
    loss_of = nn.CrossEntropyLoss()
    pictures, labels = synthetic_batch(config)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    x = x.contiguous(memory_format=torch.channels_last)
    y = torch.from_numpy(labels.argmax(axis=1))
    in_half = torch.autocast("cpu", torch.bfloat16)
    is_half = resolve(config) == "mixed_bfloat16"

    def step() -> None:
        optimizer.zero_grad()
        with in_half if is_half else contextlib.nullcontext():
            loss = loss_of(model(x).float(), y)
        loss.backward()
        optimizer.step()

    return rate_of(step, config.steps)


CONTENDERS = {
    "`train_on_batch`, one synthetic batch": synthetic,
    "the same, tfpipe's input": with_input,
    "a run of tfpipe": whole_run,
    "Keras's `fit`, synthetic": keras_fit,
    "PyTorch, channels last, synthetic": pytorch,
}


def measure(config: Config, name: str) -> dict[str, float] | str:
    """Measure one in a process of its own; return why not where it can't be."""
    flags = [
        f"--{f.name}={getattr(config, f.name)}" for f in dataclasses.fields(config)
    ]
    done = subprocess.run(
        [sys.executable, __file__, *flags[:-1], f"--one={name}"],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no output"])[-1]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    if config.one:
        rate = CONTENDERS[config.one](config)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"rate": rate, "peak": peak}))
        return cli.EXIT_OK
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
    absent: dict[str, str] = {}
    for _ in range(config.repeats):
        for name in CONTENDERS:
            one = measure(config, name) if name not in absent else ""
            if isinstance(one, dict):
                found[name].append(one)
            elif one:
                absent[name] = one
    print(f"{machine.describe_cpu()}\n")
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    print(
        f"VGG16 at {config.image_size} px, {resolve(config)}, batches of {BATCH}, "
        f"--cache={config.cache}; {config.repeats} processes of {config.steps} steps "
        f"each; {', '.join(versions)}\n"
    )
    print(
        "| what | images/s, median (range) | ratio | peak memory, MB |\n"
        "| --- | --- | --- | --- |"
    )
    base = 0.0
    for name, ones in found.items():
        if name in absent:
            print(f"| {name} | not measured: {absent[name]} | | |")
            continue
        rates = [one["rate"] for one in ones]
        middle = statistics.median(rates)
        base = base or middle
        peak = statistics.median(one["peak"] for one in ones) / 1e6
        print(
            f"| {name} | {middle:.2f} ({min(rates):.2f} to {max(rates):.2f}) "
            f"| {middle / base:.3f} | {peak:,.0f} |"
        )
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
