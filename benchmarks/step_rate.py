"""python benchmarks/step_rate.py --sizes=32,64

Measures images/s of one training step (from scratch, batches of 32, rmsprop, one
synthetic batch) in plain Keras: in float32 with TensorFlow's oneDNN kernels on, as
tfpipe sets them, as TensorFlow itself would, and with oneDNN held to AVX2; and in
mixed_bfloat16.

Every measurement is a process of its own; settings alternate; the table gives medians
and ranges over the repeats.
"""

import dataclasses
import itertools
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

ONEDNN, ISA = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"
# What stands in the environment, and the policy of Keras.
SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "float32, oneDNN on": ({ONEDNN: "1"}, "float32"),
    "float32, TensorFlow's default": ({}, "float32"),
    "float32, oneDNN on, held to AVX2": ({ONEDNN: "1", ISA: "AVX2"}, "float32"),
    "mixed_bfloat16, oneDNN on": ({ONEDNN: "1"}, "mixed_bfloat16"),
}
BASE = "float32, oneDNN on"

ONE = """
import json, sys, time
import keras, numpy as np
name, size, steps, policy = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
keras.utils.set_random_seed(0)
keras.config.set_dtype_policy(policy)
builders = vars(keras.applications).items()  # modules of the same names beside them
found = [b for called, b in builders if called.lower() == name.lower() and callable(b)]
if not found:
    sys.exit(f"keras.applications has no {name}")
base = found[0](weights=None, include_top=False, input_shape=(size, size, 3))
pooled = keras.layers.GlobalAveragePooling2D()(base.output)
outputs = keras.layers.Dense(2, activation="softmax", dtype="float32")(pooled)
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

    models: tuple[str, ...] = setting(
        ("vgg16",), "Models of keras.applications.", front=True
    )
    sizes: tuple[str, ...] = setting(("32", "64"), "Sides in pixels.", front=True)
    repeats: int = setting(3, "Processes a setting.", minimum=1, front=True)
    steps: int = setting(7, "Timed steps a process.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)


def measure(model: str, size: str, steps: int, name: str) -> float:
    """Return images/s, the median step of one process in a setting.

    Raises:
        ChildProcessError: if that process failed, with its last line.
    """
    switches, policy = SETTINGS[name]
    others = {k: v for k, v in os.environ.items() if k not in (ONEDNN, ISA)}
    done = subprocess.run(
        [sys.executable, "-c", ONE, model, size, str(steps), policy],
        env={**others, **switches},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ChildProcessError(
            f"steps of {model} at {size} pixels must run, got: {lines[-1]}; models are "
            "those of keras.applications, sizes what they take"
        )
    return float(json.loads(done.stdout))


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("tensorflow", "keras"))
    print(f"{machine.describe_cpu()}; {versions}")
    print(f"{config.repeats} processes a setting, {config.steps} timed steps each\n")
    print("| model | pixels | setting | images/s, median (range) | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for model, size in itertools.product(config.models, config.sizes):
        rates: dict[str, list[float]] = {name: [] for name in SETTINGS}
        for _ in range(config.repeats):
            for name, found in rates.items():
                found.append(measure(model, size, config.steps, name))
        base = statistics.median(rates[BASE])
        for name, found in rates.items():
            median = statistics.median(found)
            row = [
                model,
                size,
                name,
                f"{median:.1f} ({min(found):.1f} to {max(found):.1f})",
                f"{median / base:.2f}",
            ]
            print(f"| {' | '.join(row)} |", flush=True)
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
