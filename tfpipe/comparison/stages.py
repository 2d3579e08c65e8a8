"""When a run leaves its start: the one event that most runs differ in."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

STANDARD_ERRORS = 3.0


@dataclasses.dataclass(frozen=True)
class Escape:
    """A run left its start after update `lower` and not after update `upper`."""

    lower: int
    upper: int

    def __str__(self) -> str:
        return f"({self.lower}, {self.upper}]"


def escape_threshold(majority_share: float, num_examples: int) -> float:
    """Return the accuracy above which a model does more than answer one class.

    It is the majority share plus 3 standard errors of an accuracy that high,
    sqrt(share * (1 - share) / examples): chance crosses it once in 700 evaluations.
    """
    variance = majority_share * (1 - majority_share) / num_examples
    return majority_share + STANDARD_ERRORS * math.sqrt(variance)


def find_escape(
    evaluations: Sequence[dict[str, Any]], threshold: float
) -> Escape | None:
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


def is_unconfirmed(evaluations: Sequence[dict[str, Any]], threshold: float) -> bool:
    """Tell whether the last evaluation is above the threshold and the one before not.

    Such a run may have left its start; one more evaluation would tell.
    """
    above = [evaluation["val_accuracy"] > threshold for evaluation in evaluations]
    return above[-1:] == [True] and above[-2:-1] != [True]
