"""Statistics that small studies can bear, in NumPy alone.

A run is the unit: one number a run, never one an epoch or a picture. Replicates of a
study share their seed between configurations, so that differences are taken within a
replicate. One rule decides what is distinguishable: `sign_flip_test`, corrected by
`holm` over the comparisons that were declared. Everything else describes.
"""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 2**17
"""Arrangements that a test goes through; of more it draws this many."""


def wilson(num_right: int, num: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return E. Wilson's interval (1927) for a share of `num` pictures."""
    z = normal_quantile(0.5 + confidence / 2)
    share = num_right / num
    centre = (share + z**2 / (2 * num)) / (1 + z**2 / num)
    half = math.sqrt(share * (1 - share) / num + z**2 / (4 * num**2))
    half *= z / (1 + z**2 / num)
    return max(0.0, centre - half), min(1.0, centre + half)


def exact_interval(
    num_right: int, num: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the exact interval for a rate by C. Clopper and E. Pearson (1934)."""
    tail = (1 - confidence) / 2

    def at_most(share: float, count: int) -> float:
        return sum(
            math.comb(num, k) * share**k * (1 - share) ** (num - k)
            for k in range(count + 1)
        )

    low, high = 0.0, 1.0
    if num_right:
        low = _root(lambda share: 1 - at_most(share, num_right - 1) - tail)
    if num_right < num:
        high = _root(lambda share: tail - at_most(share, num_right))
    return low, high


def _root(
    rising: Callable[[float], float], low: float = 0.0, high: float = 1.0
) -> float:
    """Return where a rising function is 0."""
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def normal_quantile(share: float) -> float:
    """Return the value below which `share` of a standard normal lies."""
    return _root(
        lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2))) - share, low=-40, high=40
    )


def t_quantile(share: float, degrees: int) -> float:
    """Return the value below which `share` of Student's t lies, share at least 0.5.

    By the distribution function's own series for whole degrees of freedom: M.
    Abramowitz and I. Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
    """

    def within(t: float) -> float:
        """Return the share between -t and t."""
        angle = math.atan(t / math.sqrt(degrees))
        cosine, total = math.cos(angle), 0.0
        term = cosine if degrees % 2 else 1.0
        for power in range(degrees % 2 + 2, degrees + 1, 2):
            total += term
            term *= cosine**2 * (power - 1) / power
        total *= math.sin(angle)
        return 2 / math.pi * (angle + total) if degrees % 2 else total

    return _root(lambda t: 0.5 + within(t) / 2 - share, low=0.0, high=1e6)


def mean_interval(
    values: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return (mean, low, high) by Student's t; low and high are nan of one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.nan, math.nan
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = t_quantile(0.5 + confidence / 2, len(values) - 1) * error
    return mean, mean - half, mean + half


def unpaired_interval(
    one: Sequence[float], other: Sequence[float], confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return (difference of means, low, high) by B. Welch's t (1947), unpaired.

    Degrees of freedom are rounded down.
    """
    difference = float(np.mean(one) - np.mean(other))
    if min(len(one), len(other)) < 2:
        return difference, math.nan, math.nan
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (one, other)]
    if not sum(parts):
        return difference, difference, difference
    sizes = (len(one), len(other))
    below = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
    # But for rounding: equal variances of three values have 4, not 3.999...
    degrees = max(1, math.floor(sum(parts) ** 2 / below + 1e-9))
    half = t_quantile(0.5 + confidence / 2, degrees) * math.sqrt(sum(parts))
    return difference, difference - half, difference + half


def correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return the correlation of pairs, None where one of them never varies."""
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def sign_flip_test(differences: Sequence[float]) -> float:
    """Return the two-sided p value of paired differences having no sign of their own.

    R. Fisher, "The design of experiments" (1935), section 21: of all ways to flip the
    signs, the share whose sum is at least as far from 0. It can't be below 2 / 2^n.
    What it tests is that both are the same, not only their means: one that mostly wins
    by little and seldom loses by much is told apart, too.

    Raises:
        ValueError: for a difference that isn't finite.
    """
    values = np.asarray(differences, float)
    if not np.isfinite(values).all():
        raise ValueError(f"differences must be finite, got {list(differences)}")
    count = len(values)
    if not count:
        return 1.0
    sums = np.abs(_signs(count) @ values)
    seen = abs(float(values.sum()))
    # Sums that are equal on paper may differ in their last bits.
    return float((sums >= seen - 1e-12 * max(1.0, seen)).mean())


@functools.cache
def _signs(count: int) -> NDArray[np.float64]:
    """Return all ways to give `count` values signs, or many of them, all plus first."""
    if 2**count <= MOST_EXACT:
        return np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    signs = np.random.default_rng(0).choice([1.0, -1.0], size=(MOST_EXACT, count))
    signs[0] = 1.0  # the one that was seen
    return signs


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by S. Holm's rule (1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, (len(p_values) - rank) * p_values[index])
        corrected[index] = min(1.0, highest)
    return corrected


def smallest_p(num_replicates: int, num_comparisons: int) -> float:
    """Return the smallest corrected p value that a study can give.

    Where signs are drawn, that is one of the draws: see `sign_flip_test`.
    """
    smallest = 2.0 ** (1 - num_replicates)
    if 2**num_replicates > MOST_EXACT:
        smallest = 1 / MOST_EXACT
    return min(1.0, num_comparisons * smallest)


def replicates_needed(num_comparisons: int, alpha: float) -> int:
    """Return with how many replicates a first comparison can be significant."""
    count = 1
    while smallest_p(count, num_comparisons) > alpha:
        count += 1
    return count


@dataclasses.dataclass(frozen=True)
class Survival:
    """A Kaplan-Meier curve: the share of runs that have not reached something yet.

    Attributes:
        times: when the share falls, growing.
        shares: what it falls to.
    """

    times: list[float]
    shares: list[float]

    @property
    def median(self) -> float:
        """The first time at which half of the runs have reached it; infinite: never."""
        for time, share in zip(self.times, self.shares, strict=True):
            if share <= 0.5 + 1e-12:
                return time
        return math.inf


def kaplan_meier(times: Sequence[float], reached: Sequence[bool]) -> Survival:
    """Return E. Kaplan's and P. Meier's estimate (1958).

    Args:
        times: when each run reached it, or how long it was watched without.
        reached: whether it did.
    """
    at, shares, share = [], [], 1.0
    for time in sorted({t for t, was in zip(times, reached, strict=True) if was}):
        at_risk = sum(t >= time for t in times)
        events = sum(t == time and was for t, was in zip(times, reached, strict=True))
        share *= 1 - events / at_risk
        at.append(time)
        shares.append(share)
    return Survival(at, shares)


def log_rank_test(
    one: Sequence[tuple[float, bool]], other: Sequence[tuple[float, bool]]
) -> float:
    """Return the p value of two groups of (time, reached) having one distribution.

    The log-rank statistic, observed less expected events of the first group (N.
    Mantel, 1966), by permutation of the groups' names: of all ways to deal the runs
    out, or of many drawn, the share that is at least as far from 0.
    """
    everyone = [*one, *other]
    times = np.array([time for time, _ in everyone])
    reached = np.array([was for _, was in everyone])
    statistic = _log_rank(times, reached, _deals(len(everyone), len(one)))
    return float((np.abs(statistic) >= abs(statistic[0]) - 1e-9).mean())


@functools.cache
def _deals(total: int, first: int) -> NDArray[np.bool_]:
    """Return who is in the first group, [ways, runs]: of all ways, or of many drawn.

    The first way is the one that was seen.
    """
    if math.comb(total, first) <= MOST_EXACT:
        chosen = np.array(list(itertools.combinations(range(total), first)), int)
    else:
        random = np.random.default_rng(0)
        order = random.permuted(np.tile(np.arange(total), (MOST_EXACT // 8, 1)), axis=1)
        chosen = order[:, :first]
        chosen[0] = np.arange(first)
    groups = np.zeros((len(chosen), total), bool)
    np.put_along_axis(groups, chosen, True, axis=1)
    return groups


def _log_rank(
    times: NDArray[np.float64], reached: NDArray[np.bool_], groups: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return observed less expected events of each group, [groups]."""
    result = np.zeros(len(groups))
    for time in np.unique(times[reached]):
        at_risk, events = times >= time, (times == time) & reached
        share = events.sum() / at_risk.sum()
        result += groups[:, events].sum(axis=1) - share * groups[:, at_risk].sum(axis=1)
    return result
