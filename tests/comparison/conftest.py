"""Run folders as a training writes them, made of numbers."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfpipe.base import files, machine
from tfpipe.comparison import analysis, board, results
from tfpipe.comparison.analysis import Analysis
from tfpipe.comparison.board import Board
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
    """Give a function that writes a run folder below tmp_path/runs.

    `each` are more fields of its lines, an epoch a value, `probes` accuracies by step.
    """

    def write(
        val_accuracy: list[float],
        *,
        val_loss: list[float] | None = None,
        accuracy: list[float] | None = None,
        status: str = "done",
        reason: str = "",
        facts: dict[str, Any] | None = None,
        each: dict[str, list[Any]] | None = None,
        probes: dict[int, float] | None = None,
        **values: Any,
    ) -> RunConfig:
        config = RunConfig.of(runs_dir=str(tmp_path / "runs"), **values)
        lines = {"val_loss": val_loss, "accuracy": accuracy}
        write_folder(
            config,
            val_accuracy,
            lines=lines,
            status=status,
            reason=reason,
            facts=facts,
            each=each,
            probes=probes,
        )
        return config

    return write


def write_folder(
    config: RunConfig,
    val_accuracy: list[float],
    *,
    lines: dict[str, list[float] | None] | None = None,
    status: str = "done",
    reason: str = "",
    facts: dict[str, Any] | None = None,
    each: dict[str, list[Any]] | None = None,
    probes: dict[int, float] | None = None,
) -> None:
    """Write the folder of a run with these numbers, an epoch each.

    `each` are further columns of its evaluations, `probes` accuracies by step.
    """
    folder = run_folder.run_folder(config)
    folder.mkdir(parents=True, exist_ok=config.run.overwrite)
    given = lines or {}
    losses = given.get("val_loss") or [0.69] * len(val_accuracy)
    accuracy = given.get("accuracy") or val_accuracy
    all_facts = {
        "format_version": run_folder.FORMAT_VERSION,
        "began_seconds": 1_700_000_000.0 + 1_000 * config.run.seed,
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
    metrics = [
        {
            "epoch": epoch + 1,
            "step": (epoch + 1) * STEPS_PER_EPOCH,
            "kind": "full",
            "loss": losses[epoch],
            "accuracy": accuracy[epoch],
            "val_loss": losses[epoch],
            "val_accuracy": val_accuracy[epoch],
            "predicted_shares": [1.0, 0.0],
            "learning_rate": 1e-4,
            # Of the run until then: epochs take 90, 91, 92 ... seconds.
            "train_seconds": sum(90.0 + before for before in range(epoch + 1)),
            "eval_seconds": 3.0 * (epoch + 1),
            "wall_seconds": sum(93.0 + before for before in range(epoch + 1)),
            **{name: column[epoch] for name, column in (each or {}).items()},
        }
        for epoch in range(epochs)
    ]
    metrics += [
        {
            **dict.fromkeys(("train_seconds", "eval_seconds"), 0.0),
            "epoch": round(step / STEPS_PER_EPOCH, 4),
            "step": step,
            "kind": "probe",
            "val_loss": 0.69,
            "val_accuracy": seen,
        }
        for step, seen in (probes or {}).items()
    ]
    metrics.sort(key=lambda line: line["step"])
    text = "".join(json.dumps(line) + "\n" for line in metrics)
    (folder / run_folder.METRICS).write_text(text)


def _shares(accuracy: float) -> list[float]:
    """Return what was answered: at 0.4899 and 0.4901 one class for all, but for one."""
    return [0.9998, 0.0002] if accuracy < 0.4902 else [0.6, 0.4]


@pytest.fixture
def write_replicates(write_run: WriteRun) -> Callable[..., list[RunConfig]]:
    """Give a function that writes one run for each curve, of seeds 0, 1 and so on."""

    def write(*curves: list[float], **values: Any) -> list[RunConfig]:
        return [
            write_run(curve, **{"seed": seed, **values})
            for seed, curve in enumerate(curves)
        ]

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
            each={"predicted_shares": [_shares(value) for value in val_accuracy]},
        )
        for (optimizer, learning_rate), (
            val_accuracy,
            val_loss,
            accuracy,
        ) in NOTEBOOK.items()
    ]


@pytest.fixture
def make_analysis() -> Callable[..., Analysis]:
    """Give a function that analyses runs; `labels` are then of its configurations."""

    def make(configs: list[RunConfig], labels: tuple[str, ...] = ()) -> Analysis:
        found = analysis.analyse(results.read_results(configs))
        names = labels or [one.label for one in found.configurations]
        configurations = tuple(
            dataclasses.replace(one, label=name)
            for one, name in zip(found.configurations, names, strict=True)
        )
        return dataclasses.replace(found, configurations=configurations)

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


NVIDIA_SMI = """#!/bin/sh
echo "GPU 0: NVIDIA H100 (UUID: GPU-aa01)"
echo "GPU 1: NVIDIA H100 (UUID: GPU-bb02)"
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with two GPUs, as far as nvidia-smi says; give its script."""
    script = tmp_path / "bin" / "nvidia-smi"
    script.parent.mkdir()
    script.write_text(NVIDIA_SMI)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.delenv(machine.CUDA_DEVICES, raising=False)
    return script


@pytest.fixture
def working(write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> Board:
    """Two runs, of which the first is at step 600 of 2,930; give a board of them."""
    now = [0.0]
    monkeypatch.setattr(board.time, "monotonic", lambda: now[0])
    runs = [
        write_run([0.6], status="running", facts={"workers": 2}),
        RunConfig.of(optimizer="adam", epochs=5),
    ]
    shown = Board(runs, runs, 2)
    shown.begin(runs[0])
    shown.begin(runs[1])
    folder = run_folder.run_folder(runs[0])
    os.utime(folder / run_folder.CONFIG, (time.time() + 1,) * 2)
    for step in (590, 600):
        line = {"step": step, "epoch": 2}
        files.append_json_line(folder / run_folder.STEPS, line)
        now[0] += 61.0
        shown.refresh()
    return shown
