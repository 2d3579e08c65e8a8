"""The table of optimizers: classes, arguments, what is checked, what is refused.

Keras isn't loaded. A test compares every row with the signature of its class.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfpipe.base import named_values
from tfpipe.base.named_values import Argument, Arguments

# Of every Keras optimizer.
COMMON: Arguments = {
    "weight_decay": Argument(None, float, minimum=0),
    "clipnorm": Argument(None, float, above=0),
    "clipvalue": Argument(None, float, above=0),
    "global_clipnorm": Argument(None, float, above=0),
    "use_ema": Argument(False),
    "ema_momentum": Argument(0.99, minimum=0, maximum=1),
    "ema_overwrite_frequency": Argument(None, int, minimum=1),
    "loss_scale_factor": Argument(None, float, above=0),
    "gradient_accumulation_steps": Argument(None, int, minimum=2),
}
CLIPS = ("clipnorm", "clipvalue", "global_clipnorm")


@dataclasses.dataclass(frozen=True)
class OptimizerRow:
    """One optimizer.

    Attributes:
        class_path: "module:Class".
        default_rate: Keras's default learning rate.
        own: its own arguments, beside the learning rate and the common ones.
        slots: arrays of a weight's size that it keeps, for a weight.
        is_checked: whether tests compare it with a reference in NumPy.
        note: what a user should know.
        refused: why it can't be used; "" where it can.
        other_centre: where a search of learning rates starts, if not at Keras's
            default.
    """

    class_path: str
    default_rate: float
    own: dict[str, Any]
    slots: str
    is_checked: bool = False
    note: str = ""
    refused: str = ""
    other_centre: float | None = None

    @property
    def centre(self) -> float:
        """Where a search of learning rates starts.

        Keras's defaults are good centres: its authors chose each for its own rule, so
        that a search gives no optimizer a head start, and a decade to either side holds
        what published recipes use. Rows whose note says otherwise have another.
        """
        return self.other_centre or self.default_rate

    @property
    def arguments(self) -> Arguments:
        """All arguments but the learning rate, a row's own defaults in place."""
        own = {
            name: value if isinstance(value, Argument) else Argument(value)
            for name, value in self.own.items()
        }
        return {**COMMON, **own}


def _share(default: float) -> Argument:
    return Argument(default, minimum=0, maximum=1)


_EPSILON = Argument(1e-7, minimum=0)
_ADAM = {"beta_1": _share(0.9), "beta_2": _share(0.999), "epsilon": _EPSILON}
# weight_decay where it isn't off by default
_DECAYS = Argument(0.004, float, minimum=0)
_RMSPROP = {
    "rho": _share(0.9),
    "momentum": _share(0.0),
    "epsilon": _EPSILON,
    "centered": False,
}

