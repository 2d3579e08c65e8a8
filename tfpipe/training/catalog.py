"""The menu: optimizers and models by name, without loading Keras.

Optimizers are the rows of `optimizers.py`. A model of `keras.applications` is a name
here; others are built in `models.py`.
"""

import importlib.util
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.base.settings import did_you_mean
from tfpipe.training.optimizers import OPTIMIZERS

EXPERIMENT_RATE = 1e-4


# The names of keras.applications in lower case; a test compares them with Keras.
APPLICATIONS = (
    "convnextbase",
    "convnextlarge",
    "convnextsmall",
    "convnexttiny",
    "convnextxlarge",
    "densenet121",
    "densenet169",
    "densenet201",
    "efficientnetb0",
    "efficientnetb1",
    "efficientnetb2",
    "efficientnetb3",
    "efficientnetb4",
    "efficientnetb5",
    "efficientnetb6",
    "efficientnetb7",
    "efficientnetv2b0",
    "efficientnetv2b1",
    "efficientnetv2b2",
    "efficientnetv2b3",
    "efficientnetv2l",
    "efficientnetv2m",
    "efficientnetv2s",
    "inceptionresnetv2",
    "inceptionv3",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3large",
    "mobilenetv3small",
    "nasnetlarge",
    "nasnetmobile",
    "resnet101",
    "resnet101v2",
    "resnet152",
    "resnet152v2",
    "resnet50",
    "resnet50v2",
    "vgg16",
    "vgg19",
    "xception",
)
MODELS = (*APPLICATIONS, "small_cnn")


def check_optimizer(name: str) -> None:
    """Refuse an optimizer that is neither in the table nor a person's own.

    Raises:
        ValueError: listing the names, or for one with a defect.
    """
    row = OPTIMIZERS.get(name)
    if row and row.refused:
        raise ValueError(
            f"optimizer must be one whose rule is kept, got {name}: {row.refused}; "
            "choose another"
        )
    known = [name for name, row in OPTIMIZERS.items() if not row.refused]
    _check_name("optimizer", name, known, "package.module:Class")


def check_model(name: str) -> None:
    """Refuse a model that is neither known nor a person's own.

    Raises:
        ValueError: listing the names.
    """
    _check_name("model", name, MODELS, "package.module:function")


def _check_name(what: str, name: str, known: Any, own_form: str) -> None:
    if is_own(name) or name in known:
        return
    raise ValueError(
        f"{what} must be one of {', '.join(known)} or your own {own_form}, got "
        f"{name!r}{did_you_mean(name, known)}"
    )


def is_own(name: str) -> bool:
    """Tell whether a name means a person's own code: `package.module:attribute`."""
    module, colon, attribute = name.partition(":")
    parts = module.split(".")
    return bool(colon and attribute) and all(part.isidentifier() for part in parts)


def own_code_sha256(name: str) -> str:
    """Return the sha256 of the file that holds a person's own code.

    Raises:
        ValueError: where its module can't be found.
    """
    module = name.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.origin is None:
        raise ValueError(
            f"module of {name} must be importable from here, got no module {module}; "
            "give the command in the folder that holds it, or set PYTHONPATH"
        )
    return files.file_sha256(Path(spec.origin))


def advise_rate(optimizer: str, rate: float) -> str:
    """Say which learning rates are worth a try where `rate` has led nowhere.

    Keras's default where it is larger; and a tenth, since a rate at or above the
    default more often breaks a deep net's start than it is too small.
    """
    row = OPTIMIZERS.get(optimizer)
    rates = [row.default_rate] if row and rate < row.default_rate else []
    flags = " or ".join(f"--learning_rate={value:g}" for value in [*rates, rate / 10])
    return (
        "some runs leave this state after more epochs; if this one does not, "
        f"try {flags}"
    )


def describe_rate(optimizer: str, rate: float) -> str:
    """Say where a learning rate stands: the experiment's, and Keras's default."""
    notes = ["the experiment's"] if rate == EXPERIMENT_RATE else []
    row = OPTIMIZERS.get(optimizer)
    if row:
        same = rate == row.default_rate
        notes.append(
            f"Keras's default for {optimizer}"
            if same
            else f"Keras's default for {optimizer} is {row.default_rate:g}"
        )
    return f"{rate:g}" + (f" ({'; '.join(notes)})" if notes else "")
