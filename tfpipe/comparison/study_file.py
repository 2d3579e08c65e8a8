"""Read a --study file: configurations as JSON, lists of values in all combinations.

    [{"optimizer": ["sgd", "adam"], "learning_rate": [1e-3, 1e-2], "batch_size": 64},
     {"optimizer": "sgd", "momentum": [0.5, 0.9], "augment": [[], ["crop", "flip"]]}]

An object has settings of a run, or arguments of its optimizer or schedule, by name. A
list of values stands for one run each, in all combinations. Where a setting is a list
itself (augment, keep, optimizer_args, schedule_args), one list is one value, and a list
of lists is several.
"""

import json
import typing
from pathlib import Path
from typing import Any

from tfpipe.comparison import grid
from tfpipe.comparison.grid import Change
from tfpipe.training.optimizers import OPTIMIZERS
from tfpipe.training.schedules import SCHEDULES


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
            changes.append(Change(grid.assign(values, where), where))
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
    return grid.combine(axes)


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
    if name in grid.KINDS:
        return typing.get_origin(grid.KINDS[name]) is tuple
    tables = [row.arguments for row in OPTIMIZERS.values()]
    tables += [row.arguments for row in SCHEDULES.values()]
    found = [table[name].type for table in tables if name in table]
    return any(typing.get_origin(kind) is list for kind in found)
