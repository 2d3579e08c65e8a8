"""The global order of records, and its cuts into shards.

It depends on keys, labels and groups alone: never on the order in which files were
found, on workers or on shards.
"""

import collections
import hashlib
import heapq
from collections.abc import Iterator, Sequence

SALT = "tfpipe-order-1"
SPLITS = ("train", "validation", "test")


def key_rank(key: str) -> bytes:
    """Return the salted hash that ranks a source among those of its class."""
    return hashlib.sha256(f"{SALT}/{key}".encode()).digest()


def find_groups(*columns: Sequence[str]) -> list[list[int]]:
    """Return the positions that belong together, for every group of two or more.

    Two positions do where they agree in one of the columns (content hashes, names of
    groups); "" agrees with nothing. It is transitive.
    """
    leader: dict[int, int] = {}  # of those that have one

    def find(position: int) -> int:
        while (parent := leader.get(position)) is not None:
            leader[position] = position = leader.get(parent, parent)
        return position

    for column in columns:
        first: dict[str, int] = {}
        for position, value in enumerate(column):
            if not value:
                continue
            one, other = find(first.setdefault(value, position)), find(position)
            if one != other:
                leader[max(one, other)] = min(one, other)
    members = collections.defaultdict(list)
    for position in sorted(leader):
        members[find(position)].append(position)
    return [[first, *others] for first, others in sorted(members.items())]


def global_order(
    keys: Sequence[str], labels: Sequence[int], groups: Sequence[Sequence[int]]
) -> list[int]:
    """Return the positions 0..n-1 in global order.

    Group members stand together at the head, so that no cut can part them; the rest
    is ranked within each class by `key_rank`, and the classes are interleaved so that
    in any prefix behind the groups every class is within one of its share.
    """
    ranks = [(key_rank(key), key) for key in keys]
    ordered_groups = [sorted(group, key=ranks.__getitem__) for group in groups]
    ordered_groups.sort(key=lambda group: ranks[group[0]])
    order = [position for group in ordered_groups for position in group]
    grouped = set(order)
    by_class: dict[int, list[int]] = {label: [] for label in sorted(set(labels))}
    for position in sorted(range(len(keys)), key=ranks.__getitem__, reverse=True):
        if position not in grouped:
            by_class[labels[position]].append(position)
    placed = collections.Counter(labels[position] for position in order)
    for label in interleave(collections.Counter(labels), placed):
        order.append(by_class[label].pop())
    return order


def interleave(
    counts: collections.Counter[int], placed: collections.Counter[int]
) -> Iterator[int]:
    """Yield the class of each next place, until `placed` has grown to `counts`.

    The j-th member of a class with n of N may come once n t > (j - 1) N, and must have
    come by n t >= j N, for place t. Taking the earliest due among those that may come
    keeps every class within one of its share at every place (Tijdeman, "The chairman
    assignment problem", Discrete Mathematics 32, 1980); taking the largest deficit
    does so for two classes only.
    """
    total, start = counts.total(), placed.total()

    def window(label: int) -> tuple[int, int]:
        before, count = placed[label], counts[label]
        return before * total // count + 1, -(-(before + 1) * total // count)

    placed = placed.copy()
    waiting = [(*window(label), label) for label in counts]
    waiting = [entry for entry in waiting if placed[entry[2]] < counts[entry[2]]]
    heapq.heapify(waiting)
    ready: list[tuple[int, int]] = []
    for place in range(start + 1, total + 1):
        # Behind unbalanced groups nothing may be due to come: then the next one does.
        while waiting and (waiting[0][0] <= place or not ready):
            _, due, label = heapq.heappop(waiting)
            heapq.heappush(ready, (due, label))
        _, label = heapq.heappop(ready)
        yield label
        placed[label] += 1
        if placed[label] < counts[label]:
            heapq.heappush(waiting, (*window(label), label))


def shard_ranges(
    sizes: dict[str, int], num_shards: int
) -> list[tuple[str, int, int, int, int]]:
    """Cut the global order into shards: each split alone, as evenly as it goes.

    Args:
        sizes: records of each split, in global order.
        num_shards: of all splits together; each split gets its share, at least one.

    Returns:
        (split, index of the shard, shards of the split, first id, end id) in order.

    Raises:
        ValueError: if `num_shards` is below the number of splits or above the records.
    """
    filled = {split: size for split, size in sizes.items() if size}
    total = sum(filled.values())
    if not len(filled) <= num_shards <= total:
        raise ValueError(
            f"num_shards must be from {len(filled)} (one a split) to {total} (one a "
            f"picture), got {num_shards}; give --num_shards so, or leave it out"
        )
    shards = dict.fromkeys(filled, 1)
    while sum(shards.values()) < num_shards:
        fullest = max(filled, key=lambda split: filled[split] / shards[split])
        shards[fullest] += 1
    ranges, start = [], 0
    for split, size in filled.items():
        count = shards[split]
        edges = [start + size * index // count for index in range(count + 1)]
        ranges += [
            (split, index, count, edges[index], edges[index + 1])
            for index in range(count)
        ]
        start += size
    return ranges


def auto_num_shards(num_examples: int, num_bytes: int, num_splits: int) -> int:
    """Return how many shards serve well: 16 for 25,000 records, 128 MB at most each."""
    by_count = min(16, -(-num_examples // 500))
    by_size = -(-num_bytes // 128_000_000)
    return min(num_examples, max(num_splits, by_count, by_size))
