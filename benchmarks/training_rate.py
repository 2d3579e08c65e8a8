"""python benchmarks/training_rate.py --records_dir=records --image_size=64

Measures how much of the bare step rate is left of VGG16 training in batches of 32, with
all that a run of tfpipe does by default: its input, lines, norms, TensorBoard, checks.
Beside it, Keras's `fit` and PyTorch (channels last) on a synthetic batch.

Each contender is a process of its own, in which blocks of its steps alternate with
blocks of the bare step, Keras's `train_on_batch` on one synthetic batch: a machine that
is faster or slower for a while, or a process that got its memory elsewhere, is so for
both. Blocks together are a multiple of 20 steps, so that steps whose norms are taken
count by their share; probes and evaluations are left out. The table gives rates over
whole processes, their medians, and the median and range of the ratio to the bare steps
beside them; then the seconds of a checkpoint.
"""

import contextlib
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
    block: int = setting(5, "Steps a block.", minimum=1, front=True)
    steps: int = setting(
        40, "Steps a process, a multiple of 20.", minimum=20, front=True
    )
    repeats: int = setting(3, "Processes of each.", minimum=1, front=True)
    one: str = setting("", "For its own use: the one to measure here.")

    def __post_init__(self) -> None:
        check_settings(self)
        if self.steps % 20 or self.steps % self.block:
            raise ValueError(
                f"steps must be a multiple of 20 and of block, got {self.steps}"
            )


def resolve(config: Config) -> str:
    """Return the precision that training would take."""
    from tfpipe.training import devices
    from tfpipe.training.precision import resolve_precision

    on_gpu = bool(devices.gpus())
    return resolve_precision(config.precision, "vgg16", on_gpu=on_gpu)[0]


def keras_model(config: Config, like: Any = None) -> Any:
    """Return the experiment's model, compiled as training compiles it.

    With `like`, another model, it has that one's weights: where in memory they lie can
    make a tenth.
    """
    import keras

    from tfpipe.training import models, updates
    from tfpipe.training.config import ModelConfig, OptimizerConfig
    from tfpipe.training.determinism import may_compile

    if like is None:
        model = models.build_model(
            ModelConfig(), config.image_size, 2, seed=0, precision=resolve(config)
        )
    else:
        model = keras.Model(like.inputs, like.outputs)
    optimizer = updates.build_optimizer(OptimizerConfig(), num_batches=1000)
    model.compile(
        optimizer,
        "categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=may_compile("seeded"),
    )
    return model


def synthetic_batch(config: Config) -> tuple[Any, Any]:
    """Return pictures in [0, 1] and one-hot labels."""
    import numpy as np

    random = np.random.default_rng(0)
    shape = (BATCH, config.image_size, config.image_size, 3)
    labels = np.eye(2, dtype=np.float32)[random.integers(0, 2, BATCH)]
    return random.random(shape, np.float32), labels


class Turns:
    """Blocks of a contender's steps, and of bare steps between them.

    Call `begin` with the contender's model, if it is Keras's, then `step_done` behind
    each of its steps; `is_over` tells when to stop.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.seconds = self.bare_seconds = 0.0
        self.num_steps = -WARM_UP
        self.start = 0.0
        self.bare_step: Callable[[], Any]

    def begin(self, model: Any = None) -> None:
        """Make the bare step, on the weights of a model if there is one."""
        import tensorflow as tf

        from tfpipe.training.devices import as_input

        bare = keras_model(self.config, like=model)
        batch = tuple(map(as_input, map(tf.constant, synthetic_batch(self.config))))
        self.bare_step = lambda: bare.train_on_batch(*batch)
        for _ in range(WARM_UP):
            self.bare_step()

    @property
    def is_over(self) -> bool:
        """Whether all blocks were measured."""
        return self.num_steps >= self.config.steps

    def step_done(self) -> None:
        """Count a step of the contender; at a block's end take one of bare steps."""
        self.num_steps += 1
        if self.num_steps < 0 or self.num_steps % self.config.block:
            return
        if self.num_steps:
            self.seconds += time.perf_counter() - self.start
            begin = time.perf_counter()
            for _ in range(self.config.block):
                self.bare_step()
            self.bare_seconds += time.perf_counter() - begin
        self.start = time.perf_counter()


