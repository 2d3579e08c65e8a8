"""Which of two configurations is the better one."""

import pytest

from tfpipe.comparison import results, score

LEARNED, PLATEAU, SMALLER_CLASS = [0.6, 0.7], [0.5, 0.5], [0.4899, 0.4899]


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ([LEARNED], [PLATEAU]),
        ([[0.53, 0.53]], [[0.6, 0.5]]),  # the one that left its start for good
        ([[0.5, 0.7], [0.5, 0.7]], [[0.6, 0.6], PLATEAU]),  # left in the last epoch
        ([[0.5, 0.53]], [PLATEAU]),
        ([SMALLER_CLASS], [None]),
        ([SMALLER_CLASS, SMALLER_CLASS], [PLATEAU, None]),
        ([LEARNED, None], [PLATEAU, PLATEAU]),
        ([LEARNED, LEARNED], [LEARNED, None]),
    ],
    ids=str,
)
def test_what_is_better(write_run, better, worse):
    """None is a run that diverged; it counts as the majority share, 0.5101."""

    def score_of(curves, optimizer):
        runs = [
            write_run(
                curve or LEARNED,
                seed=seed,
                optimizer=optimizer,
                status="done" if curve else "diverged",
            )
            for seed, curve in enumerate(curves)
        ]
        return score.score_runs(results.read_results(runs))

    assert score_of(better, "adam") > score_of(worse, "sgd")
