"""Histograms as SVG, binned in whole numbers so that equal data give equal bytes."""

import dataclasses
import html
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

NUM_BINS, NUM_TICKS, NUM_LINES = 24, 5, 3  # about
# The drawing, in units of its viewBox: bars stand between these edges.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 342, 12, 158
_REST_GAP = 0.5  # bars
_REST_ROOM = 26
_BAR, _REST_BAR, _LINE, _TEXT = "#35699f", "#a9c3dd", "#dfe3e8", "#3d4650"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bins:
    """Counts by size.

    Attributes:
        counts: int64 [bins].
        start: where the first bin begins.
        step: a bin's width.
        has_rest: whether the last bin holds all that is far above the others.
    """

    counts: NDArray[np.int64]
    start: int
    step: int
    has_rest: bool

    @property
    def num_regular(self) -> int:
        """The bins without that for the rest."""
        return len(self.counts) - self.has_rest

    @property
    def bar_width(self) -> float:
        """A bar's width in the drawing."""
        return (RIGHT - LEFT) / (len(self.counts) + _REST_GAP * self.has_rest)


def histogram(
    values: NDArray[np.int64], title: str, unit: str, *, divisor: int = 1
) -> str:
    """Return a <figure> with a histogram and the smallest, median and largest value.

    Where a few values lie far above the others, one pale bar at the end stands for all
    of those. Equal values get a sentence instead.

    Args:
        values: int64 [n], at least one, not negative.
        title: what they are.
        unit: in which they are shown.
        divisor: how many of the values' own unit make one of these.
    """
    heading = f"<b>{html.escape(title.capitalize())}</b>"
    low, median, high = (
        _number(int(np.quantile(values, share, method="lower")), divisor)
        for share in (0, 0.5, 1)
    )
    if int(values.min()) == int(values.max()):
        caption = f"{heading} the same for all: {low} {unit}"
        return f"<figure><figcaption>{caption}</figcaption></figure>"
    caption = f"{heading} smallest {low}, median {median}, largest {high} {unit}"
    bins = count_bins(values)
    label = html.escape(f"Histogram: {title} in {unit}")
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" '
        f'font-size="11" fill="{_TEXT}">',
        *_lines_and_bars(bins, unit, divisor),
        *_sizes_below(bins, divisor),
        _text((LEFT + RIGHT) / 2, HEIGHT - 8, f"{title} in {unit}"),
        "</svg>",
    ]
    return f"<figure><figcaption>{caption}</figcaption>{''.join(parts)}</figure>"


def count_bins(values: NDArray[np.int64]) -> Bins:
    """Count values in bins of a round width."""
    low, high = int(values.min()), int(values.max())
    usual = int(np.quantile(values, 0.99, method="lower"))
    has_rest = high > 2 * usual
    top = usual if has_rest else high
    step = round_step(top - low + 1, NUM_BINS - 1)
    start = low // step * step
    num_bins = (top - start) // step + 1 + has_rest
    places = np.minimum((values - start) // step, num_bins - 1)
    counts = np.bincount(places, minlength=num_bins)
    return Bins(counts=counts, start=start, step=step, has_rest=has_rest)


def round_step(span: int, num_steps: int) -> int:
    """Return the smallest of 1, 2, 5, 10, 20, ... that covers `span` in `num_steps`."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power * num_steps >= span:
                return factor * power
        power *= 10


def _lines_and_bars(bins: Bins, unit: str, divisor: int) -> Iterator[str]:
    line_step = round_step(int(bins.counts.max()), NUM_LINES)
    top = _round_up(int(bins.counts.max()), line_step)
    scale = (BOTTOM - TOP) / top
    for count in range(0, top + 1, line_step):
        y = BOTTOM - scale * count
        yield (
            f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="{_LINE}"/>'
        )
        yield _text(LEFT - 5, y + 4, f"{count:,}", 'text-anchor="end"')
    middle = (TOP + BOTTOM) / 2
    turned = f'text-anchor="middle" transform="rotate(-90 9 {middle})"'
    yield _text(9, middle, "pictures", turned)
    for place, count in enumerate(bins.counts.tolist()):
        if not count:
            continue
        is_rest = place == bins.num_regular
        x = LEFT + bins.bar_width * (place + _REST_GAP * is_rest)
        height = max(scale * count, 1)  # one picture among thousands is still seen
        span = f"from {_number(bins.start + place * bins.step, divisor)}"
        if not is_rest:
            end = bins.start + (place + 1) * bins.step
            span += f" to below {_number(end, divisor)}"
        yield (
            f'<rect x="{x + 0.5:.1f}" y="{BOTTOM - height:.1f}" '
            f'width="{bins.bar_width - 1:.1f}" height="{height:.1f}" '
            f'fill="{_REST_BAR if is_rest else _BAR}">'
            f"<title>{span} {unit}: {count:,}</title></rect>"
        )


def _sizes_below(bins: Bins, divisor: int) -> Iterator[str]:
    end = bins.start + bins.step * bins.num_regular
    tick_step = round_step(end - bins.start, NUM_TICKS)
    last = float(RIGHT)
    if bins.has_rest:
        yield _text(RIGHT - bins.bar_width / 2, BOTTOM + 15, "more")
        last = RIGHT - bins.bar_width - _REST_ROOM
    for size in range(_round_up(bins.start, tick_step), end + 1, tick_step):
        x = LEFT + bins.bar_width * (size - bins.start) / bins.step
        if x <= last:
            yield (
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{BOTTOM}" y2="{BOTTOM + 4}" '
                f'stroke="{_TEXT}"/>'
            )
            yield _text(x, BOTTOM + 15, _number(size, divisor))


def _text(x: float, y: float, words: str, more: str = 'text-anchor="middle"') -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{html.escape(words)}</text>'


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _number(value: int, divisor: int) -> str:
    """Write value / divisor with the digits that its size asks for."""
    shown = value / divisor
    if value % divisor == 0 or shown >= 100:
        return f"{shown:,.0f}"
    return f"{shown:.3g}"
