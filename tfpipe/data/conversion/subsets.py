"""Choose some of many numbers so that their sum fits."""

import collections
import itertools
from collections.abc import Sequence

import numpy as np

FIRST_WINDOW = 32


def choose_groups(sizes: Sequence[int], low: int, high: int, ideal: int) -> list[int]:
    """Return which groups together have from `low` to `high` members, near `ideal`.

    The first groups are taken if their sum can do; else groups around the cut are
    exchanged, in a window that grows until a sum fits. If none does, the nearest sum
    found is taken.
    """

    def miss(total: int) -> tuple[int, int]:
        return max(low - total, total - high, 0), abs(total - ideal)

    sums = [0, *itertools.accumulate(sizes)]
    cut = min(range(len(sums)), key=lambda count: miss(sums[count]))
    best, best_miss = list(range(cut)), miss(sums[cut])
    window = FIRST_WINDOW
    while best_miss[0]:
        start, end = max(0, cut - window), min(len(sizes), cut + window)
        reachable = SubsetSums([sizes[i] for i in range(start, end)])
        total = min(reachable.sums, key=lambda s: miss(sums[start] + s))
        if miss(sums[start] + total) < best_miss:
            best_miss = miss(sums[start] + total)
            counts = reachable.counts(total)
            best = list(range(start))
            for i in range(start, end):
                if counts.get(sizes[i], 0):
                    counts[sizes[i]] -= 1
                    best.append(i)
        if start == 0 and end == len(sizes):
            break
        window *= 4
    return best


class SubsetSums:
    """Every sum that a choice among some numbers can have.

    Kept as one bit a sum; equal numbers are counted together, in powers of two.

    Args:
        numbers: positive.
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self._steps: list[tuple[int, int, int]] = []  # (number, how often, sums before)
        bits = 1
        for number, count in sorted(collections.Counter(numbers).items()):
            often = 1
            while count:
                often = min(often, count)
                self._steps.append((number, often, bits))
                bits |= bits << (number * often)
                count -= often
                often *= 2
        packed = np.frombuffer(bits.to_bytes(bits.bit_length() // 8 + 1, "little"), "B")
        self.sums: list[int] = np.flatnonzero(
            np.unpackbits(packed, bitorder="little")
        ).tolist()

    def counts(self, total: int) -> dict[int, int]:
        """Return how often to take each number so that their sum is `total`."""
        taken: dict[int, int] = collections.Counter()
        for number, often, before in reversed(self._steps):
            if not before >> total & 1:
                taken[number] += often
                total -= number * often
        return taken
