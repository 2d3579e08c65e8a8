"""python benchmarks/step_rate.py --sizes=32,64

Measures images/s of one training step of the experiment's model (VGG16 from scratch,
batches of 32, rmsprop, float32, one synthetic batch) in plain Keras, with TensorFlow's
oneDNN kernels on, as tfpipe sets them, and as TensorFlow itself would.

Every measurement is a process of its own; settings alternate; the table gives medians
and ranges over the repeats.
"""

import dataclasses
import json
import os
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, setting

SETTINGS = {"oneDNN on (tfpipe)": "1", "TensorFlow's default": None}

ONE = """
import json, sys, time
import keras, numpy as np
size, steps = int(sys.argv[1]), int(sys.argv[2])
keras.utils.set_random_seed(0)
base = keras.applications.VGG16(
    weights=None, include_top=False, input_shape=(size, size, 3))
pooled = keras.layers.GlobalAveragePooling2D()(base.output)
outputs = keras.layers.Dense(2, activation="softmax")(pooled)
model = keras.Model(base.input, outputs)
model.compile(keras.optimizers.RMSprop(1e-4), "categorical_crossentropy")
random = np.random.default_rng(0)
pictures = random.random((32, size, size, 3), np.float32)
labels = np.eye(2, dtype=np.float32)[random.integers(0, 2, 32)]
times = []
for _ in range(steps + 2):
    start = time.perf_counter()
    model.train_on_batch(pictures, labels)
    times.append(time.perf_counter() - start)
print(json.dumps(32 / sorted(times[2:])[steps // 2]))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    sizes: tuple[str, ...] = setting(("32", "64"), "Sides in pixels.", front=True)
    repeats: int = setting(3, "Processes a setting.", minimum=1, front=True)
    steps: int = setting(7, "Timed steps a process.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)


def measure(size: str, steps: int, onednn: str | None) -> float:
    """Return images/s, the median step of one process."""
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    if onednn is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = onednn
    done = subprocess.run(
        [sys.executable, "-c", ONE, size, str(steps)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return float(json.loads(done.stdout))


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("tensorflow", "keras"))
    print(f"{machine.describe_cpu()}; {versions}")
    print(f"{config.repeats} processes a setting, {config.steps} timed steps each\n")
    print("| pixels | setting | images/s, median (range) | ratio |")
    print("| --- | --- | --- | --- |")
    for size in config.sizes:
        rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
        for _ in range(config.repeats):
            for name, onednn in SETTINGS.items():
                rates[name].append(measure(size, config.steps, onednn))
        medians = {name: statistics.median(found) for name, found in rates.items()}
        base = medians["TensorFlow's default"]
        for name, found in rates.items():
            spread = f"({min(found):.1f} to {max(found):.1f})"
            ratio = f"{medians[name] / base:.2f}"
            print(f"| {size} | {name} | {medians[name]:.1f} {spread} | {ratio} |")
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
