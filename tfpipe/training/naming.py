"""What tells one run from others: the settings that count, its folder's name."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import settings
from tfpipe.training import catalog, optimizers, schedules
from tfpipe.training.config import RunConfig, StoppingConfig, can_stop
from tfpipe.training.measure import metric_name

MAX_NAME_LENGTH = 120


def identity(config: RunConfig) -> dict[str, Any]:
    """Return the settings that change numbers, without the seed.

    Nor the epochs, but where the learning rate depends on how many there are. Early
    stopping that can't act is off.
    """
    values, rule = in_words(config), config.optimizer
    if not can_stop(config):
        values |= dataclasses.asdict(StoppingConfig(early_stopping="off"))
    values["monitor"] = metric_name(values["monitor"])
    # Equal arguments in one spelling, without those that are defaults.
    arguments = {
        "schedule_args": schedules.canonical_args(rule.schedule, rule.schedule_args),
        "optimizer_args": tuple(sorted(rule.optimizer_args))
        if catalog.is_own(rule.optimizer)
        else optimizers.canonical_args(rule.optimizer, rule.optimizer_args),
    }
    values |= {name: _as_word(texts) for name, texts in arguments.items()}
    if rule.schedule != schedules.DEFAULT:
        values["decay"] = 0.0  # which it isn't asked for
    names = [
        field.name
        for _, field, _ in settings.settings_of(RunConfig)
        if field.metadata["identity"]
    ]
    if schedules.depends_on_length(rule.schedule, rule.schedule_args):
        names.append("epochs")
    return {name: values[name] for name in names}


def in_words(config: RunConfig) -> dict[str, Any]:
    """Return all settings by flat name, a list as one word: "crop+flip" or "none"."""
    return {
        name: _as_word(value) if isinstance(value, list) else value
        for name, value in settings.flatten(config).items()
    }


def _as_word(texts: Sequence[str]) -> str:
    return "+".join(texts) or "none"


_STOPPING = dataclasses.fields(StoppingConfig)


def run_name(config: RunConfig) -> str:
    """Return the name of the run's folder below runs_dir.

    `<optimizer>-lr<rate>[-<field><value> of each non-default field]-s<seed>`, unless
    the config names it; too long a name ends in a digest of the whole.
    """
    if config.run.run_name:
        return config.run.run_name
    default = in_words(RunConfig())
    values = identity(config)
    # As given: whether early stopping can act depends on the epochs, a name mustn't.
    given = in_words(config)
    if config.stopping.early_stopping != "off":
        values |= {field.name: given[field.name] for field in _STOPPING}
        values["monitor"] = metric_name(values["monitor"])
    if values["schedule"] != schedules.DEFAULT:
        values.pop("decay")  # it is always 0 then
    parts = [values.pop("optimizer"), f"lr{values.pop('learning_rate'):g}"]
    values["weights"] = Path(values["weights"]).name
    for name, value in values.items():
        # A run that ends early by the default rule and one without share a name: they
        # are the same until then.
        if value == default[name] or (name, value) == ("early_stopping", "off"):
            continue
        word = name
        if name.endswith("_args"):  # have names of their own, and lists like 2:5
            word, value = "", value.replace(":", ",")
        parts.append(f"{word}{value:g}" if type(value) is float else f"{word}{value}")
    return folder_name("-".join(parts), f"-s{config.run.seed}")


def folder_name(text: str, ending: str = "") -> str:
    """Return a text and its ending as the name of a folder on every system.

    What may not stand there becomes "_"; too long a name has a digest of the whole
    before its ending.
    """
    name = re.sub(r"[^A-Za-z0-9._+=,-]", "_", text + ending)
    if len(name) > MAX_NAME_LENGTH:
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        name = f"{name[: MAX_NAME_LENGTH - 11 - len(ending)]}-{digest}{ending}"
    return name
