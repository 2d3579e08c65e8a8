"""Which split each picture goes to: whole groups first, then exact totals, then shares.

A pure function of keys, labels, groups and what the input gives, as the order is.
"""

import collections
import dataclasses
import decimal
import heapq
import itertools
from collections.abc import Sequence

from tfpipe.data.splits import SPLITS, global_order, key_rank
from tfpipe.data.subsets import choose_groups, choose_jointly


@dataclasses.dataclass(frozen=True, kw_only=True)
class Allotment:
    """The global order with its cuts.

    Attributes:
        order: positions of the pictures, train first, then validation, then test.
        sizes: records of each split; train and validation are always there.
        targets: what the sizes would be if no group had to stay whole and no earlier
            split were kept.
        moved: positions of the pictures that left the split given to them, because
            another of their group was given to another split.
    """

    order: tuple[int, ...]
    sizes: dict[str, int]
    targets: dict[str, int]
    moved: tuple[int, ...]


def allot(
    keys: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[Sequence[int]],
    *,
    given: Sequence[str] = (),
    validation_split: float,
    test_split: float = 0.0,
    is_extension: bool = False,
) -> Allotment:
    """Order the pictures and cut the order into splits.

    Totals are the fraction of the pictures, rounded half up. No group is cut; where
    groups fit into train, class by class, they stand at its head. Where they don't,
    whole groups are dealt by share, so that totals are exact if there is such a choice
    of them and it is found in about half a second, and as near as found otherwise.

    Args:
        keys, labels: of each picture.
        groups: positions that belong together; of two or more each.
        given: the split that the input gives each picture, "" for ours to choose; ()
            for none given.
        validation_split, test_split: fractions in [0, 1).
        is_extension: whether `given` are those of earlier records that are extended:
            then fractions are of all pictures, else of those not given.

    Raises:
        ValueError: if train is left without pictures.
    """
    given = list(given) or [""] * len(keys)
    moved = _keep_groups_whole(given, groups, is_extension)
    pool = [position for position, split in enumerate(given) if not split]
    held = collections.Counter(split for split in given if split)
    base = len(keys) if is_extension else len(pool)
    needs, targets, left = {}, {}, len(pool)
    for split, fraction in (("test", test_split), ("validation", validation_split)):
        wanted = _round_half_up(fraction, base)
        targets[split] = wanted if is_extension else wanted + held[split]
        needs[split] = min(max(targets[split] - held[split], 0), left)
        left -= needs[split]
    needs["train"] = left
    targets["train"] = len(keys) - targets["validation"] - targets["test"]
    if needs["train"] + held["train"] < 1:
        raise ValueError(
            f"train must have at least one picture, got none of {len(keys)}; "
            "give more pictures or smaller --validation_split and --test_split"
        )
    dealt = _deal_pool(pool, keys, labels, groups, needs)
    order: list[int] = []
    sizes = {}
    for split in SPLITS:
        members = dealt[split]
        if held[split]:
            both = sorted([*members, *(i for i, s in enumerate(given) if s == split)])
            members = _ordered(both, keys, labels, groups)
        order += members
        sizes[split] = len(members)
    if not sizes["test"]:
        del sizes["test"]
    return Allotment(
        order=tuple(order), sizes=sizes, targets=targets, moved=tuple(moved)
    )


def _round_half_up(fraction: float, count: int) -> int:
    # Decimal text, because 0.15 * 10 is below 1.5 in binary floating point.
    exact = decimal.Decimal(str(fraction)) * count
    return int(exact.to_integral_value(decimal.ROUND_HALF_UP))


def _keep_groups_whole(
    given: list[str], groups: Sequence[Sequence[int]], is_extension: bool
) -> list[int]:
    """Give all of a group one split, in place; return the pictures that left theirs.

    Where members were given to different splits, the whole group goes to train, so
    that no evaluation sees what was trained on; from validation and test, to test. New
    members of a group that earlier records hold join it.
    """
    moved: list[int] = []
    for group in groups:
        found = {given[i] for i in group}
        if is_extension and len(found) > 1:
            found.discard("")
        if len(found) == 1:
            goal = found.pop()
        else:
            goal = "test" if found == {"validation", "test"} else "train"
        moved += [i for i in group if given[i] not in ("", goal)]
        for i in group:
            given[i] = goal
    return moved


def _ordered(
    members: Sequence[int],
    keys: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[Sequence[int]],
) -> list[int]:
    """Return some of the pictures in their own global order."""
    place = {position: index for index, position in enumerate(members)}
    inner = [[place[i] for i in group] for group in groups if group[0] in place]
    order = global_order(
        [keys[i] for i in members], [labels[i] for i in members], inner
    )
    return [members[index] for index in order]


