import math

import pytest

from tests.comparison.conftest import NOTEBOOK
from tfpipe.training import stages
from tfpipe.training.stages import Escape

NOTEBOOK_THRESHOLD = stages.escape_threshold(3188 / 6250, 6250)


def evaluations(*accuracies, steps=586):
    return [
        {"step": steps * number, "val_accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, start=1)
    ]


def test_threshold_is_majority_share_and_three_standard_errors():
    assert pytest.approx(0.5 + 3 * 0.05) == stages.escape_threshold(0.5, 100)
    assert pytest.approx(0.529, abs=5e-4) == NOTEBOOK_THRESHOLD


@pytest.mark.parametrize(
    ("accuracies", "escape"),
    [
        ((0.6264, 0.6475, 0.7590, 0.7562, 0.7997), Escape(0, 586)),
        ((0.4899, 0.4899, 0.5712, 0.6205, 0.6858), Escape(1172, 1758)),
        ((0.5130, 0.5403, 0.4901, 0.4899, 0.4899), None),
        ((0.4899, 0.4899, 0.4899, 0.4899, 0.4899), None),
    ],
)
def test_escapes_of_the_notebook(accuracies, escape):
    found = stages.find_escape(evaluations(*accuracies), NOTEBOOK_THRESHOLD)
    assert found == escape


def test_one_evaluation_above_falls_back_and_a_later_pair_counts():
    lines = evaluations(0.49, 0.8, 0.49, 0.8, 0.8, steps=10)
    assert stages.find_escape(lines, 0.53) == Escape(30, 40)


def test_exactly_the_threshold_is_not_above_it():
    assert stages.find_escape(evaluations(0.53, 0.53), 0.53) is None


def test_an_evaluation_before_the_first_step_opens_the_bracket_at_zero():
    lines = [{"step": 0, "val_accuracy": 0.5}, *evaluations(0.8, 0.8)]
    assert stages.find_escape(lines, 0.53) == Escape(0, 586)


@pytest.mark.parametrize(
    ("accuracies", "unconfirmed"),
    [
        ((), False),
        ((0.8,), True),
        ((0.5, 0.8), True),
        ((0.8, 0.8), False),
        ((0.8, 0.5), False),
    ],
)
def test_only_a_single_last_evaluation_above_is_unconfirmed(accuracies, unconfirmed):
    assert stages.is_unconfirmed(evaluations(*accuracies), 0.53) == unconfirmed
    words = stages.describe_escape(evaluations(*accuracies), 0.53)
    assert words.startswith("perhaps left its start by step ") == unconfirmed


def test_bracket_reads_as_half_open():
    assert str(Escape(1172, 1758)) == "(1172, 1758]"


START_LOSS = 0.6933
LETTERS = {
    "diverged": "X",
    "collapsed": "C",
    "plateau": "P",
    "descent": "D",
    "saturation": "S",
    "overfit": "O",
}


def letters(lines, *, budget=5, majority=3188 / 6250, examples=6250):
    found = stages.label_stages(
        lines,
        majority_share=majority,
        num_examples=examples,
        start_loss=START_LOSS,
        budget=budget,
    )
    return "".join(LETTERS[label] for label in found)


def full(accuracies, losses=None, shares=None, train=None):
    number = len(accuracies)
    return [
        {
            **line,
            "val_loss": (losses or [0.69] * number)[index],
            "loss": (train or [0.69] * number)[index],
            "predicted_shares": (shares or [[0.5, 0.5]] * number)[index],
        }
        for index, line in enumerate(evaluations(*accuracies))
    ]


@pytest.mark.parametrize(
    ("run", "expected"),
    [(0, "DDDDD"), (1, "CCDDD"), (2, "PPCCC"), (3, "CCCCC")],
)
def test_stages_of_the_notebook(run, expected):
    accuracies, losses, _ = list(NOTEBOOK.values())[run]
    # It stored no answers; 0.4899 is the share of one class, 0.4901 one picture more.
    shares = [[0.0, 1.0] if a <= 0.4901 else [0.5, 0.5] for a in accuracies]
    assert letters(full(accuracies, losses, shares)) == expected


def test_two_losses_far_above_the_start_are_divergence():
    lines = full([0.5, 0.5, 0.5, 0.5], [0.7, 4.0, 0.7, 4.0])
    assert letters(lines) == "PPPP"
    lines = full([0.5, 0.5, 0.5, 0.5], [0.7, 4.0, 4.0, math.inf])
    assert letters(lines) == "PXXX"


def test_a_best_that_stays_is_saturation():
    lines = full([0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.801])
    assert letters(lines) == "DDDDDSS"


def test_a_tenth_of_a_long_budget_is_patience():
    lines = full([0.6, 0.7, 0.8, 0.8, 0.8, 0.8, 0.801])
    assert letters(lines, budget=100) == "DDDDDDD"


def test_three_high_validation_losses_while_train_falls_are_overfitting():
    accuracies = [0.6, 0.7, 0.7, 0.7, 0.7, 0.7]
    losses = [0.6, 0.5, 0.53, 0.53, 0.53, 0.53]
    falling = [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert letters(full(accuracies, losses, train=falling)) == "DDDDOO"
    assert letters(full(accuracies, losses, train=[0.4] * 6)) == "DDDDSS"


def test_what_a_run_does_after_its_escape_is_no_plateau():
    lines = full([0.6, 0.6, 0.5, 0.5, 0.5], shares=[[0.5, 0.5]] * 4 + [[1.0, 0.0]])
    assert letters(lines) == "DDDSS"
