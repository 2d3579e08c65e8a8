"""The table of learning rate schedules, and what each takes. Keras isn't loaded.

Steps are updates of the weights, counted from 0. Names and formulas are those of
`keras.optimizers.schedules`; where Keras has none, the table says the formula.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfpipe.base import named_values
from tfpipe.base.named_values import REQUIRED, Argument, Arguments
from tfpipe.base.settings import did_you_mean
from tfpipe.training.measure import MONITORS

DEFAULT = "keras2_decay"
# Their decay ends with the run where decay_steps is 0.
TO_THE_END = ("cosine", "polynomial")


@dataclasses.dataclass(frozen=True)
class ScheduleRow:
    """One schedule: what it does, and its arguments."""

    summary: str
    arguments: Arguments


_STEPS = Argument(REQUIRED, int)
_RATE = Argument(REQUIRED, float)
_STAIRS = Argument(False)
_TO_THE_END = Argument(0)  # 0: to the end of the run

SCHEDULES = {
    DEFAULT: ScheduleRow("learning_rate / (1 + decay t), by --decay", {}),
    "constant": ScheduleRow("learning_rate", {}),
    "inverse_time": ScheduleRow(
        "learning_rate / (1 + decay_rate t / decay_steps)",
        {"decay_steps": _STEPS, "decay_rate": _RATE, "staircase": _STAIRS},
    ),
    "exponential": ScheduleRow(
        "learning_rate x decay_rate^(t / decay_steps)",
        {"decay_steps": _STEPS, "decay_rate": _RATE, "staircase": _STAIRS},
    ),
    "cosine": ScheduleRow(
        "from warmup_start to learning_rate in warmup_steps, then down half a cosine "
        "to alpha x learning_rate in decay_steps",
        {
            "decay_steps": _TO_THE_END,
            "alpha": Argument(0.0),
            "warmup_steps": Argument(0),
            "warmup_start": Argument(0.0),
        },
    ),
    "cosine_restarts": ScheduleRow(
        "half cosines down to alpha x learning_rate, each t_mul times as long and from "
        "m_mul times as high as the one before",
        {
            "first_decay_steps": _STEPS,
            "t_mul": Argument(2.0),
            "m_mul": Argument(1.0),
            "alpha": Argument(0.0),
        },
    ),
    "polynomial": ScheduleRow(
        "(learning_rate - end_learning_rate) (1 - t / decay_steps)^power + "
        "end_learning_rate",
        {
            "decay_steps": _TO_THE_END,
            "end_learning_rate": _RATE,
            "power": Argument(1.0),
            "cycle": Argument(False),
        },
    ),
    "piecewise": ScheduleRow(
        "learning_rate to the first of boundaries, then the first of values, and so on "
        "(boundaries=586:1172,values=1e-5:1e-6)",
        {
            "boundaries": Argument(REQUIRED, list[int]),
            "values": Argument(REQUIRED, list[float]),
        },
    ),
    "warmup": ScheduleRow(
        "from warmup_start to learning_rate in warmup_steps, then learning_rate: "
        "warmup_start + (learning_rate - warmup_start) min(1, t / warmup_steps)",
        {"warmup_steps": _STEPS, "warmup_start": Argument(0.0)},
    ),
    "plateau": ScheduleRow(
        "times factor when monitor hasn't improved by min_delta for patience epochs "
        "(Keras's ReduceLROnPlateau)",
        {
            "monitor": Argument("val_loss"),
            "factor": Argument(0.1),
            "patience": Argument(10),
            "min_delta": Argument(1e-4),
            "cooldown": Argument(0),
            "min_lr": Argument(0.0),
        },
    ),
}


def parse_args(schedule: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of a schedule, checked by name, type and range.

    Raises:
        ValueError: for what it doesn't take.
    """
    accepted = SCHEDULES[schedule].arguments
    if schedule == DEFAULT and texts:
        takers = [name for name, row in SCHEDULES.items() if row.arguments]
        raise ValueError(
            f"schedule_args must go with a schedule that takes some, got "
            f"{','.join(texts)} for {schedule}; say --schedule={takers[0]} or another "
            f"of {', '.join(takers[1:])}"
        )
    values = named_values.parse(texts, accepted, "schedule_args", schedule)
    for name, value in values.items():
        least = 1 if accepted[name] is _STEPS else 0
        for number in value if isinstance(value, list) else (value,):
            if not isinstance(number, str) and number < least:
                raise ValueError(
                    f"{name} in schedule_args must be at least {least}, got {number}"
                )
    monitor = values.get("monitor", MONITORS[0])
    if monitor not in MONITORS:
        raise ValueError(
            f"monitor in schedule_args must be one of {', '.join(MONITORS)}, got "
            f"{monitor!r}{did_you_mean(monitor, MONITORS)}"
        )
    boundaries, rates = values.get("boundaries", []), values.get("values", [])
    if len(boundaries) != len(rates) or boundaries != sorted(set(boundaries)):
        raise ValueError(
            "boundaries in schedule_args must rise and be as many as values, got "
            f"{len(boundaries)} and {len(rates)}; the rate before the first boundary "
            "is --learning_rate"
        )
    if values.get("t_mul", 1) < 1:
        raise ValueError(
            f"t_mul in schedule_args must be at least 1, got {values['t_mul']:g}; "
            "shorter and shorter parts would come to an end"
        )
    if values.get("factor", 0.1) >= 1:
        raise ValueError(
            f"factor in schedule_args must be below 1, got {values['factor']:g}"
        )
    return values


def canonical_args(schedule: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return arguments in one spelling, so that equal ones are one configuration.

    Raises:
        ValueError: as `parse_args`.
    """
    values = parse_args(schedule, texts)
    return named_values.canonical(values, SCHEDULES[schedule].arguments)


def depends_on_length(schedule: str, texts: Sequence[str]) -> bool:
    """Tell whether another number of epochs would give other rates from the start."""
    decay_steps = parse_args(schedule, texts).get("decay_steps", 0)
    return schedule in TO_THE_END and not decay_steps
