"""Run folders as a training writes them, made of numbers."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfpipe.comparison import declaration, results, statistics
from tfpipe.comparison.analysis import Analysis, Configuration, Rate, Spread, TargetTime
from tfpipe.comparison.results import RunResult
from tfpipe.training import config as run_config
from tfpipe.training import run_folder
from tfpipe.training.config import RunConfig

# The notebook's four runs: val accuracy, val loss and train accuracy of epochs 1 to 5.
# It kept no digits of its train losses: the val losses stand in for them.
NOTEBOOK = {
    ("rmsprop", 1e-4): (
        [0.6264, 0.6475, 0.7590, 0.7562, 0.7997],
        [0.6370, 0.6133, 0.5195, 0.5027, 0.4398],
        [0.5804, 0.6580, 0.7034, 0.7459, 0.7809],
    ),
    ("adam", 1e-4): (
        [0.4899, 0.4899, 0.5712, 0.6205, 0.6858],
        [0.6932, 0.6933, 0.6866, 0.6427, 0.5902],
        [0.5019, 0.4985, 0.5261, 0.5705, 0.6589],
    ),
    ("sgd", 1e-4): (
        [0.5130, 0.5403, 0.4901, 0.4899, 0.4899],
        [0.6931] * 5,
        [0.4981, 0.5181, 0.5077, 0.5036, 0.5034],
    ),
    ("adam", 1e-3): (
        [0.4899] * 5,
        [0.6933, 0.6933, 0.6933, 0.6932, 0.6934],
        [0.4990, 0.5021, 0.5034, 0.5008, 0.5028],
    ),
}
STEPS_PER_EPOCH = 586

WriteRun = Callable[..., RunConfig]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Give a function that writes a run folder below tmp_path/runs."""

    def write(
        val_accuracy: list[float],
        *,
        val_loss: list[float] | None = None,
        accuracy: list[float] | None = None,
        status: str = "done",
        reason: str = "",
        facts: dict[str, Any] | None = None,
        **values: Any,
    ) -> RunConfig:
        config = RunConfig.of(runs_dir=str(tmp_path / "runs"), **values)
        folder = run_folder.run_folder(config)
        folder.mkdir(parents=True)
        losses = val_loss or [0.69] * len(val_accuracy)
        all_facts = {
            "format_version": run_folder.FORMAT_VERSION,
            "config": run_config.to_json(config),
            "class_names": ["dog", "cat"],
            "split_sizes": {"train": 18_750, "validation": 6_250},
            "validation_class_counts": [3_188, 3_062],
            "dataset_fingerprint": "d" * 64,
            "initial_weights_sha256": f"{config.run.seed}" * 64,
            "precision": "float32",
            "machine": {"cpu": "A CPU", "cores": 2},
            "versions": {"keras": "3.15.1"},
            "steps_per_epoch": STEPS_PER_EPOCH,
            "train_examples": 18_750,
            "shortened": [],
            **(facts or {}),
        }
        (folder / run_folder.CONFIG).write_text(json.dumps(all_facts))
        epochs = len(val_accuracy)
        run_folder.write_status(
            folder,
            status,
            epoch=epochs,
            step=epochs * STEPS_PER_EPOCH,
            reason=reason,
        )
        lines = [
            {
                "epoch": epoch + 1,
                "step": (epoch + 1) * STEPS_PER_EPOCH,
                "kind": "full",
                "loss": losses[epoch],
                "accuracy": (accuracy or val_accuracy)[epoch],
                "val_loss": losses[epoch],
                "val_accuracy": val_accuracy[epoch],
                "predicted_shares": [1.0, 0.0],
                "learning_rate": 1e-4,
                # Of the run until then: epochs take 90, 91, 92 ... seconds.
                "train_seconds": sum(90.0 + before for before in range(epoch + 1)),
                "eval_seconds": 3.0 * (epoch + 1),
                "wall_seconds": sum(93.0 + before for before in range(epoch + 1)),
            }
            for epoch in range(epochs)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / run_folder.METRICS).write_text(text)
        return config

    return write


@pytest.fixture
def notebook_runs(write_run: WriteRun) -> list[RunConfig]:
    """Write the notebook's four runs; return their configs in its order."""
    return [
        write_run(
            val_accuracy,
            val_loss=val_loss,
            accuracy=accuracy,
            optimizer=optimizer,
            learning_rate=learning_rate,
        )
        for (optimizer, learning_rate), (
            val_accuracy,
            val_loss,
            accuracy,
        ) in NOTEBOOK.items()
    ]


def make_configuration(label: str, runs: list[RunResult]) -> Configuration:
    """Return a configuration of runs, its numbers made up where no test reads them."""
    ended = tuple(run for run in runs if run.status in run_folder.FINISHED)
    escaped = [run.escape is not None for run in ended]
    values = tuple(run.final["val_accuracy"] for run in ended if run.evaluations)
    spread = Spread(values, sum(values) / max(1, len(values)), math.nan, math.nan)
    target = TargetTime(
        share=0.5,
        accuracy=0.75,
        num_reached=0,
        of=len(ended),
        median_steps=math.inf,
        median_train_seconds=math.inf,
    )
    return Configuration(
        label=label,
        runs=tuple(runs),
        ended=ended,
        escaped=Rate(sum(escaped), len(ended), 0.0, 1.0),
        escape=statistics.kaplan_meier([1.0] * len(ended), escaped),
        targets=(target,),
        final=spread,
        best=spread,
        final_escaped=None,
        test_final=None,
        test_best=None,
        train_seconds=Spread((1.0,), 1.0, math.nan, math.nan),
        stages=(),
        num_improving=0,
    )


@pytest.fixture
def make_analysis() -> Callable[..., Analysis]:
    """Give a function that groups runs, which are in order, into an analysis.

    `labels` are of their configurations, in the order of first appearance.
    """

    def make(configs: list[RunConfig], labels: list[str] | None = None) -> Analysis:
        groups: dict[str, list[RunResult]] = {}
        for config, run in zip(configs, results.read_results(configs), strict=True):
            groups.setdefault(str(run_config.identity(config)), []).append(run)
        firsts = [runs[0] for runs in groups.values()]
        names = labels or [run.label.partition(" seed=")[0] for run in firsts]
        return Analysis(
            configurations=tuple(
                make_configuration(name, runs)
                for name, runs in zip(names, groups.values(), strict=True)
            ),
            comparisons=(),
            declared=declaration.declare(configs, "d" * 64),
        )

    return make


# Ends as its optimizer says; adam and adamax are where their parent is interrupted.
TRAINER = """
import os, signal, sys, time
from pathlib import Path
optimizer, marker = sys.argv[1], Path(sys.argv[2])
def save(*_):
    marker.write_text("saved")
    sys.exit(143)
if optimizer in ("adam", "adamax"):
    signal.signal(signal.SIGTERM, save)
    interrupt = {"adam": signal.SIGINT, "adamax": signal.SIGTERM}[optimizer]
    os.kill(os.getppid(), interrupt)
    time.sleep(60)
if optimizer == "nadam":
    os.kill(os.getpid(), signal.SIGKILL)
marker.write_text("trained")
sys.exit({"sgd": 3, "adamw": 2, "adagrad": 1}.get(optimizer, 0))
"""


@pytest.fixture
def fake_trainer(tmp_path: Path) -> Callable[[RunConfig], list[str]]:
    """Give the command of a trainer that only leaves tmp_path/<optimizer>."""
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER)

    def command(run: RunConfig) -> list[str]:
        optimizer = run.optimizer.optimizer
        return [sys.executable, str(script), optimizer, str(tmp_path / optimizer)]

    return command
