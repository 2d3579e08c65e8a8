"""In which stage of training a run is, evaluation by evaluation.

One label a full evaluation, the first that fits: *diverged*; before the run left its
start *collapsed* or *plateau*; after it *overfit*, *descent* or *saturation*.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

Line = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """What tells the stages apart."""

    escape_errors: float = 3.0
    """Standard errors above the majority share that two evaluations must exceed."""
    collapsed_share: float = 0.995
    """Share of pictures answered by one class from which on a run is collapsed."""
    diverged_factor: float = 5.0
    """Times the loss at the start above which two evaluations are diverged."""
    overfit_factor: float = 1.05
    """Times the lowest validation loss so far at which a run overfits."""
    overfit_evaluations: int = 3
    """Evaluations in a row that must be that high, the train loss falling."""
    descent_errors: float = 1.0
    """Standard errors by which the best accuracy of a descent has grown."""
    descent_evaluations: int = 3
    """Evaluations within which it has, or `descent_share` of the budget if more."""
    descent_share: float = 0.1


DEFAULT = Thresholds()
TARGETS = tuple(tenth / 10 for tenth in range(1, 10))
"""Shares of the way from the majority share to an accuracy of 1."""


@dataclasses.dataclass(frozen=True)
class Escape:
    """A run left its start after update `lower` and not after update `upper`."""

    lower: int
    upper: int

    def __str__(self) -> str:
        return f"({self.lower}, {self.upper}]"


def standard_error(majority_share: float, num_examples: int) -> float:
    """Return sqrt(share (1 - share) / examples), an accuracy's at the majority share.

    That of a binomial; for 6,250 pictures of two even classes 0.0063.
    """
    return math.sqrt(majority_share * (1 - majority_share) / num_examples)


def escape_threshold(
    majority_share: float, num_examples: int, errors: float = DEFAULT.escape_errors
) -> float:
    """Return the accuracy above which a model does more than answer one class.

    It is the majority share plus 3 standard errors of an accuracy that high: chance
    crosses it once in 700 evaluations.
    """
    return majority_share + errors * standard_error(majority_share, num_examples)


def find_escape(evaluations: Sequence[Line], threshold: float) -> Escape | None:
    """Return when a run left its start, None where it never did.

    It left by the first of two consecutive evaluations above the threshold; a single
    one falls back. Evaluations are those of the whole validation split, in order of
    `step` (updates), with `val_accuracy`; step 0 is a start by definition.
    """
    lower = 0
    for now, following in itertools.pairwise(evaluations):
        if min(now["val_accuracy"], following["val_accuracy"]) > threshold:
            return Escape(lower, now["step"])
        lower = now["step"]
    return None


def is_unconfirmed(evaluations: Sequence[Line], threshold: float) -> bool:
    """Tell whether the last evaluation is above the threshold and the one before not.

    Such a run may have left its start; one more evaluation would tell.
    """
    above = [evaluation["val_accuracy"] > threshold for evaluation in evaluations]
    return above[-1:] == [True] and above[-2:-1] != [True]


def describe_escape(evaluations: Sequence[Line], threshold: float) -> str:
    """Return when a run left its start, or perhaps did, in words."""
    escape = find_escape(evaluations, threshold)
    if escape:
        return f"left its start in steps {escape}"
    if is_unconfirmed(evaluations, threshold):
        step = evaluations[-1]["step"]
        return f"perhaps left its start by step {step}, its last evaluation"
    return "not left its start"


def target(share: float, majority_share: float) -> float:
    """Return the accuracy that is `share` of the way from the majority share to 1."""
    return majority_share + share * (1 - majority_share)


def first_reach(evaluations: Sequence[Line], accuracy: float) -> Line | None:
    """Return the first evaluation at or above an accuracy, None where there is none."""
    reached = (line for line in evaluations if line["val_accuracy"] >= accuracy)
    return next(reached, None)


def label_stages(
    evaluations: Sequence[Line],
    *,
    majority_share: float,
    num_examples: int,
    start_loss: float,
    budget: int,
    thresholds: Thresholds = DEFAULT,
) -> list[str]:
    """Return the stage of each evaluation.

    Args:
        evaluations: of the whole validation split, in order: step, val_accuracy,
            val_loss, predicted_shares, train_eval_loss (or loss).
        majority_share: of the largest class in validation.
        num_examples: pictures in validation.
        start_loss: validation loss before the first step.
        budget: evaluations of the whole run.
        thresholds: what tells stages apart.
    """
    limit = escape_threshold(majority_share, num_examples, thresholds.escape_errors)
    escape = find_escape(evaluations, limit)
    error = standard_error(majority_share, num_examples)
    share = math.ceil(thresholds.descent_share * budget)
    window = max(thresholds.descent_evaluations, share)
    labels = []
    for index, line in enumerate(evaluations):
        if _is_diverged(evaluations, index, start_loss, thresholds):
            label = "diverged"
        elif escape is None or line["step"] < escape.upper:
            shares = line.get("predicted_shares") or [0.0]
            is_one = max(shares) >= thresholds.collapsed_share
            label = "collapsed" if is_one else "plateau"
        elif _is_overfit(evaluations[: index + 1], thresholds):
            label = "overfit"
        else:
            accuracies = [e["val_accuracy"] for e in evaluations[: index + 1]]
            before = max(accuracies[: max(0, index + 1 - window)], default=0.0)
            gain = max(accuracies) - max(before, majority_share)
            is_rising = gain >= thresholds.descent_errors * error
            label = "descent" if is_rising else "saturation"
        labels.append(label)
    return labels


def _is_diverged(
    evaluations: Sequence[Line], index: int, start_loss: float, thresholds: Thresholds
) -> bool:
    """Tell whether a loss isn't finite, or is one of two in a row that are too high."""

    def is_high(number: int) -> bool:
        if not 0 <= number < len(evaluations):
            return False
        return bool(
            evaluations[number]["val_loss"] > thresholds.diverged_factor * start_loss
        )

    if not math.isfinite(evaluations[index]["val_loss"]):
        return True
    return is_high(index) and (is_high(index - 1) or is_high(index + 1))


def _is_overfit(evaluations: Sequence[Line], thresholds: Thresholds) -> bool:
    """Tell whether validation got worse for some evaluations while train got better."""
    last = evaluations[-thresholds.overfit_evaluations :]
    if len(last) < thresholds.overfit_evaluations:
        return False
    lowest = min(line["val_loss"] for line in evaluations)
    train: list[float] = [
        line["train_eval_loss" if "train_eval_loss" in line else "loss"]
        for line in last
    ]
    is_high = all(
        line["val_loss"] >= thresholds.overfit_factor * lowest for line in last
    )
    return is_high and train[-1] < train[0]
