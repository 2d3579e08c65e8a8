"""Choose some of many numbers so that their sum fits."""

import collections
import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FIRST_WINDOW = 32
# Of a joint choice: sums in its table, and those times groups. Half a second, 60 MB.
MOST_SUMS, MOST_STEPS = 1 << 20, 1 << 27


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


def choose_jointly(
    sizes: Sequence[int], start: Sequence[int], needs: Sequence[int]
) -> list[int]:
    """Return which of three parts each group goes to, so that no part overflows.

    Parts need `needs` members, of groups and then of single ones; what groups put
    into a part above its need is its overflow. From a first choice on, more and more
    groups are dealt anew, at first one of each size, until nothing overflows, all are
    dealt anew or that would take too long. If all are, the overflow is the least there
    is.

    Args:
        sizes: members of each group.
        start: part 0, 1 or 2 of each group, to begin with.
        needs: of the three parts.
    """
    best = list(start)
    least = _overflow(sizes, best, needs)
    seen: collections.Counter[int] = collections.Counter()
    turns = []
    for index, size in enumerate(sizes):
        turns.append((seen[size], index))
        seen[size] += 1
    ranked = [index for _, index in sorted(turns)]
    window = min(8, len(sizes))
    while least:
        free = ranked[:window]
        fixed = [0, 0, 0]
        for index in ranked[window:]:
            fixed[start[index]] += sizes[index]
        # No better choice puts more than this into a part.
        room = [max(0, needs[part] + least - fixed[part]) for part in (0, 1)]
        num_sums = (room[0] + 1) * (room[1] + 1)
        if num_sums > MOST_SUMS or num_sums * window > MOST_STEPS:
            break
        dealt = _deal_anew([sizes[i] for i in free], room, needs, fixed)
        choice = list(start)
        for index, part in zip(free, dealt, strict=True):
            choice[index] = part
        if _overflow(sizes, choice, needs) < least:
            best, least = choice, _overflow(sizes, choice, needs)
        if window == len(sizes):
            break
        window = min(4 * window, len(sizes))
    return best


def _overflow(sizes: Sequence[int], parts: Sequence[int], needs: Sequence[int]) -> int:
    held = [0, 0, 0]
    for size, part in zip(sizes, parts, strict=True):
        held[part] += size
    return sum(max(0, have - need) for have, need in zip(held, needs, strict=True))


def _deal_anew(
    sizes: Sequence[int],
    room: Sequence[int],
    needs: Sequence[int],
    fixed: Sequence[int],
) -> list[int]:
    """Return the part of each group that lets parts overflow least, near to `needs`.

    `first[a, b]` is the group with which sums a and b of parts 0 and 1 were first
    reached, so that going back from there never takes a group twice.
    """
    unreached = len(sizes)
    first = np.full((room[0] + 1, room[1] + 1), unreached, np.int32)
    first[0, 0] = -1
    for index, size in enumerate(sizes):
        is_new = np.zeros(first.shape, bool)
        is_reached = first != unreached
        is_new[size:] |= is_reached[:-size]
        is_new[:, size:] |= is_reached[:, :-size]
        first[is_new & ~is_reached] = index
    a, b = _best_sums(first != unreached, sum(sizes), needs, fixed)
    parts = [2] * len(sizes)
    while a or b:
        index = first[a, b]
        size = sizes[index]
        if a >= size and first[a - size, b] < index:
            parts[index], a = 0, a - size
        else:
            parts[index], b = 1, b - size
    return parts


def _best_sums(
    is_reached: NDArray[np.bool_],
    free: int,
    needs: Sequence[int],
    fixed: Sequence[int],
) -> tuple[int, int]:
    """Return sums a and b that overflow least, and of those the nearest to shares."""
    total, wanted = free + sum(fixed), sum(needs)
    best = (1 << 62, 0, 0, 0)
    for a, row in enumerate(is_reached):
        b = np.flatnonzero(row)
        if not len(b):
            continue
        over, off = np.zeros(len(b), np.int64), np.zeros(len(b), np.int64)
        rest = free - a - b + fixed[2]
        held = [np.full_like(b, a + fixed[0]), b + fixed[1], rest]
        for have, need in zip(held, needs, strict=True):
            over += np.maximum(have - need, 0)
            off += abs(have * wanted - need * total)
        here = np.lexsort((off, over))[0]
        best = min(best, (int(over[here]), int(off[here]), a, int(b[here])))
    return best[2], best[3]
