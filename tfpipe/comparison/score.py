"""Which of two configurations is the better one, by all of their runs."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from tfpipe.comparison.results import RunResult

WORDS = (
    "those with a run that left its start, or may have at its last evaluation, and did "
    "not diverge before all others; of these others, the fewer runs diverged the "
    "better; then mean val_accuracy at the last epoch, a diverged run counting as the "
    "majority share"
)
"""The rule of `Score`, for people."""


class Score(NamedTuple):
    """How good a configuration is; of two scores the higher one is better.

    Accuracy alone would put a rate at which all runs diverge, which counts as the
    majority share, before one at which they answer a smaller class.

    Attributes:
        has_learned: whether any run left its start, if only at its last evaluation,
            and didn't diverge.
        num_whole: where none has, how many didn't diverge; else 0.
        accuracy: the mean validation accuracy at the end, of a run that diverged the
            majority share.
    """

    has_learned: bool
    num_whole: int
    accuracy: float


def score_runs(runs: Sequence[RunResult]) -> Score:
    """Return the score of runs that have ended, at least one."""
    whole = [run for run in runs if run.status != "diverged"]
    has_learned = any(run.escape or run.is_unconfirmed for run in whole)
    return Score(
        has_learned=has_learned,
        num_whole=0 if has_learned else len(whole),
        accuracy=statistics.fmean(run.final_accuracy() for run in runs),
    )
