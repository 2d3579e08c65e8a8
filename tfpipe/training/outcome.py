"""What came of one run, in a few numbers and in words."""

import itertools
from typing import Any

from tfpipe.base.progress import format_seconds
from tfpipe.training import stages
from tfpipe.training.clocks import PARTS

TARGETS = {f"{percent}_percent": percent / 100 for percent in (10, 50, 90)}
"""Shares of the way from the majority share to 1 that TensorBoard's table shows."""


def summarise(
    evaluations: list[dict[str, Any]], majority_share: float, num_examples: int
) -> dict[str, float]:
    """Return the numbers of a run that TensorBoard's HParams table shows.

    Args:
        evaluations: full ones, in order.
        majority_share: of the largest class in validation.
        num_examples: pictures of validation.

    Returns:
        best_val_accuracy, best_epoch, final_val_accuracy, final_val_loss,
        train_seconds; escaped and reached_<target>, 0 or 1, and where it is 1
        escape_step and steps_to_<target>; {} without any evaluation.
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
    found["escaped"] = escape is not None
    if escape:
        found["escape_step"] = escape.upper
    for name, share in TARGETS.items():
        line = stages.first_reach(evaluations, stages.target(share, majority_share))
        found[f"reached_{name}"] = line is not None
        if line:
            found[f"steps_to_{name}"] = line["step"]
    return {name: float(value) for name, value in found.items()}


def describe(
    evaluations: list[dict[str, Any]],
    majority_share: float,
    num_examples: int,
    *,
    start_loss: float,
    budget: int,
    seconds: dict[str, float],
) -> list[str]:
    """Return the lines that close a run: how good, which stages, where time went.

    Args:
        evaluations, majority_share, num_examples: as for `summarise`.
        start_loss: validation loss before the first step.
        budget: epochs of the whole run.
        seconds: of each part, see `clocks`.
    """
    lines = []
    if evaluations:
        numbers = summarise(evaluations, majority_share, num_examples)
        threshold = stages.escape_threshold(majority_share, num_examples)
        start = stages.describe_escape(evaluations, threshold)
        lines.append(
            f"val_accuracy {numbers['final_val_accuracy']:.4f} at the end, best "
            f"{numbers['best_val_accuracy']:.4f} (epoch {numbers['best_epoch']:g}); "
            f"one class is {majority_share:.4f}; {start}"
        )
        labels = stages.label_stages(
            evaluations,
            majority_share=majority_share,
            num_examples=num_examples,
            start_loss=start_loss,
            budget=budget,
        )
        runs = [(label, len(list(same))) for label, same in itertools.groupby(labels)]
        words = [label + (f" x {n}" if n > 1 else "") for label, n in runs]
        lines.append(f"stages, evaluation by evaluation: {', '.join(words)}")
    parts = [
        f"{part.replace('_', ' ')} {format_seconds(seconds[part])}"
        for part in PARTS
        if seconds[part] >= 0.5
    ]
    lines.append(f"{format_seconds(sum(seconds.values()))} in all: {', '.join(parts)}")
    return lines
