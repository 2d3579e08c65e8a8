"""What a comparison's configurations change in the settings that all of them share.

They are a grid of optimizers and learning rates, and the texts of --run; `study_file`
reads those of a file.
"""

import dataclasses
import itertools
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from tfpipe.base import settings
from tfpipe.base.named_values import SEPARATOR
from tfpipe.training.catalog import is_own
from tfpipe.training.config import OptimizerConfig, RunConfig
from tfpipe.training.optimizers import OPTIMIZERS
from tfpipe.training.schedules import SCHEDULES

AUTO = "auto"
"""In a learning rate's place: a search around the optimizer's own centre."""
NO_FACTORS = {
    "seed": "--replicates makes the seeds, the same for all",
    "epochs": "it is the budget of all; give --epochs",
    "run_name": "each run is named by its settings",
    "runs_dir": "all runs stand in one folder",
    "overwrite": "give --overwrite for all runs",
    "keep": "it changes no number; give --keep for all runs",
    "checkpoint_minutes": "it changes no number; give --checkpoint_minutes",
    "fetch": "it changes no number; give --fetch for all runs",
    "cache": "it changes no number; give --cache for all runs",
}
"""Settings that a single configuration can't have, and why."""

KINDS = {field.name: kind for _, field, kind in settings.settings_of(RunConfig)}


@dataclasses.dataclass(frozen=True)
class Change:
    """One configuration.

    Attributes:
        values: what it changes, by flat name; a learning_rate may be AUTO.
        origin: where it was said, for errors; "" where they name it themselves.
    """

    values: dict[str, Any]
    origin: str = ""


def read_changes(
    optimizers: Sequence[str], rates: Sequence[str], runs: Sequence[str]
) -> list[Change]:
    """Return the grid's configurations, then those of --run.

    What a grid leaves open, optimizer or rate, is left to the shared settings.

    Args:
        optimizers: of a grid.
        rates: of a grid, as texts; or AUTO alone.
        runs: texts as `parse_run` reads them.
    """
    if AUTO in rates and len(rates) > 1:
        raise ValueError(
            f"learning_rates must be auto or numbers, got {','.join(rates)}; leave "
            "auto or the numbers out"
        )
    axes: dict[str, list[Any]] = {"optimizer": list(optimizers)}
    axes["learning_rate"] = [_parse_rate(text, "learning_rates") for text in rates]
    given = {name: values for name, values in axes.items() if values}
    changes = [Change(values) for values in combine(given)] if given else []
    return changes + [Change(parse_run(text)) for text in runs]


def combine(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return all combinations, the last axis changing fastest."""
    return [
        dict(zip(axes, values, strict=True))
        for values in itertools.product(*axes.values())
    ]


def _parse_rate(text: str, name: str) -> float | str:
    if text == AUTO:
        return text
    rate: float = settings.parse_value(text, float, name)
    return rate


def parse_run(text: str) -> dict[str, Any]:
    """Read "adam,learning_rate=1e-3" into settings by flat name."""
    optimizer, *words = (word.strip() for word in text.split(","))
    if not optimizer or "=" in optimizer:
        raise ValueError(
            f"run must begin with an optimizer's name, got {text!r}; "
            'say it as --run="adam,learning_rate=1e-3"'
        )
    pairs: dict[str, Any] = {"optimizer": optimizer}
    where = f"run {text!r}"
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(
                f"{where} must have name=value behind its optimizer, got {word!r}; "
                'say it as --run="adam,learning_rate=1e-3"'
            )
        if name in pairs:
            raise ValueError(f"{where} must have {name} once, got it twice")
        pairs[name] = value
    for name, kind in KINDS.items():
        if name not in pairs or name in NO_FACTORS:
            continue
        if typing.get_origin(kind) is tuple:
            pairs[name] = pairs[name].split("+")
        elif name == "learning_rate":
            pairs[name] = _parse_rate(pairs[name], name)
        elif not _is_of_schedule(name, pairs):  # which is refused below
            pairs[name] = settings.parse_value(pairs[name], kind, name)
    return assign(pairs, where)


def assign(pairs: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return settings by flat name, arguments put where they belong.

    Raises:
        ValueError: for what is neither, or can't be told apart.
    """
    optimizer = pairs.get("optimizer")
    rule = None
    if isinstance(optimizer, str):
        try:
            rule = OptimizerConfig(optimizer=optimizer).optimizer  # checks the name
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    values: dict[str, Any] = {}
    for name, value in pairs.items():
        if name in NO_FACTORS:
            raise ValueError(
                f"{where} must leave {name} out, got {value!r}; {NO_FACTORS[name]}"
            )
        is_of_schedule = _is_of_schedule(name, pairs)
        if name in KINDS and is_of_schedule:
            raise ValueError(
                f"{where} must say whose {name} it means, early stopping's and the "
                f"schedule's are called so; say schedule_args={name}={_word(value)}, "
                f"or share --{name} among all runs"
            )
        if name in KINDS and typing.get_origin(KINDS[name]) is tuple:
            texts = value if isinstance(value, list) else [value]
            for text in texts:
                if not isinstance(text, str):
                    raise ValueError(f"{where} must have texts in {name}, got {text}")
            # Arguments by their own names may stand before or behind.
            values[name] = [*values.get(name, ()), *texts]
        elif name in KINDS:
            values[name] = value
        elif is_of_schedule:
            values.setdefault("schedule_args", []).append(f"{name}={_word(value)}")
        elif rule and (is_own(rule) or name in OPTIMIZERS[rule].arguments):
            values.setdefault("optimizer_args", []).append(f"{name}={_word(value)}")
        else:
            raise _unknown(f"{name}={_word(value)}", name, rule, where)
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def _is_of_schedule(name: str, pairs: Mapping[str, Any]) -> bool:
    schedule = SCHEDULES.get(str(pairs.get("schedule", "")))
    return schedule is not None and name in schedule.arguments


def _unknown(word: str, name: str, rule: str | None, where: str) -> ValueError:
    row = OPTIMIZERS.get(rule or "")
    known = [*KINDS, *(row.arguments if row else ())]
    return ValueError(
        f"{where} must have settings of a run, or arguments of the optimizer or "
        f"schedule that it names, got {word!r}{settings.did_you_mean(name, known)}"
    )


def _word(value: Any) -> str:
    """Return a JSON value as a flag spells it: true, none, 0.9, 586:1172."""
    if isinstance(value, list):
        return SEPARATOR.join(map(_word, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)
