import collections

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpipe.data import splits

counts_of_classes = st.lists(st.integers(1, 60), min_size=2, max_size=100)


def keys_and_labels(counts):
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    return [f"{label}/{place}.jpg" for place, label in enumerate(labels)], labels


@settings(deadline=None, max_examples=60)
@given(counts_of_classes)
def test_in_every_prefix_every_class_is_within_one_of_its_share(counts):
    keys, labels = keys_and_labels(counts)
    order = splits.global_order(keys, labels, [])
    assert sorted(order) == list(range(len(keys)))
    placed = collections.Counter()
    for place, position in enumerate(order, start=1):
        placed[labels[position]] += 1
        for label, count in enumerate(counts):
            # |placed - count * place / total| <= 1, in whole numbers
            assert abs(placed[label] * len(keys) - count * place) <= len(keys)


@settings(deadline=None, max_examples=60)
@given(counts_of_classes, st.randoms(use_true_random=False))
def test_order_does_not_depend_on_the_order_of_finding(counts, random):
    keys, labels = keys_and_labels(counts)
    groups = [[0, 1], [2, len(keys) - 1]] if len(keys) > 3 else []
    expected = [keys[i] for i in splits.global_order(keys, labels, groups)]
    mixed = list(range(len(keys)))
    random.shuffle(mixed)
    where = {old: new for new, old in enumerate(mixed)}
    found = splits.global_order(
        [keys[i] for i in mixed],
        [labels[i] for i in mixed],
        [[where[i] for i in group] for group in reversed(groups)],
    )
    assert [keys[mixed[i]] for i in found] == expected


def test_groups_stand_together_at_the_head():
    keys = [f"{letter}.jpg" for letter in "abcdefgh"]
    groups = splits.find_groups(list("xyxzywvu"))
    assert groups == [[0, 2], [1, 4]]
    order = splits.global_order(keys, [0, 1] * 4, groups)
    assert {frozenset(order[:2]), frozenset(order[2:4])} == {
        frozenset({0, 2}),
        frozenset({1, 4}),
    }


def test_groups_are_what_content_or_names_join():
    contents, names = ["x", "y", "x", "", ""], ["", "g", "", "g", ""]
    assert splits.find_groups(contents, names) == [[0, 2], [1, 3]]
    assert splits.find_groups(list("xyxzy"), ["a", "", "b", "b", ""]) == [
        [0, 2, 3],
        [1, 4],
    ]


def test_shards_cut_each_split_evenly():
    assert splits.shard_ranges({"train": 6, "validation": 2}, 4) == [
        ("train", 0, 3, 0, 2),
        ("train", 1, 3, 2, 4),
        ("train", 2, 3, 4, 6),
        ("validation", 0, 1, 6, 8),
    ]
    sizes = {"train": 18_750, "validation": 6_250}
    counts = collections.Counter(r[0] for r in splits.shard_ranges(sizes, 16))
    assert counts == {"train": 12, "validation": 4}


@settings(deadline=None)
@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 700))
def test_shards_cover_all_records_once(train, validation, num_shards):
    sizes = {"train": train, "validation": validation}
    least, most = 1 + (validation > 0), train + validation
    if not least <= num_shards <= most:
        with pytest.raises(ValueError, match="num_shards must be from"):
            splits.shard_ranges(sizes, num_shards)
        return
    ranges = splits.shard_ranges(sizes, num_shards)
    assert len(ranges) == num_shards
    ids = [i for _, _, _, start, end in ranges for i in range(start, end)]
    assert ids == list(range(most))
    assert all(end > start for _, _, _, start, end in ranges)


def test_auto_shards():
    assert splits.auto_num_shards(25_000, 118_000_000, 2) == 16
    assert splits.auto_num_shards(2, 1_000, 2) == 2
    assert splits.auto_num_shards(25_000, 12_800_000_000, 2) == 100
