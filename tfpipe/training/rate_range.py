"""What a learning rate range test says: which rates are worth a try.

The rate grows from step to step until the loss does, as in L. Smith, "Cyclical learning
rates for training neural networks", 2017.
"""

import dataclasses
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.training import curves

SMOOTHING = 0.9
QUIET_SHARE = 0.2
"""Of the steps, the first, whose rates are too small to act: they tell the noise."""
SURE = 4.0
"""Standard errors that a smoothed loss must have moved by."""
LEAST_STEPS = 10
NOISY_SHARE = 0.1
"""Of the loss at the start: where a fall must be larger to be seen, many aren't."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RateRange:
    """The outcome of a range test.

    Attributes:
        rates: [n], growing.
        losses: [n], of the batch behind the update at each rate.
        smoothed: [n], see `smooth`.
        start: mean loss of the quiet steps.
        noise: standard error of a smoothed loss there.
        largest_stable: the largest rate before the loss grew, None if it never did.
        steepest: the rate at which it fell fastest, None where it didn't fall.
        low, high: the range proposed.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]
    start: float
    noise: float
    largest_stable: float | None
    steepest: float | None
    low: float
    high: float

    @property
    def has_fallen(self) -> bool:
        """Whether the loss fell; else only the largest stable rate is known."""
        return self.steepest is not None

    @property
    def is_noisy(self) -> bool:
        """Whether noise would have hidden a fall: then there need be no plateau."""
        is_wide = SURE * self.noise > NOISY_SHARE * abs(self.start)
        return is_wide and not self.has_fallen


def smooth(losses: Any, beta: float = SMOOTHING) -> NDArray[np.float64]:
    """Return the exponential moving average of losses, its bias to 0 taken out.

    sum of beta^(i - j) losses[j] / sum of beta^(i - j), j up to i; as Adam's moments.
    """
    average, weight = 0.0, 0.0
    found = []
    for loss in losses:
        average = beta * average + (1 - beta) * float(loss)
        weight = beta * weight + (1 - beta)
        found.append(average / weight)
    return np.array(found)