def whole_run(config: Config, turns: Turns) -> dict[str, float]:
    """A run of tfpipe with everything on by default."""
    import keras

    from tfpipe import RunConfig, train
    from tfpipe.training import moments
    from tfpipe.training.writer import RunWriter

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is Any
        def on_train_begin(self, logs: Any = None) -> None:
            turns.begin(self.model)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            turns.step_done()
            if turns.is_over:
                self.model.stop_training = True

    moments.PROBE_STEPS = ()  # type: ignore[assignment]
    saves: list[float] = []
    save = RunWriter.save_state

    def timed_save(writer: Any, position: Any) -> None:
        start = time.perf_counter()
        save(writer, position)
        saves.append(time.perf_counter() - start)

    RunWriter.save_state = timed_save  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        run = RunConfig.of(
            records_dir=config.records_dir,
            runs_dir=folder,
            image_size=config.image_size,
            precision=config.precision,
            keep=("none",),
            validation_split=0.02,
        )
        train(run, callbacks=[Watch()], say=lambda line: None)
    return {"checkpoint_seconds": statistics.median(saves)}


def keras_fit(config: Config, turns: Turns) -> dict[str, float]:
    """Keras's `fit` on one synthetic batch, again and again."""
    import keras
    import tensorflow as tf

    model = keras_model(config)
    batch = tuple(map(tf.constant, synthetic_batch(config)))

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            turns.begin(self.model)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            turns.step_done()
            if turns.is_over:
                self.model.stop_training = True

    dataset = tf.data.Dataset.from_tensors(batch).repeat(100_000)
    model.fit(dataset, verbose=0, callbacks=[Watch()])
    return {}


def pytorch(config: Config, turns: Turns) -> dict[str, float]:
    """PyTorch's VGG16, channels last, on one synthetic batch."""
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
    turns.begin()
    while not turns.is_over:
        optimizer.zero_grad()
        with in_half if is_half else contextlib.nullcontext():
            loss = loss_of(model(x).float(), y)
        loss.backward()
        optimizer.step()
        turns.step_done()
    return {}


CONTENDERS = {
    "a run of tfpipe": whole_run,
    "Keras's `fit`, synthetic batch": keras_fit,
    "PyTorch, channels last, synthetic batch": pytorch,
}


def measure(config: Config, name: str) -> dict[str, Any] | str:
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
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    if config.one:
        turns = Turns(config)
        extra = CONTENDERS[config.one](config, turns)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        images = BATCH * config.steps
        measured = {
            "rate": images / turns.seconds,
            "bare": images / turns.bare_seconds,
            "peak": peak,
        }
        print(json.dumps({**extra, **measured}))
        return cli.EXIT_OK
    processes: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    absent: dict[str, str] = {}
    for _ in range(config.repeats):
        for name in CONTENDERS:
            one = measure(config, name) if name not in absent else ""
            if isinstance(one, dict):
                processes[name].append(one)
            elif one:
                absent[name] = one
    print(f"{machine.describe_cpu()}\n")
    versions = []
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    print(
        f"VGG16 at {config.image_size} px, {resolve(config)}, batches of {BATCH}; "
        f"{config.repeats} processes of {config.steps} steps in blocks of "
        f"{config.block} each; {', '.join(versions)}\n"
    )
    print(
        "| what | images/s | bare step beside it | ratio, median (range of processes) "
        "| peak memory, MB |\n| --- | --- | --- | --- | --- |"
    )
    for name, ones in processes.items():
        if name in absent:
            print(f"| {name} | not measured: {absent[name]} | | | |")
            continue
        rates, bare = ([one[name] for one in ones] for name in ("rate", "bare"))
        ratios = [one["rate"] / one["bare"] for one in ones]
        peak = statistics.median(one["peak"] for one in ones) / 1e6
        mine, beside = statistics.median(rates), statistics.median(bare)
        print(
            f"| {name} | {mine:.2f} | {beside:.2f} "
            f"| {statistics.median(ratios):.3f} ({min(ratios):.3f} to "
            f"{max(ratios):.3f}) | {peak:,.0f} |"
        )
    runs = processes["a run of tfpipe"]
    if runs:
        seconds = statistics.median(one["checkpoint_seconds"] for one in runs)
        print(
            f"\nA checkpoint takes {seconds:.2f} s, {seconds / 600:.2%} of the ten "
            "minutes from one to the next. Peak memory is with the bare model beside."
        )
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
