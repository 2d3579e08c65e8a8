"""Exact state on disk: the newest checkpoint and the one before, checksummed."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tfpipe.base import files

KEEP = 2


def save_checkpoint(folder: Path, arrays: list[Any], position: dict[str, Any]) -> None:
    """Write a checkpoint of step `position["step"]` and drop all but two.

    Args:
        folder: the run's checkpoint folder.
        arrays: the values of model and optimizer variables, by position.
        position: JSON values: where the run stands.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"step-{position['step']:08d}.npz"
    needed = sum(array.nbytes for array in arrays)
    files.check_free_space(folder, needed + (1 << 20))
    with files.open_aside(path) as file:
        np.savez(file, *arrays)
    # The description comes last: a checkpoint without one was never finished.
    facts = {"sha256": files.file_sha256(path), "position": position}
    files.write_json(path.with_suffix(".json"), facts)
    # Descriptions go first, and arrays that a kill left without one go, too.
    kept = {described.stem for described in sorted(folder.glob("step-*.json"))[-KEEP:]}
    for old in sorted(folder.glob("step-*")):
        if old.stem not in kept:
            old.unlink()


def saved_step(folder: Path) -> int:
    """Return the step of the newest checkpoint, 0 without one."""
    found = (path.stem for path in folder.glob("step-*.json"))
    return max((int(stem.removeprefix("step-")) for stem in found), default=0)


def load_checkpoint(folder: Path) -> tuple[list[Any], dict[str, Any], list[str]] | None:
    """Return (arrays, position, damaged files) of the newest whole checkpoint.

    None where there is no checkpoint at all.

    Raises:
        ValueError: where there are checkpoints, but all are damaged.
    """
    descriptions = sorted(folder.glob("step-*.json"), reverse=True)
    damaged: list[str] = []
    for description in descriptions:
        path = description.with_suffix(".npz")
        try:
            facts = json.loads(description.read_text(encoding="utf-8"))
        except ValueError:
            damaged.append(description.name)
            continue
        if path.exists() and files.file_sha256(path) == facts["sha256"]:
            with np.load(path) as stored:
                arrays = [stored[f"arr_{index}"] for index in range(len(stored.files))]
            return arrays, facts["position"], damaged
        damaged.append(path.name)
    if damaged:
        raise ValueError(
            f"checkpoints in {folder} must match their checksums, got "
            f"{', '.join(damaged)} damaged; start again with --overwrite"
        )
    return None
