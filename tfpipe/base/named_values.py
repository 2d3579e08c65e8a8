"""Texts "name=value" that a table of arguments checks: beta_2=0.99,epsilon=1e-5."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfpipe.base.settings import did_you_mean

REQUIRED = object()
"""Default of an argument that must be given."""
SEPARATOR = ":"
"""Between the members of a list: boundaries=586:1172."""


@dataclasses.dataclass(frozen=True)
class Argument:
    """What an argument takes.

    Attributes:
        default: its value where it isn't given; None for none, REQUIRED for a must.
        kind: int, float, bool, str, or list[...] of one; None: that of the default.
        above: what a number must be larger than, if anything.
        minimum, maximum: the inclusive range of a number, if any.
    """

    default: Any
    kind: Any = None
    above: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    @property
    def type(self) -> Any:
        """int, float, bool, str, or list[...] of one."""
        return self.kind or type(self.default)

    def check(self, value: Any, name: str) -> None:
        """Refuse a number out of range.

        Raises:
            ValueError: naming it.
        """
        words = []
        if self.above is not None and value <= self.above:
            words.append(f"above {self.above:g}")
        if self.minimum is not None and value < self.minimum:
            words.append(f"of at least {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            words.append(f"of at most {self.maximum:g}")
        if words:
            raise ValueError(f"{name} must be a number {words[0]}, got {value:g}")


Arguments = Mapping[str, Argument]


def parse(
    texts: Sequence[str], accepted: Arguments, what: str, owner: str
) -> dict[str, Any]:
    """Return the values of "name=value" texts, those of required arguments among them.

    Args:
        texts: as a person gives them.
        accepted: the arguments that there are.
        what: the setting's name, for errors.
        owner: whose arguments they are, for errors.

    Raises:
        ValueError: for an unknown, repeated or lacking name, or a value of another
            type.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, word = (part.strip() for part in text.partition("="))
        if not equals or not word:
            raise ValueError(f"{what} must be name=value, got {text!r}")
        if name not in accepted:
            known = ", ".join(accepted) or "none at all"
            raise ValueError(
                f"{what} of {owner} must be some of {known}, got {name!r}"
                f"{did_you_mean(name, accepted)}"
            )
        if name in values:
            raise ValueError(f"{what} must name {name} once, got it twice")
        values[name] = _parse_word(word, accepted[name], f"{name} in {what}")
    for name, argument in accepted.items():
        if argument.default is REQUIRED and name not in values:
            raise ValueError(
                f"{what} of {owner} must give {name}, got none; add "
                f"{name}={_example(argument)}"
            )
    return values


def canonical(values: Mapping[str, Any], accepted: Arguments) -> tuple[str, ...]:
    """Return values as "name=value" texts: one order, one spelling, no defaults."""
    return tuple(
        f"{name}={_spell(values[name])}"
        for name in sorted(values)
        if values[name] != accepted[name].default
    )


def _parse_word(word: str, argument: Argument, name: str) -> Any:
    if argument.default is None and word.lower() == "none":
        return None
    kind = argument.type
    if kind in (bool, int, float, str):
        value = _parse_one(word, kind, name)
        argument.check(value, name)
        return value
    (inner,) = kind.__args__
    return [_parse_one(part, inner, name) for part in word.split(SEPARATOR)]


def _parse_one(word: str, kind: Any, name: str) -> Any:
    if kind is str:
        return word
    if kind is bool:
        if word.lower() in ("true", "false"):
            return word.lower() == "true"
        raise ValueError(f"{name} must be true or false, got {word!r}")
    what = "a whole number" if kind is int else "a number"
    try:
        value = kind(word)
    except ValueError:
        raise ValueError(f"{name} must be {what}, got {word!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"{name} must be {what}, got {word!r}")
    return value


def _spell(value: Any) -> str:
    if isinstance(value, list):
        return SEPARATOR.join(_spell(one) for one in value)
    if isinstance(value, float):
        return f"{value:.17g}" if float(f"{value:g}") != value else f"{value:g}"
    return (
        str(value).lower() if isinstance(value, bool) or value is None else str(value)
    )


def _example(argument: Argument) -> str:
    examples = {int: "1000", float: "0.1", bool: "true", str: "name"}
    kind = argument.type
    if kind in examples:
        return examples[kind]
    one = examples[kind.__args__[0]]
    return f"{one}{SEPARATOR}{one}"