def _deal_pool(
    pool: Sequence[int],
    keys: Sequence[str],
    labels: Sequence[int],
    groups: Sequence[Sequence[int]],
    needs: dict[str, int],
) -> dict[str, list[int]]:
    """Deal the pictures that no split was given, in global order, as `needs` says."""
    in_pool = set(pool)
    inner = [list(group) for group in groups if group[0] in in_pool]
    if _fit_into_train(inner, pool, labels, needs):
        ordered = iter(_ordered(pool, keys, labels, inner))
        return {
            split: list(itertools.islice(ordered, needs[split])) for split in SPLITS
        }
    grouped = {position for group in inner for position in group}
    singles = [position for position in pool if position not in grouped]
    inner = _by_share(inner, keys, labels)
    split_of = _deal_groups([len(group) for group in inner], len(singles), needs)
    if not singles and "train" not in split_of:
        split_of[min(range(len(inner)), key=lambda i: len(inner[i]))] = "train"
    dealt: dict[str, list[int]] = {split: [] for split in SPLITS}
    for group, split in zip(inner, split_of, strict=True):
        dealt[split] += group
    _deal_singles(dealt, singles, keys, labels, needs)
    return dealt


def _fit_into_train(
    groups: Sequence[Sequence[int]],
    pool: Sequence[int],
    labels: Sequence[int],
    needs: dict[str, int],
) -> bool:
    """Tell whether train can hold all groups without more of a class than its share."""
    grouped = collections.Counter(labels[i] for group in groups for i in group)
    if not grouped:
        return True
    of_class = collections.Counter(labels[i] for i in pool)
    return all(
        count * len(pool) <= of_class[label] * needs["train"]
        for label, count in grouped.items()
    )


def _by_share(
    groups: Sequence[Sequence[int]], keys: Sequence[str], labels: Sequence[int]
) -> list[list[int]]:
    """Rank groups within their main class and interleave the classes by share."""
    queues = collections.defaultdict(list)
    for group in groups:
        members = sorted(group, key=lambda i: (key_rank(keys[i]), keys[i]))
        main = min(collections.Counter(labels[i] for i in group).items(), key=_most)
        queues[main[0]].append(members)
    wanted = {label: sum(map(len, queue)) for label, queue in queues.items()}
    for queue in queues.values():
        queue.sort(key=lambda g: (key_rank(keys[g[0]]), keys[g[0]]), reverse=True)
    placed = dict.fromkeys(queues, 0)
    turns = [(0.0, label) for label in sorted(queues)]
    ordered = []
    while turns:
        # The class of which the smallest part has come is next.
        _, label = turns[0]
        ordered.append(queues[label].pop())
        placed[label] += len(ordered[-1])
        if queues[label]:
            heapq.heapreplace(turns, (placed[label] / wanted[label], label))
        else:
            heapq.heappop(turns)
    return ordered


def _most(item: tuple[int, int]) -> tuple[int, int]:
    label, count = item
    return -count, label


def _deal_groups(
    sizes: Sequence[int], num_singles: int, needs: dict[str, int]
) -> list[str]:
    """Return each group's split: splits choose in turn, together if that misses."""
    part_of = [SPLITS.index("train")] * len(sizes)
    left, singles_left = list(range(len(sizes))), num_singles
    for split in SPLITS[1:]:
        need = needs[split]
        total = sum(sizes[i] for i in left) + singles_left
        ideal = round(sum(sizes[i] for i in left) * need / total) if total else 0
        chosen = choose_groups(
            [sizes[i] for i in left], max(0, need - singles_left), need, ideal
        )
        taken = {left[i] for i in chosen}
        for i in taken:
            part_of[i] = SPLITS.index(split)
        singles_left -= min(singles_left, max(0, need - sum(sizes[i] for i in taken)))
        left = [i for i in left if i not in taken]
    part_of = choose_jointly(sizes, part_of, [needs[split] for split in SPLITS])
    return [SPLITS[part] for part in part_of]


def _deal_singles(
    dealt: dict[str, list[int]],
    singles: Sequence[int],
    keys: Sequence[str],
    labels: Sequence[int],
    needs: dict[str, int],
) -> None:
    """Fill each split behind its groups so that the classes come near their shares."""
    queues = collections.defaultdict(list)
    for i in sorted(singles, key=lambda i: (key_rank(keys[i]), keys[i]), reverse=True):
        queues[labels[i]].append(i)
    everyone = [*singles, *itertools.chain(*dealt.values())]
    of_class = collections.Counter(labels[i] for i in everyone)
    left = len(singles)
    for split in SPLITS:
        placed = collections.Counter(labels[i] for i in dealt[split])
        size = max(needs[split], len(dealt[split]))
        share = {label: of_class[label] * size / len(everyone) for label in queues}
        turns = [(placed[c] - share[c], c) for c in queues if queues[c]]
        heapq.heapify(turns)
        for _ in range(min(left, size - len(dealt[split]))):
            _, label = turns[0]  # the class that lacks most
            dealt[split].append(queues[label].pop())
            placed[label] += 1
            left -= 1
            if queues[label]:
                heapq.heapreplace(turns, (placed[label] - share[label], label))
            else:
                heapq.heappop(turns)
