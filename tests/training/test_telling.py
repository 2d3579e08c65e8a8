"""What a run advises where it collapsed."""

import numpy as np
import pytest

from tfpipe.training import telling
from tfpipe.training.config import OptimizerConfig, RunConfig
from tfpipe.training.measure import Evaluation
from tfpipe.training.position import Position

WARM_UP = {"schedule": "warmup", "schedule_args": ("warmup_steps=5000",)}
COSINE = {"schedule": "cosine", "schedule_args": ("decay_steps=90", "warmup_steps=10")}
EXPONENTIAL = {
    "schedule": "exponential",
    "schedule_args": ("decay_steps=1", "decay_rate=0.5"),
}
WAIT = (
    "the warm-up holds the learning rate at 1e-06 here, below 0.001: give a smaller "
    "warmup_steps in --schedule_args, or train on past update {end}"
)
EASE = (
    "schedule {name} has brought the learning rate from 0.001 down to 1e-06 here: give "
    "other --schedule_args, or --schedule=constant"
)
DECAY = (
    "decay has brought the learning rate from 0.001 down to 1e-06 here: give a smaller "
    "--decay than 0.5"
)
RATES = "some runs leave this state after more epochs; if this one does not, try "


@pytest.mark.parametrize(
    ("values", "applied", "num_updates", "text"),
    [
        (WARM_UP, 1e-6, 5, WAIT.format(end="5,000")),
        (COSINE, 1e-6, 9, WAIT.format(end="10")),
        (COSINE, 1e-6, 99, EASE.format(name="cosine")),
        (EXPONENTIAL, 1e-6, 10, EASE.format(name="exponential")),
        ({"decay": 0.5}, 1e-6, 1998, DECAY),
        # Half of it and more is the rate asked for, more or less.
        (WARM_UP, 5e-4, 2500, RATES),
        (WARM_UP, 1e-3, 6000, RATES),
        ({"decay": 0.5}, 6e-4, 1, RATES),
        # A person's own callback has set it.
        ({"schedule": "constant"}, 1e-6, 10, RATES),
        ({}, 1e-6, 10, RATES),
    ],
)
def test_a_rate_that_a_schedule_holds_down_is_said(values, applied, num_updates, text):
    rule = OptimizerConfig(optimizer="adam", learning_rate=1e-3, **values)
    found = telling.advise(rule, applied, num_updates)
    assert found.startswith(text)
    assert found == text or text == RATES


def evaluate(reporter, applied, num_updates):
    names = (*telling.LOGGED, "train_seconds", "eval_seconds")
    line = {**dict.fromkeys(names, 0.7), "learning_rate": applied}
    answers = np.tile(np.array([[0.9, 0.1]], np.float32), (4, 1))
    collapsed = Evaluation(
        source_ids=np.arange(4), labels=np.array([0, 1, 0, 1]), probabilities=answers
    )
    reporter.report_evaluation(line, collapsed, Position(), num_updates)


def test_rates_are_advised_once_the_warm_up_is_over(tmp_path):
    lines = []
    config = RunConfig.of(optimizer="adam", learning_rate=1e-3, **WARM_UP)
    reporter = telling.Reporter(lines.append, config, tmp_path, ("cat", "dog"))
    for num_updates in (5, 10, 5000, 6000):
        evaluate(reporter, min(1e-3, num_updates / 5e6), num_updates)
    told = [line.strip() for line in lines if not line.startswith("epoch")]
    assert [line.endswith(", as before") for line in told] == [
        *(False, False, True),
        *(False, False, True),
    ]
    assert told[1].startswith("the warm-up holds")
    assert told[4].startswith(RATES)
