"""Everything that config.json says of a run beside its settings."""

import os
import time
from importlib import metadata
from typing import Any

import keras

from tfpipe.base import machine
from tfpipe.data.streaming.source import Source
from tfpipe.training import catalog, devices, models, promise, run_folder
from tfpipe.training import config as run_config
from tfpipe.training.config import RunConfig

# What a run that goes on must find as it was.
FIXED = (
    "dataset_fingerprint",
    "precision",
    "backend",
    "initial_weights_sha256",
    "own_code_sha256",
)
# Switches that change what oneDNN sums, recorded where one is set.
ONEDNN_SWITCHES = (
    "TF_SET_ONEDNN_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "DNNL_DEFAULT_FPMATH_MODE",
)
PACKAGES = ("keras", "tensorflow", "numpy", "pillow", "simplejpeg", "jax")


def collect_facts(
    config: RunConfig,
    source: Source,
    model: keras.Model,
    precision: tuple[str, str],
    train_examples: int,
    steps_per_epoch: int,
) -> dict[str, Any]:
    """Return the contents of config.json.

    Args:
        config: the run.
        source: its records and their splits.
        model: compiled, with its initial weights.
        precision: what was chosen, and why.
        train_examples: pictures trained on an epoch.
        steps_per_epoch: batches an epoch.
    """
    own = [config.model.model, config.optimizer.optimizer]
    return {
        "format_version": run_folder.FORMAT_VERSION,
        "began_seconds": round(time.time(), 3),
        "config": run_config.to_json(config),
        "command": promise.train_command(config),
        "optimizer": keras.saving.serialize_keras_object(model.optimizer),
        "precision": precision[0],
        "precision_reason": precision[1],
        "backend": keras.backend.backend(),
        "device": devices.describe(),
        "machine": machine.describe(),
        # Runs that shared the machine and the GPU, this one among them.
        "workers": machine.num_workers(),
        "gpu_workers": machine.num_gpu_workers(),
        "versions": _versions(),
        "own_code_sha256": {
            name: catalog.own_code_sha256(name) for name in own if catalog.is_own(name)
        },
        "dataset_fingerprint": source.manifest.fingerprint,
        "class_names": list(source.manifest.class_names),
        "split_sizes": {name: len(s.ids) for name, s in source.splits.items()},
        "validation_class_counts": list(source.splits["validation"].class_counts),
        "train_examples": train_examples,
        "steps_per_epoch": steps_per_epoch,
        "num_parameters": model.count_params(),
        "initial_weights_sha256": models.weights_sha256(model),
        "shortened": brands(config, len(source.splits["train"].ids)),
    }


def brands(config: RunConfig, whole: int) -> list[str]:
    """Say in what a run is less than the `whole` of train, for every table to show."""
    found = []
    asked = config.data.train_examples
    if 0 < asked < whole:
        found.append(f"{asked:,} of {whole:,} train examples")
    if config.run.max_steps:
        found.append(f"at most {config.run.max_steps:,} steps")
    return found


def add_session(
    begun: dict[str, Any], now: dict[str, Any], step: int, lost: dict[str, Any]
) -> dict[str, Any]:
    """Return config.json of a run that goes on behind `step`.

    The settings are today's, whose budget may have grown; the rest is as the run
    began, and `sessions` lists where it went on, and what was `lost` before: steps
    behind the checkpoint, and their seconds, which are in no clock.
    """
    names = ("command", "device", "machine", "workers", "gpu_workers", "versions")
    session = {name: now[name] for name in names}
    sessions = [*begun.get("sessions", []), {"from_step": step, **lost, **session}]
    changed = {"config": now["config"], "command": now["command"]}
    return {**begun, **changed, "sessions": sessions}


def _versions() -> dict[str, str]:
    versions = {"tfpipe": metadata_version("tfpipe")}
    versions |= {name: metadata_version(name) for name in PACKAGES}
    versions["keras_backend"] = keras.backend.backend()
    versions["TF_ENABLE_ONEDNN_OPTS"] = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    switches = {name: os.environ.get(name, "") for name in ONEDNN_SWITCHES}
    return versions | {name: value for name, value in switches.items() if value}


def metadata_version(name: str) -> str:
    """Return the installed version of a package, "not installed" without one."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
