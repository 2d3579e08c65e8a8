"""How numbers stand in the cells of a report's tables."""

import math
from collections.abc import Sequence

from tfpipe.comparison.configurations import Rate, Spread

NOTHING = "-"
LEAST_FOR_INTERVAL = 5
"""Runs from which on a mean has an interval."""
LETTERS = {
    "diverged": "X",
    "collapsed": "C",
    "plateau": "P",
    "descent": "D",
    "saturation": "S",
    "overfit": "O",
}


def format_spread(spread: Spread | None) -> str:
    """Return "0.7997 ± 0.0102", the mean and half its interval.

    Of few runs, whose interval reaches beyond all accuracies, it is "0.6000 (0.5000 to
    0.7000)", the lowest and the highest; of one its own number.
    """
    if spread is None or not spread.values:
        return NOTHING
    if len(spread.values) == 1:
        return f"{spread.mean:.4f}"
    if len(spread.values) < LEAST_FOR_INTERVAL:
        return f"{spread.mean:.4f} ({format_range(spread)})"
    return f"{spread.mean:.4f} ± {spread.mean - spread.low:.4f}"


def format_range(spread: Spread) -> str:
    """Return "0.5000 to 0.7000", the lowest and the highest value."""
    return f"{min(spread.values):.4f} to {max(spread.values):.4f}"


def format_rate(rate: Rate) -> str:
    """Return "7/8 (0.47 to 1.00)": how many, and the interval of the rate."""
    if not rate.of:
        return NOTHING
    return f"{rate.num}/{rate.of} ({rate.low:.2f} to {rate.high:.2f})"


def format_steps(steps: float) -> str:
    """Return a median of steps or seconds; infinite: most runs missed it."""
    return "not reached" if math.isinf(steps) else f"{steps:,.0f}"


def format_short(value: float) -> str:
    """Return an epoch or seconds in three digits, from 100 on as a whole number."""
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def format_stages(rows: Sequence[Sequence[str]]) -> str:
    """Return "7 x DDDDD, CDDDD": the labels of runs in letters, equal ones once."""
    words = ["".join(LETTERS[label] for label in row) or NOTHING for row in rows]
    counts = {word: words.count(word) for word in words}
    return ", ".join(
        word if count == 1 else f"{count} x {word}" for word, count in counts.items()
    )


def format_interval(values: tuple[float, float, float]) -> str:
    """Return "+0.1434 (+0.1000 to +0.1868)" of (mean, low, high)."""
    mean, low, high = values
    if math.isnan(mean):
        return NOTHING
    if math.isnan(low):
        return f"{mean:+.4f}"
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
