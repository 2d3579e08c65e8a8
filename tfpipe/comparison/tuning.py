"""Which learning rates a search tries next, and which it chooses: pure rules.

A search is of one optimizer with all its settings but the rate. Rates are half a decade
apart, 1e-4, 3e-4, 1e-3. Where an optimizer's best rate is the lowest or highest tried,
its search goes on beyond it, and every other optimizer gets as many rates more: the
same number of trials for each. Everything follows from the scores, so that a search
that was stopped goes on where it stood.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from tfpipe.comparison.labels import format_number
from tfpipe.comparison.score import Score

REACH = 2
"""Rates on either side of the centre at the start: five in all."""
WIDENED_BY = 2
"""Rates added at once. One alone would often only be the next edge."""
MOST_WIDENED = 2
"""Times a search goes on beyond the same side."""

Scores = Callable[[str, Sequence[float]], Sequence[Score] | None]
"""Gives the score of each rate of a search, by its name; None while one is missing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """The rates that one search tries.

    Attributes:
        start: before any result, growing.
        centre: half decades from 1 to the middle one; None where the rates were given
            by a person, who chose their ends.
        lower, upper: how often it went on beyond its lowest and its highest rate.
    """

    start: tuple[float, ...]
    centre: int | None = None
    lower: int = 0
    upper: int = 0

    @property
    def rates(self) -> tuple[float, ...]:
        """All that it tries, growing."""
        if self.centre is None:
            return self.start
        first = self.centre - REACH - WIDENED_BY * self.lower
        last = self.centre + REACH + WIDENED_BY * self.upper
        return tuple(half_decade(step) for step in range(first, last + 1))

    def widen(self, side: int) -> "Search":
        """Return it a step beyond its lowest rate (side -1) or its highest (1)."""
        if side < 0:
            return dataclasses.replace(self, lower=self.lower + 1)
        return dataclasses.replace(self, upper=self.upper + 1)

    def can_widen(self, side: int) -> bool:
        """Tell whether it may go on beyond a side (-1 or 1)."""
        times = self.lower if side < 0 else self.upper
        return self.centre is not None and times < MOST_WIDENED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """How far searches have come.

    Attributes:
        rates: all that each tries, as far as scores tell.
        best: the chosen rate of each; empty while a score is missing.
        lines: what was decided, for people.
    """

    rates: dict[str, tuple[float, ...]]
    best: dict[str, float]
    lines: tuple[str, ...]


def half_decade(step: int) -> float:
    """Return the rate `step` half decades from 1, as people write it: 3e-4, 1e-3."""
    decade, is_half = divmod(step, 2)
    return float(f"{3 if is_half else 1}e{decade}")


def around(rate: float) -> Search:
    """Return the search whose middle is the half decade nearest to `rate`."""
    centre = round(2 * math.log10(rate))
    return Search(start=Search(start=(), centre=centre).rates, centre=centre)


def find_best(scores: Sequence[Score]) -> int:
    """Return the place of the highest score.

    Of equal ones it is the nearest to the middle of those tried, then the lower: equal
    scores point nowhere.
    """
    middle = (len(scores) - 1) / 2
    return max(
        range(len(scores)),
        key=lambda place: (scores[place], -abs(place - middle), -place),
    )


def edge_of(place: int, count: int) -> int:
    """Return -1 for the first of `count` places, 1 for the last, 0 inside."""
    return -1 if place == 0 else int(place == count - 1)


def next_searches(
    searches: Mapping[str, Search], places: Mapping[str, int]
) -> dict[str, Search]:
    """Return all searches, each widened once; {} where none has to be.

    Args:
        searches: by name, each with the same number of trials.
        places: of the best among the rates of each.
    """
    if not any(_is_open(search, places[name]) for name, search in searches.items()):
        return {}
    widened = {}
    for name, search in searches.items():
        # Of one that is fine, the side nearer to its best; of a middle, the lower.
        side = -1 if 2 * places[name] <= len(search.rates) - 1 else 1
        widened[name] = search.widen(side if search.can_widen(side) else -side)
    return widened


def _is_open(search: Search, place: int) -> bool:
    """Tell whether the best lies on an edge that the search may go beyond."""
    edge = edge_of(place, len(search.rates))
    return edge != 0 and search.can_widen(edge)


def follow(searches: Mapping[str, Search], scores: Scores) -> Course:
    """Return how far searches come by the scores that there are.

    Args:
        searches: as they start.
        scores: of rates.
    """
    now, lines = dict(searches), list[str]()
    while True:
        rates = {name: search.rates for name, search in now.items()}
        known = {name: scores(name, tried) for name, tried in rates.items()}
        found = {name: values for name, values in known.items() if values is not None}
        if len(found) < len(now):
            return Course(rates=rates, best={}, lines=tuple(lines))
        places = {name: find_best(values) for name, values in found.items()}
        # Rates that a person gave stay: what they span is their choice.
        autos = {name: s for name, s in now.items() if s.centre is not None}
        widened = next_searches(autos, places)
        for name, search in now.items():
            words = _describe(name, search, found[name])
            if name in widened:
                new = [r for r in widened[name].rates if r not in search.rates]
                words += f"; tried next: {', '.join(map(format_number, new))}"
                if not _is_open(search, places[name]):
                    words += ", for as many trials as the others"
            elif edge_of(places[name], len(rates[name])) and len(set(found[name])) > 1:
                words += ": a better one may lie beyond"
            lines.append(words)
        if not widened:
            best = {name: rates[name][place] for name, place in places.items()}
            return Course(rates=rates, best=best, lines=tuple(lines))
        now |= widened


def _describe(name: str, search: Search, scores: Sequence[Score]) -> str:
    """Say which rate of a search is the best so far, and where it lies."""
    rates, place = search.rates, find_best(scores)
    span = f"{format_number(rates[0])} to {format_number(rates[-1])}"
    best = format_number(rates[place])
    if len(set(scores)) == 1:
        accuracy = scores[place].accuracy
        return f"{name}: all rates of {span} give {accuracy:.4f}, taken: {best}"
    where = {-1: ", the lowest", 0: "", 1: ", the highest"}
    return (
        f"{name}: the best of {len(rates)} rates of {span} is {best} "
        f"({scores[place].accuracy:.4f}){where[edge_of(place, len(rates))]}"
    )
