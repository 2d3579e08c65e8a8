"""Every schedule against its formula, through the optimizer that takes the steps."""

import math

import keras
import numpy as np
import pytest

from tfpipe.training import schedules, updates
from tfpipe.training.config import OptimizerConfig, RunConfig
from tfpipe.training.naming import identity, run_name

RATE, STEPS = 0.1, 12


def rates(schedule, *arguments, num_batches=STEPS):
    """Return the rate of each step as the optimizer applies it."""
    config = OptimizerConfig(
        optimizer="sgd",
        learning_rate=RATE,
        schedule=schedule,
        schedule_args=arguments,
        **({"decay": 0.5} if schedule == schedules.DEFAULT else {}),
    )
    optimizer = updates.build_optimizer(config, num_batches)
    variable = keras.Variable(np.zeros(1), dtype="float32")
    optimizer.build([variable])
    found = []
    for _ in range(STEPS):
        before, told = float(variable[0]), float(optimizer.learning_rate)
        optimizer.apply([keras.ops.convert_to_tensor([1.0])], [variable])
        assert before - float(variable[0]) == pytest.approx(told, abs=1e-7)
        found.append(told)
    return found


def cosine(part):
    return 0.5 * (1 + math.cos(math.pi * min(part, 1)))


FORMULAS = [
    ("constant", (), lambda t: RATE),
    ("keras2_decay", (), lambda t: RATE / (1 + 0.5 * t)),
    (
        "inverse_time",
        ("decay_steps=4", "decay_rate=2"),
        lambda t: RATE / (1 + 2 * t / 4),
    ),
    (
        "inverse_time",
        ("decay_steps=4", "decay_rate=2", "staircase=true"),
        lambda t: RATE / (1 + 2 * (t // 4)),
    ),
    (
        "exponential",
        ("decay_steps=4", "decay_rate=0.5"),
        lambda t: RATE * 0.5 ** (t / 4),
    ),
    ("cosine", (), lambda t: RATE * cosine(t / STEPS)),
    (
        "cosine",
        ("decay_steps=5", "alpha=0.2"),
        lambda t: RATE * (0.8 * cosine(t / 5) + 0.2),
    ),
    (
        "cosine",
        ("warmup_steps=4", "warmup_start=0.02"),
        lambda t: (
            0.02 + (RATE - 0.02) * t / 4
            if t < 4
            else RATE * cosine((t - 4) / (STEPS - 4))
        ),
    ),
    (
        "cosine_restarts",
        ("first_decay_steps=3", "m_mul=0.5"),
        lambda t: (
            RATE * cosine(t / 3)
            if t < 3
            else (
                RATE / 2 * cosine((t - 3) / 6)
                if t < 9
                else RATE / 4 * cosine((t - 9) / 12)
            )
        ),
    ),
    (
        "polynomial",
        ("end_learning_rate=0.01", "power=2"),
        lambda t: 0.09 * (1 - t / STEPS) ** 2 + 0.01,
    ),
    (
        "piecewise",
        ("boundaries=2:5", "values=0.01:0.001"),
        lambda t: RATE if t <= 2 else (0.01 if t <= 5 else 0.001),
    ),
    (
        "warmup",
        ("warmup_steps=4", "warmup_start=0.02"),
        lambda t: 0.02 + (RATE - 0.02) * min(1, t / 4),
    ),
    ("plateau", (), lambda t: RATE),
]


@pytest.mark.parametrize(
    ("schedule", "arguments", "formula"),
    FORMULAS,
    ids=[f"{name} {','.join(arguments)}" for name, arguments, _ in FORMULAS],
)
def test_a_schedule_is_its_formula(schedule, arguments, formula):
    expected = [formula(t) for t in range(STEPS)]
    np.testing.assert_allclose(rates(schedule, *arguments), expected, rtol=1e-5)


def test_every_schedule_has_its_formula_here():
    assert set(schedules.SCHEDULES) == {name for name, *_ in FORMULAS}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schedule": "cos"}, "schedule must be one of .* got 'cos'; did you mean"),
        ({"schedule": "warmup"}, "must give warmup_steps, got none; add warmup_steps="),
        (
            {"schedule": "warmup", "schedule_args": ("warmup_steps=0",)},
            "warmup_steps in schedule_args must be at least 1, got 0",
        ),
        (
            {"schedule": "constant", "schedule_args": ("alpha=1",)},
            "schedule_args of constant must be some of none at all, got 'alpha'",
        ),
        (
            {"schedule_args": ("alpha=1",)},
            "schedule_args must go with a schedule that takes some, got alpha=1",
        ),
        (
            {
                "schedule": "piecewise",
                "schedule_args": ("boundaries=5:2", "values=1:2"),
            },
            "boundaries in schedule_args must rise",
        ),
        (
            {"schedule": "plateau", "schedule_args": ("monitor=val_los",)},
            "monitor in schedule_args must be one of .* did you mean val_loss",
        ),
        (
            {"schedule": "plateau", "schedule_args": ("factor=1",)},
            "factor in schedule_args must be below 1, got 1",
        ),
        (
            {
                "schedule": "cosine_restarts",
                "schedule_args": ("first_decay_steps=9", "t_mul=0.5"),
            },
            "t_mul in schedule_args must be at least 1, got 0.5",
        ),
        (
            {"schedule": "cosine", "decay": 0.1},
            "decay must be left out with schedule cosine, got 0.1",
        ),
    ],
)
def test_wrong_schedules_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        RunConfig.of(**values)


def test_a_decay_to_the_end_belongs_to_the_number_of_epochs():
    def config(epochs, *arguments):
        return RunConfig.of(schedule="cosine", schedule_args=arguments, epochs=epochs)

    assert identity(config(5)) != identity(config(6))
    assert identity(config(5, "decay_steps=9")) == identity(config(6, "decay_steps=9"))
    assert run_name(config(6)) == "rmsprop-lr0.0001-schedulecosine-epochs6-s0"
    assert run_name(config(5, "alpha=0.1")) == (
        "rmsprop-lr0.0001-schedulecosine-alpha=0.1-s0"
    )
