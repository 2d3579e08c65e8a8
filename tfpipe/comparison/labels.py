"""What runs and configurations are called: by what they differ in."""

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

from tfpipe.training import naming
from tfpipe.training.config import RunConfig


def configuration_labels(
    runs: Sequence[RunConfig], leave_out: Collection[str] = ()
) -> list[str]:
    """Return a label a run: optimizer, learning rate, and what else differs.

    Args:
        runs: those to tell apart.
        leave_out: settings that labels don't show; see `replicate_labels`.
    """
    split = ("split_seed",) if _follows_seed(runs) else ()
    return label_settings(
        [comparable_settings(run) for run in runs], (*leave_out, *split)
    )


def replicate_labels(runs: Sequence[RunConfig]) -> list[str]:
    """Return a label a run that all replicates of its configuration share.

    Epochs, a budget that may grow, are in it where the learning rate depends on them.
    """
    split = ("split_seed",) if _follows_seed(runs) else ()
    return label_settings([naming.identity(run) for run in runs], split)


def label_settings(
    rows: Sequence[dict[str, Any]], leave_out: Collection[str] = ()
) -> list[str]:
    """Return a label for each of some settings by name: see `configuration_labels`.

    A setting that only some of them have is named where it is.
    """
    hidden = {"optimizer", "learning_rate", *leave_out}
    differing = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if name not in hidden and len({row.get(name) for row in rows}) > 1
    ]
    return [
        " ".join(
            [row["optimizer"]]
            + [format_number(row["learning_rate"])] * ("learning_rate" not in leave_out)
            + [
                f"{name}={format_number(row[name])}"
                for name in differing
                if name in row
            ]
        )
        for row in rows
    ]


def _follows_seed(runs: Sequence[RunConfig]) -> bool:
    """Tell whether each seed has a split of its own: it is the replicate's, then."""
    splits = {(run.run.seed, run.data.split_seed) for run in runs}
    return len({seed for seed, _ in splits}) == len(splits)


def comparable_settings(run: RunConfig) -> dict[str, Any]:
    """Return the settings that tell runs apart: their identity, epochs and seed."""
    budget = {"epochs": run.run.epochs, "seed": run.run.seed}
    return {**naming.identity(run), **budget}


def respell(label: str) -> str:
    """Return a label with its numbers as labels write them: "adam 0.01" of 1e-2."""
    words = []
    for word in label.split():
        name, is_named, value = word.rpartition("=")
        with contextlib.suppress(ValueError):
            value = format_number(float(value))
        words.append(f"{name}{is_named}{value}")
    return " ".join(words)


def format_number(value: Any) -> str:
    """Return a setting as people write it: 1e-4 for 0.0001, 0.01, vgg16."""
    if not isinstance(value, float) or value == 0 or 0.01 <= abs(value) < 1e4:
        return f"{value:g}" if isinstance(value, float) else str(value)
    mantissa, _, exponent = f"{value:.6e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
