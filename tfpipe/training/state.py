"""A run's variables, by position, in and out of checkpoints."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfpipe.training import checkpoint
from tfpipe.training.position import Position


def disk_bytes(variables: list[Any]) -> int:
    """Return about how many bytes a run of these variables writes in all.

    The checkpoints kept and the one being written, twice the model, and 16 MB for
    curves and lines.
    """
    sizes = [math.prod(v.shape) * np.dtype(v.dtype).itemsize for v in variables]
    return (checkpoint.KEEP + 3) * int(sum(sizes)) + (16 << 20)


def are_finite(variables: list[Any]) -> bool:
    """Tell whether no value is infinite or NaN."""
    return all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in variables)


def save_state(folder: Path, variables: list[Any], position: Position) -> None:
    """Write the values of `variables` and the position as a checkpoint."""
    arrays = [keras.ops.convert_to_numpy(variable) for variable in variables]
    checkpoint.save_checkpoint(folder, arrays, dataclasses.asdict(position))


def load_state(folder: Path, variables: list[Any]) -> tuple[Position, list[str]]:
    """Assign the newest whole checkpoint to `variables`.

    Returns:
        The position, that of a fresh run where there is no checkpoint, and the names
        of damaged files that were passed over.

    Raises:
        ValueError: where the checkpoint is of other variables.
    """
    stored = checkpoint.load_checkpoint(folder)
    if stored is None:
        return Position(), []
    arrays, position, damaged = stored
    got = [(array.shape, str(array.dtype)) for array in arrays]
    expected = [(tuple(v.shape), str(v.dtype)) for v in variables]
    if got != expected:
        raise ValueError(
            f"checkpoint in {folder} must hold the {len(expected)} variables of this "
            f"model and optimizer, got {len(got)} others; start again with --overwrite"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return Position(**position), damaged
