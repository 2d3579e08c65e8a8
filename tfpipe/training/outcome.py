"""What came of one run, in a few numbers and in words."""

from typing import Any

from tfpipe.base.progress import format_seconds
from tfpipe.training import stages
from tfpipe.training.clocks import PARTS

SHOWN_TARGETS = (0.1, 0.5, 0.9)
"""Targets that TensorBoard's table has columns for; reports have all."""


def summarise(
    evaluations: list[dict[str, Any]], majority_share: float, num_examples: int
) -> dict[str, float]:
    """Return the numbers of a run that TensorBoard's HParams table shows.

    Args:
        evaluations: full ones, in order.
        majority_share: of the largest class in validation.
        num_examples: pictures of validation.

    Returns:
        best_val_accuracy, best_epoch, final_val_accuracy, final_val_loss and
        train_seconds; escape_step and steps_to_<percent>_percent where reached; {}
        without any evaluation.
    """
    if not evaluations:
        return {}
    best = max(evaluations, key=lambda line: float(line["val_accuracy"]))
    final = evaluations[-1]
    found = {
        "best_val_accuracy": best["val_accuracy"],
        "best_epoch": best["epoch"],
        "final_val_accuracy": final["val_accuracy"],
        "final_val_loss": final["val_loss"],
        "train_seconds": final["train_seconds"],
    }
    threshold = stages.escape_threshold(majority_share, num_examples)
    escape = stages.find_escape(evaluations, threshold)
    if escape:
        found["escape_step"] = escape.upper
    for share in SHOWN_TARGETS:
        line = stages.first_reach(evaluations, stages.target(share, majority_share))
        if line:
            found[f"steps_to_{share:.0%}".replace("%", "_percent")] = line["step"]
    return {name: float(value) for name, value in found.items()}


def describe(
    evaluations: list[dict[str, Any]],
    majority_share: float,
    num_examples: int,
    seconds: dict[str, float],
) -> list[str]:
    """Return the lines that close a run: how good, since when, and where time went.

    `seconds` are those of each part, see `clocks`.
    """
    lines = []
    if evaluations:
        numbers = summarise(evaluations, majority_share, num_examples)
        threshold = stages.escape_threshold(majority_share, num_examples)
        escape = stages.find_escape(evaluations, threshold)
        start = f"left its start in steps {escape}" if escape else "at its start still"
        lines.append(
            f"val_accuracy {numbers['final_val_accuracy']:.4f} at the end, best "
            f"{numbers['best_val_accuracy']:.4f} (epoch {numbers['best_epoch']:g}); "
            f"one class is {majority_share:.4f}; {start}"
        )
    parts = [
        f"{part.replace('_', ' ')} {format_seconds(seconds[part])}"
        for part in PARTS
        if seconds[part] >= 0.5
    ]
    lines.append(f"{format_seconds(sum(seconds.values()))} in all: {', '.join(parts)}")
    return lines