OPTIMIZERS = {
    "sgd": OptimizerRow(
        "keras.optimizers:SGD",
        0.01,
        {"momentum": _share(0.0), "nesterov": False},
        "none, 1 with momentum",
        is_checked=True,
    ),
    "rmsprop": OptimizerRow(
        "keras.optimizers:RMSprop",
        0.001,
        _RMSPROP,
        "1, 1 more with momentum, 1 more centered",
        is_checked=True,
        note="no bias correction: the first step is 3.2 times the rate",
    ),
    "rmsprop_keras2": OptimizerRow(
        "tfpipe.training.keras2:RMSpropKeras2",
        0.001,
        {"rho": _share(0.9), "epsilon": _EPSILON},
        "1",
        is_checked=True,
        note="Keras 2.3's rule: epsilon outside the root",
    ),
    "adam": OptimizerRow(
        "keras.optimizers:Adam",
        0.001,
        {**_ADAM, "amsgrad": False},
        "2, 3 with amsgrad",
        is_checked=True,
    ),
    "adamw": OptimizerRow(
        "keras.optimizers:AdamW",
        0.001,
        {"weight_decay": _DECAYS, **_ADAM, "amsgrad": False},
        "2, 3 with amsgrad",
        is_checked=True,
    ),
    "nadam": OptimizerRow("keras.optimizers:Nadam", 0.001, _ADAM, "2", is_checked=True),
    "adamax": OptimizerRow("keras.optimizers:Adamax", 0.001, _ADAM, "2"),
    "adagrad": OptimizerRow(
        "keras.optimizers:Adagrad",
        0.001,
        {
            "initial_accumulator_value": Argument(0.1, minimum=0),
            "epsilon": _EPSILON,
        },
        "1",
        is_checked=True,
    ),
    "adadelta": OptimizerRow(
        "keras.optimizers:Adadelta",
        0.001,
        {"rho": _share(0.95), "epsilon": _EPSILON},
        "2",
        note="its paper's rate is 1.0; at 0.001 it hardly moves",
        other_centre=1.0,
    ),
    "adafactor": OptimizerRow(
        "keras.optimizers:Adafactor",
        0.001,
        {
            "beta_2_decay": -0.8,
            "epsilon_1": 1e-30,
            "epsilon_2": 1e-3,
            "clip_threshold": 1.0,
            "relative_step": True,
        },
        "1, and a row and a column",
        note="scales the rate by the weights' own size, and falls with the step",
    ),
    "ftrl": OptimizerRow(
        "keras.optimizers:Ftrl",
        0.001,
        {
            "learning_rate_power": -0.5,
            "initial_accumulator_value": 0.1,
            "l1_regularization_strength": 0.0,
            "l2_regularization_strength": 0.0,
            "l2_shrinkage_regularization_strength": 0.0,
            "beta": 0.0,
        },
        "2",
    ),
    "lion": OptimizerRow(
        "keras.optimizers:Lion",
        0.001,
        {"beta_1": _share(0.9), "beta_2": _share(0.99)},
        "1",
        is_checked=True,
        note="steps by sign: wants a smaller rate than adam",
        other_centre=1e-4,
    ),
    "lamb": OptimizerRow("keras.optimizers:Lamb", 0.001, _ADAM, "2"),
    "muon": OptimizerRow(
        "keras.optimizers:Muon",
        0.001,
        {
            "adam_beta_1": _share(0.9),
            "adam_beta_2": _share(0.999),
            "adam_weight_decay": Argument(0.004, minimum=0),
            "epsilon": _EPSILON,
            "weight_decay": _DECAYS,
            "exclude_layers": Argument(None, list[str]),
            "exclude_embeddings": True,
            "muon_a": 3.4445,
            "muon_b": -4.7750,
            "muon_c": 2.0315,
            "adam_lr_ratio": Argument(1, float),
            "momentum": _share(0.95),
            "ns_steps": Argument(5, minimum=1),
            "nesterov": True,
            "rms_rate": 0.2,
        },
        "1 for a matrix, 2 for all else",
        note="only matrices are its own, all else is adam's, convolutions too",
    ),
    "schedulefreeadamw": OptimizerRow(
        "keras.optimizers:ScheduleFreeAdamW",
        0.0025,
        {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8, "warmup_steps": 0},
        "2",
        refused=(
            "Keras 3.15 averages with the new momentum where the rule says the old one "
            "(on w^2/2 it is at 0.7601 after 4 steps, the rule at 0.7467), and "
            "evaluates between averages"
        ),
    ),
}


def parse_args(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of an optimizer of the table, checked by name and type.

    Raises:
        ValueError: for what its class doesn't take, or what couldn't act.
    """
    accepted = OPTIMIZERS[name].arguments
    given = named_values.parse(texts, accepted, "optimizer_args", name)
    check_together(given, accepted)
    return given


def check_together(given: dict[str, Any], accepted: Arguments) -> None:
    """Refuse arguments that exclude each other, or do nothing without another.

    Raises:
        ValueError: naming them.
    """
    clips = [name for name in CLIPS if given.get(name) is not None]
    if len(clips) > 1:
        raise ValueError(
            f"optimizer_args must have one way of clipping, got {' and '.join(clips)}; "
            "leave one out"
        )
    needs = {"ema_momentum": "use_ema", "ema_overwrite_frequency": "use_ema"}
    if "momentum" in accepted and accepted["momentum"].default == 0:
        needs["nesterov"] = "momentum"
    for name, other in needs.items():
        if given.get(name) and not given.get(other):
            raise ValueError(
                f"optimizer_args must give {other} for {name}, which does nothing "
                f"without, got none; add {other} or leave {name} out"
            )
    if given.get("use_ema") and given.get("gradient_accumulation_steps"):
        raise ValueError(
            "optimizer_args must not have both use_ema and gradient_accumulation_steps"
            ", got both: Keras would average at every batch; leave one out"
        )


def canonical_args(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return arguments in one spelling, so that equal ones are one configuration.

    Raises:
        ValueError: as `parse_args`.
    """
    row = OPTIMIZERS[name]
    return named_values.canonical(parse_args(name, texts), row.arguments)


def describe_row(name: str) -> str:
    """Return what a user should know of an optimizer before its run, or ""."""
    row = OPTIMIZERS[name]
    notes = [row.note] if row.note else []
    if not row.is_checked:
        notes.append("not checked against a reference here")
    return "; ".join(notes)