def num_quiet(steps: int) -> int:
    """Return how many of the first steps tell the noise."""
    return max(LEAST_STEPS // 2, int(QUIET_SHARE * steps))


def find_range(rates: Any, losses: Any) -> RateRange:
    """Read a range test.

    Args:
        rates: [n], growing.
        losses: [n], of the batch behind the update at each rate; they may end in one
            that isn't finite.

    Raises:
        ValueError: where fewer than 10 losses, or those of the first steps, are finite.
    """
    rates, losses = np.asarray(rates, float), np.asarray(losses, float)
    finite = np.isfinite(losses)
    count = len(losses) if finite.all() else int(np.argmin(finite))
    quiet = num_quiet(len(losses))
    if count < max(LEAST_STEPS, quiet):
        raise ValueError(
            f"a range test must have at least {max(LEAST_STEPS, quiet)} finite losses, "
            f"got {count}; give a smaller --min_rate"
        )
    smoothed = smooth(losses[:count])
    start = float(np.mean(losses[:quiet]))
    spread = float(np.std(losses[:quiet], ddof=1))
    # Of an average over i losses with these weights, and of `start` itself.
    number = np.arange(1, count + 1)
    weights = (1 - SMOOTHING**number) / (1 - SMOOTHING)
    squares = (1 - SMOOTHING ** (2 * number)) / (1 - SMOOTHING**2)
    error = spread * np.sqrt(squares / weights**2 + 1 / quiet)
    later = number > quiet
    lowest = np.minimum.accumulate(np.where(later, smoothed, start))
    is_high = later & (smoothed > lowest + np.maximum(SURE * error, 0.03 * abs(start)))
    # A loss that comes down again was noise; one that stays up is the end.
    end = int(np.flatnonzero(~is_high)[-1]) + 1
    is_over = end < len(losses)
    largest = float(rates[max(0, end - 2)]) if is_over else None
    is_low = later & (smoothed < start - SURE * error)
    is_low[end:] = False
    fallen = np.flatnonzero(is_low[:-2] & is_low[1:-1] & is_low[2:])
    last = largest or float(rates[-1])
    steepest, low, high = None, last / 30, last / 3
    if len(fallen):
        bottom = int(np.argmin(np.where(later[:end], smoothed[:end], np.inf)))
        first = min(quiet, bottom)
        falls = smoothed[first : bottom + 1] - smoothed[max(0, first - 5) : bottom - 4]
        # The average lags: the loss fell fastest some steps before it.
        index = max(0, first + int(np.argmin(falls)) - 5)
        steepest = float(rates[index])
        high = min(max(steepest, float(rates[bottom]) / 3), last / 2)
        low = min(steepest / 3, high / 3)
    return RateRange(
        rates=rates,
        losses=losses,
        smoothed=np.concatenate([smoothed, np.full(len(losses) - count, np.nan)]),
        start=start,
        noise=float(error[-1]),
        largest_stable=largest,
        steepest=steepest,
        low=low,
        high=high,
    )


def describe_range(found: RateRange, *, from_run: bool = False) -> list[str]:
    """Return what a range test says, for people.

    Args:
        found: its outcome.
        from_run: whether it went on from a run, whose batch size is kept.
    """
    stable = (
        f"the largest stable rate is about {found.largest_stable:.1e}"
        if found.largest_stable
        else f"no rate up to {found.rates[-1]:.1e} was too large; a larger --max_rate "
        "goes on"
    )
    level = f"{found.start:.4f} (+- {SURE * found.noise:.4f})"
    if found.has_fallen:
        first = (
            f"the loss fell fastest at {found.steepest:.1e}, from {found.start:.4f} to "
            f"{np.nanmin(found.smoothed):.4f}"
        )
    elif found.is_noisy:
        remedy = "more --steps" if from_run else "a larger --batch_size or more --steps"
        first = (
            f"the loss was about {level}: too noisy to tell a plateau from a fall; "
            f"{remedy} may help"
        )
    else:
        first = (
            f"the loss stayed at {level}: a plateau, on which a range test shows only "
            "what is too large"
        )
    return [first, stable, f"worth a try: {found.low:.1e} to {found.high:.1e}"]


def suggest_rates(found: RateRange) -> list[str]:
    """Return half-decade rates in the range proposed, at least two."""
    points = [
        f"{mantissa}e{exponent}"
        for exponent in range(-9, 4)
        for mantissa in (1, 3)
        if found.low * 0.99 <= mantissa * 10.0**exponent <= found.high * 1.01
    ]
    return points if len(points) > 1 else [f"{found.low:.0e}", f"{found.high:.0e}"]


def draw_range(found: RateRange, path: Path, title: str) -> None:
    """Draw losses against rates, and the range proposed, as PNG."""
    with curves.open_figure([path], 6.4, 4.2) as figure:
        axes = figure.add_subplot()
        axes.axvspan(
            found.low, found.high, color=curves.TEST_COLOUR, alpha=0.12, linewidth=0
        )
        grey = curves.REFERENCE_COLOUR
        axes.plot(found.rates, found.losses, ".", color=grey, markersize=3)
        axes.plot(found.rates, found.smoothed, color=curves.TRAIN_COLOUR)
        curves.draw_reference(axes, found.start, "")
        known = found.smoothed[np.isfinite(found.smoothed)]
        bottom = min(known.min(), found.start)
        room = max(found.start - bottom, 8 * found.noise, 0.02)
        axes.set_xscale("log")
        axes.set_ylim(bottom - 0.5 * room, found.start + 1.5 * room)
        axes.set_title("Learning rate range test")
        axes.set_xlabel("Learning rate")
        axes.set_ylabel("Loss of the batch behind the update")
        axes.grid(color="#e6e6e6", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        kind = ""
        if found.is_noisy:
            kind = "too noisy to tell a plateau from a fall"
        elif not found.has_fallen:
            kind = "plateau: only the end says something"
        words = f"{title}; worth a try {found.low:.1e} to {found.high:.1e}"
        lines = [*textwrap.wrap(words, 90), kind]
        figure.supxlabel("\n".join(filter(None, lines)), fontsize=8, color=grey)
