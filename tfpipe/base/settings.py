"""Frozen config dataclasses whose fields know their help, choices and checks.

A field is declared with `setting`; a config class checks itself with
`check_settings(self)` in `__post_init__`, so that a wrong value can't be constructed.
Values are int, float, str, bool or tuple[str, ...].
"""

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Collection, Iterable, Iterator
from typing import Any


def setting(
    default: Any,
    help: str,  # noqa: A002 - the word users know
    *,
    choices: Iterable[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    front: bool = False,
    repeated: bool = False,
    identity: bool = True,
) -> Any:
    """Declare one setting of a config dataclass.

    Args:
        default: the value when nothing is said; its type is the field's annotation.
        help: one sentence for people, with the unit.
        choices: the only strings allowed, if any.
        minimum, maximum: the inclusive range of a number, if any.
        front: whether it is one of the few that `--help` shows first.
        repeated: for tuples: given once per value, not as one comma-separated list.
        identity: whether another value gives other numbers.
    """
    metadata = {
        "help": help,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
        "front": front,
        "repeated": repeated,
        "identity": identity,
    }
    return dataclasses.field(default=default, metadata=metadata)


@functools.cache
def _hints(config_class: Any) -> dict[str, Any]:
    """Return the types of a class's fields.

    Kept: a study builds thousands of configs, and this is most of building one.
    """
    return typing.get_type_hints(config_class)


def settings_of(
    config_class: Any,
) -> Iterator[tuple[str, dataclasses.Field[Any], type]]:
    """Yield (group, field, type) of every setting, nested groups flattened.

    A field whose type is itself a config dataclass is a group; settings declared
    directly belong to the group "".
    """
    hints = _hints(config_class)
    for field in dataclasses.fields(config_class):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            for _, inner, inner_kind in settings_of(kind):
                yield field.name, inner, inner_kind
        else:
            yield "", field, kind


def check_settings(config: Any) -> None:
    """Check type, range and choices of every setting of `config`.

    Raises:
        ValueError: naming the setting, what it must be and what it was.
    """
    config_class: Any = type(config)
    hints = _hints(config_class)
    for field in dataclasses.fields(config):
        kind = hints[field.name]
        if not dataclasses.is_dataclass(kind):
            _check_value(field, kind, getattr(config, field.name))


def _check_value(field: dataclasses.Field[Any], kind: type, value: Any) -> None:
    rules = field.metadata
    number = kind in (int, float) and not isinstance(value, bool)
    accepted = (int, float) if kind is float else typing.get_origin(kind) or kind
    if not isinstance(value, accepted) or (
        kind is not bool and isinstance(value, bool)
    ):
        raise ValueError(
            f"{field.name} must be {_expected(field, kind)}, got {value!r}"
        )
    for word in value if isinstance(value, tuple) else (value,):
        if rules["choices"] and word not in rules["choices"]:
            raise ValueError(
                f"{field.name} must be {_expected(field, kind)}, got {word!r}"
                f"{did_you_mean(str(word), rules['choices'])}"
            )
    if (
        isinstance(value, int | float)
        and number
        and (
            not math.isfinite(value)
            or (rules["minimum"] is not None and value < rules["minimum"])
            or (rules["maximum"] is not None and value > rules["maximum"])
        )
    ):
        raise ValueError(f"{field.name} must be {_expected(field, kind)}, got {value}")


def _expected(field: dataclasses.Field[Any], kind: type) -> str:
    rules = field.metadata
    if rules["choices"]:
        some = "some" if typing.get_origin(kind) is tuple else "one"
        return f"{some} of " + ", ".join(rules["choices"])
    names = {
        int: "a whole number",
        float: "a number",
        str: "text",
        bool: "true or false",
    }
    name = names.get(kind, "a list of names")
    low, high = rules["minimum"], rules["maximum"]
    if low is not None and high is not None:
        return f"{name} from {low} to {high}"
    return f"{name} of at least {low}" if low is not None else name


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return "; did you mean X?" for the nearest known word, or ""."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def build_config(config_class: Any, values: dict[str, Any]) -> Any:
    """Build a (nested) config from flat setting names.

    Raises:
        ValueError: for a name that is no setting, or a value its check refuses.
    """
    known = [field.name for _, field, _ in settings_of(config_class)]
    for name in values:
        if name not in known:
            raise ValueError(
                f"setting must be one of {', '.join(known)}, got {name!r}"
                f"{did_you_mean(name, known)}"
            )
    return _build(config_class, values)


def _build(config_class: Any, values: dict[str, Any]) -> Any:
    hints = _hints(config_class)
    arguments = {}
    for field in dataclasses.fields(config_class):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            arguments[field.name] = _build(kind, values)
        elif field.name in values:
            value = values[field.name]
            if kind is float and type(value) is int:
                value = float(value)
            elif typing.get_origin(kind) is tuple and isinstance(value, list):
                value = tuple(value)  # as JSON and `flatten` have it
            arguments[field.name] = value
    return config_class(**arguments)


def flatten(config: Any) -> dict[str, Any]:
    """Return the settings of a (nested) config by flat name, tuples as lists."""
    values = {}
    for group, field, _ in settings_of(type(config)):
        owner = getattr(config, group) if group else config
        value = getattr(owner, field.name)
        values[field.name] = list(value) if isinstance(value, tuple) else value
    return values


def to_flags(config: Any, always: Collection[str] = ()) -> list[str]:
    """Return `config` as flags: what differs from the defaults, and `always`."""
    default = flatten(type(config)())
    words = []
    for name, value in flatten(config).items():
        if value == default[name] and name not in always:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no{name}")
        elif isinstance(value, list):
            words.append(f"--{name}={','.join(value)}")
        else:
            words.append(f"--{name}={value}")
    return words


def parse_value(text: str, kind: Any, name: str) -> Any:
    """Turn the text of a flag into a value of type `kind`.

    Raises:
        ValueError: naming the flag and what it must be.
    """
    if kind is bool:
        words = {"true": True, "1": True, "yes": True}
        words |= {"false": False, "0": False, "no": False}
        if text.lower() in words:
            return words[text.lower()]
        raise ValueError(f"{name} must be true or false, got {text!r}")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"{name} must be {what}, got {text!r}") from None
    return text
