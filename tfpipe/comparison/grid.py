"""What a comparison's configurations change in the settings that all of them share.

They come from a grid, from --run words and from a --study file:

    [{"optimizer": ["sgd", "adam"], "learning_rate": [1e-3, 1e-2], "batch_size": 64},
     {"optimizer": "sgd", "momentum": [0.5, 0.9], "augment": [[], ["crop", "flip"]]}]

An object has settings of a run, or arguments of its optimizer or schedule, by name. A
list of values stands for one run each, in all combinations. Where a setting is a list
itself (augment, optimizer_args, schedule_args), one list is one value, and a list of
lists is several.
"""

import dataclasses
import itertools
import json
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import settings
from tfpipe.base.named_values import SEPARATOR
from tfpipe.training.catalog import is_own
from tfpipe.training.config import OptimizerConfig, RunConfig
from tfpipe.training.optimizers import OPTIMIZERS
from tfpipe.training.schedules import SCHEDULES

EXPERIMENT = (("rmsprop", 1e-4), ("adam", 1e-4), ("sgd", 1e-4), ("adam", 1e-3))
"""The experiment's four runs: optimizer and learning rate."""
AUTO = "auto"
"""In a learning rate's place: a search around the optimizer's own centre."""
NO_FACTORS = {
    "seed": "--replicates makes the seeds, the same for all",
    "run_name": "each run is named by its settings",
    "runs_dir": "all runs stand in one folder",
    "overwrite": "give --overwrite for all runs",
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
    optimizers: Sequence[str], rates: Sequence[str], runs: Sequence[str], file: str
) -> list[Change]:
    """Return the grid's configurations, then those of --run, then the file's.

    What a grid leaves open, optimizer or rate, is left to the shared settings. With
    nothing given they are the experiment's four.

    Args:
        optimizers: of a grid.
        rates: of a grid, as texts; or AUTO alone.
        runs: texts as `parse_run` reads them.
        file: a path as `read_file` reads it, or "".
    """
    if not (optimizers or rates or runs or file):
        return [
            Change({"optimizer": name, "learning_rate": rate})
            for name, rate in EXPERIMENT
        ]
    if AUTO in rates and len(rates) > 1:
        raise ValueError(
            f"learning_rates must be auto or numbers, got {','.join(rates)}; leave "
            "auto or the numbers out"
        )
    axes: dict[str, list[Any]] = {"optimizer": list(optimizers)}
    axes["learning_rate"] = [_parse_rate(text, "learning_rates") for text in rates]
    given = {name: values for name, values in axes.items() if values}
    changes = [Change(values) for values in _combine(given)] if given else []
    changes += [Change(parse_run(text)) for text in runs]
    return changes + (read_file(file) if file else [])


def _combine(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
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
    return _assign(pairs, where)


def read_file(path: str) -> list[Change]:
    """Return the configurations of a --study file, each knowing its entry.

    Raises:
        ValueError: for what isn't a list of such objects, naming file and entry.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        entries = json.loads(text, object_pairs_hook=_Pairs)
    except ValueError as error:
        raise ValueError(
            f"{path} must be a JSON list of objects, got {error}; mend it there"
        ) from None
    if not isinstance(entries, list) or isinstance(entries, _Pairs) or not entries:
        raise ValueError(
            f"{path} must be a JSON list of objects, got {_kind(entries)}; write "
            '[{"optimizer": ["sgd", "adam"], "learning_rate": [1e-3, 1e-2]}]'
        )
    changes = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path} entry {number}"
        for values in _expand(entry, where):
            changes.append(Change(_assign(values, where), where))
    return changes


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written: a name may stand in it twice."""


def _kind(value: Any) -> str:
    if isinstance(value, _Pairs):
        return "an object"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return json.dumps(value)


def _expand(entry: Any, where: str) -> list[dict[str, Any]]:
    """Return every combination of an entry's values, by name."""
    if not isinstance(entry, _Pairs):
        raise ValueError(
            f"{where} must be an object, got {_kind(entry)}; write "
            '{"optimizer": "adam", "learning_rate": 1e-3}'
        )
    axes: dict[str, list[Any]] = {}
    for name, value in entry:
        if name in axes:
            raise ValueError(f"{where} must have {name} once, got it twice")
        axes[name] = _values(name, value, where)
        for one in axes[name]:
            is_list = isinstance(one, list) and not isinstance(one, _Pairs)
            members = one if is_list and _is_list(name) else [one]
            if any(isinstance(member, list) for member in members):
                raise ValueError(
                    f"{where} must have values or lists of them, got "
                    f"{_kind(one)} in {name}; take it apart"
                )
    return _combine(axes)


def _values(name: str, value: Any, where: str) -> list[Any]:
    """Return the values that a setting takes in turn."""
    if not isinstance(value, list) or isinstance(value, _Pairs):
        return [value]
    num_lists = sum(isinstance(one, list) for one in value)
    if 0 < num_lists < len(value):
        raise ValueError(
            f"{where} must have one list or lists alone in {name}, got both; put "
            "single values into lists of one"
        )
    if _is_list(name) and not num_lists:
        return [value]
    if not value:
        raise ValueError(
            f"{where} must have a value for {name}, got an empty list; leave {name} out"
        )
    return value


def _is_list(name: str) -> bool:
    """Tell whether a setting, or an argument wherever it is one, is itself a list."""
    if name in KINDS:
        return typing.get_origin(KINDS[name]) is tuple
    tables = [row.arguments for row in OPTIMIZERS.values()]
    tables += [row.arguments for row in SCHEDULES.values()]
    found = [table[name].type for table in tables if name in table]
    return any(typing.get_origin(kind) is list for kind in found)


def _assign(pairs: Mapping[str, Any], where: str) -> dict[str, Any]:
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
