import collections
import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpipe.data.allotment import allot
from tfpipe.data.splits import global_order
from tfpipe.data.subsets import SubsetSums, choose_groups, choose_jointly

SPLITS = ("train", "validation", "test")


def allot_plain(sizes_of_groups, num_singles, **options):
    """Allot groups of these sizes and then singles; two classes in turn."""
    starts = [0, *itertools.accumulate(sizes_of_groups)]
    groups = [list(range(a, b)) for a, b in itertools.pairwise(starts)]
    total = starts[-1] + num_singles
    keys = [f"{i}.jpg" for i in range(total)]
    options = {"validation_split": 0.25, **options}
    found = allot(keys, [i % 2 for i in range(total)], groups, **options)
    assert sorted(found.order) == list(range(total))
    return found, splits_of(found), groups


def splits_of(found):
    """Return the split of each picture by its position."""
    ends = list(itertools.accumulate(found.sizes.values()))
    names = list(found.sizes)
    return {
        position: names[sum(place >= end for end in ends)]
        for place, position in enumerate(found.order)
    }


def sizes(total, validation, test):
    return allot_plain([], total, validation_split=validation, test_split=test)[0].sizes


def test_the_experiments_split_is_exact():
    assert sizes(25_000, 0.25, 0) == {"train": 18_750, "validation": 6_250}


@pytest.mark.parametrize(
    ("total", "validation", "test", "expected"),
    [
        (10, 0.15, 0, {"train": 8, "validation": 2}),  # 1.5 is rounded up
        (10, 0.0, 0, {"train": 10, "validation": 0}),
        (10, 0.2, 0.1, {"train": 7, "validation": 2, "test": 1}),
        (3, 0.25, 0, {"train": 2, "validation": 1}),
    ],
)
def test_totals_are_rounded_half_up(total, validation, test, expected):
    assert sizes(total, validation, test) == expected


def test_an_empty_train_split_is_refused():
    with pytest.raises(ValueError, match="train must have at least one picture"):
        sizes(1, 0.5, 0)


def test_groups_that_fit_into_train_are_its_head():
    found, _, groups = allot_plain([2, 3], 15)
    keys = [f"{i}.jpg" for i in range(20)]
    order = global_order(keys, [i % 2 for i in range(20)], groups)
    assert list(found.order) == order
    assert set(found.order[:5]) == set(range(5))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(2, 7), max_size=9), st.integers(0, 9))
def test_totals_are_as_near_as_whole_groups_allow(group_sizes, num_singles):
    if sum(group_sizes) + num_singles < 2:
        return
    found, split_of, groups = allot_plain(group_sizes, num_singles)
    for group in groups:
        assert len({split_of[i] for i in group}) == 1
    target = found.targets["train"]
    sums = (
        sum(chosen)
        for count in range(len(group_sizes) + 1)
        for chosen in itertools.combinations(group_sizes, count)
    )
    nearest = min(max(s - target, target - num_singles - s, 0) for s in sums)
    assert abs(found.sizes["train"] - target) == nearest


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.integers(2, 9), min_size=1, max_size=7),
    st.integers(0, 4),
    st.sampled_from([(0.25, 0.25), (0.4, 0.2), (0.1, 0.3)]),
)
def test_totals_of_three_splits_are_exact_where_any_choice_of_groups_makes_them_so(
    group_sizes, num_singles, fractions
):
    total = sum(group_sizes) + num_singles
    try:
        found, split_of, groups = allot_plain(
            group_sizes,
            num_singles,
            validation_split=fractions[0],
            test_split=fractions[1],
        )
    except ValueError:
        assert total <= 5
        return
    for group in groups:
        assert len({split_of[i] for i in group}) == 1
    overflows = [
        sum(
            max(
                0,
                sum(s for s, p in zip(group_sizes, parts, strict=True) if p == split)
                - found.targets[split],
            )
            for split in SPLITS
        )
        for parts in itertools.product(SPLITS, repeat=len(group_sizes))
        # Train is never left without pictures.
        if num_singles or "train" in parts
    ]
    missed = sum(
        max(0, size - found.targets[split]) for split, size in found.sizes.items()
    )
    assert missed == min(overflows)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 100),
    st.lists(st.integers(2, 12), max_size=40),
    st.integers(20, 300),
    st.sampled_from([(0.25, 0.0), (0.2, 0.1), (0.5, 0.3)]),
    st.randoms(use_true_random=False),
)
def test_three_splits_of_many_classes_keep_groups_whole_and_totals_exact(
    num_classes, group_sizes, num_singles, fractions, random
):
    starts = [0, *itertools.accumulate(group_sizes)]
    groups = [list(range(a, b)) for a, b in itertools.pairwise(starts)]
    total = starts[-1] + num_singles
    labels = [random.randrange(num_classes) for _ in range(total)]
    keys = [f"{i}.jpg" for i in range(total)]
    found = allot(
        keys, labels, groups, validation_split=fractions[0], test_split=fractions[1]
    )
    split_of = splits_of(found)
    assert sorted(found.order) == list(range(total))
    for group in groups:
        assert len({split_of[i] for i in group}) == 1
    # At least twenty singles, and no group longer than twelve.
    assert found.sizes == {s: n for s, n in found.targets.items() if n or s != "test"}
    # The same pictures found in another order are dealt alike.
    mixed = list(range(total))
    random.shuffle(mixed)
    place = {old: new for new, old in enumerate(mixed)}
    again = allot(
        [keys[i] for i in mixed],
        [labels[i] for i in mixed],
        [[place[i] for i in group] for group in reversed(groups)],
        validation_split=fractions[0],
        test_split=fractions[1],
    )
    assert [keys[mixed[i]] for i in again.order] == [keys[i] for i in found.order]


def test_classes_keep_their_shares_where_groups_fill_more_than_train():
    labels = [i // 4 % 3 for i in range(480)] + [i % 3 for i in range(120)]
    groups = [list(range(i, i + 4)) for i in range(0, 480, 4)]
    keys = [f"{i}.jpg" for i in range(600)]
    found = allot(keys, labels, groups, validation_split=0.5)
    split_of = splits_of(found)
    for split in ("train", "validation"):
        counts = collections.Counter(
            labels[i] for i in split_of if split_of[i] == split
        )
        assert found.sizes[split] == 300
        assert all(abs(count - 100) <= 4 for count in counts.values())


def test_groups_that_would_take_more_of_a_class_than_its_share_are_dealt():
    labels = [0] * 40 + [1] * 40
    groups = [[i, i + 1] for i in range(0, 40, 2)]
    found = allot(
        [f"{i}.jpg" for i in range(80)], labels, groups, validation_split=0.25
    )
    split_of = splits_of(found)
    assert found.sizes == {"train": 60, "validation": 20}
    for label in (0, 1):
        found_in = [s for i, s in split_of.items() if labels[i] == label]
        assert found_in.count("validation") == 10


def test_one_of_two_groups_is_trains():
    found, _, _ = allot_plain([5, 5], 0, validation_split=0.9)
    assert found.sizes == {"train": 5, "validation": 5}
    assert found.targets["train"] == 1


def test_splits_of_the_input_stay():
    given_splits = ["train", "train", "validation", "test", "train", "test"]
    found, split_of, _ = allot_plain([], 6, given=given_splits)
    assert [split_of[i] for i in range(6)] == given_splits
    assert found.sizes == {"train": 3, "validation": 1, "test": 2}


def test_with_test_pictures_given_validation_is_a_part_of_the_rest():
    found, split_of, _ = allot_plain([], 12, given=["test"] * 4 + [""] * 8)
    assert found.sizes == {"train": 6, "validation": 2, "test": 4}
    assert {split_of[i] for i in range(4)} == {"test"}


def test_a_group_across_given_splits_goes_to_one_whole():
    given_splits = ["train", "test", "test", "validation", "validation", "test"]
    found, split_of, _ = allot_plain([2, 2], 2, given=given_splits)
    assert [split_of[i] for i in range(4)] == ["train"] * 2 + ["test"] * 2
    assert found.moved == (1, 3)
    _, split_of, _ = allot_plain([2], 6, given=["test", "", *["test"] * 2, *[""] * 4])
    assert split_of[0] == split_of[1] == "train"


def test_an_extension_keeps_splits_and_fills_up_the_totals():
    old = ["train"] * 6 + ["validation"] * 2
    found, split_of, _ = allot_plain([], 16, given=old + [""] * 8, is_extension=True)
    assert [split_of[i] for i in range(8)] == old
    assert found.sizes == {"train": 12, "validation": 4}
    # A new picture of an old group follows it.
    _, split_of, _ = allot_plain(
        [2], 14, given=["validation", "", *[""] * 14], is_extension=True
    )
    assert split_of[1] == "validation"


def test_sums_of_a_choice():
    sums = SubsetSums([3, 5, 5, 5, 9])
    reach = {
        sum(c) for n in range(6) for c in itertools.combinations([3, 5, 5, 5, 9], n)
    }
    assert set(sums.sums) == reach
    for total in reach:
        counts = sums.counts(total)
        assert sum(number * count for number, count in counts.items()) == total
        assert counts[5] <= 3
        assert counts[3] <= 1


def test_a_cut_far_from_the_first_groups_is_found_in_a_wider_window():
    # Only the very last group is odd, and the sum must be.
    group_sizes = [2] * 300 + [3]
    chosen = choose_groups(group_sizes, 101, 101, 101)
    assert sum(group_sizes[i] for i in chosen) == 101
    assert 300 in chosen


def test_a_joint_choice_is_found_where_splits_in_turn_miss_it():
    # 7 + 9 and 6 + 10 are the only way; who takes 10 + 6 or 16 first spoils the rest.
    group_sizes = [2] * 40 + [7, 9, 6, 10, 5]
    chosen = choose_jointly(group_sizes, [0] * 45, [80, 16, 21])
    held = [
        sum(s for s, p in zip(group_sizes, chosen, strict=True) if p == part)
        for part in range(3)
    ]
    assert held == [80, 16, 21]


def test_a_hard_choice_takes_neither_long_nor_much_memory():
    # No sum of even numbers is odd: there is nothing to find.
    for group_sizes, needs in (
        (list(range(236, 300, 2)), [4280, 2141, 2139]),
        ([2] * 30_000, [19_999, 20_001, 20_000]),
    ):
        parts = [i % 3 for i in range(len(group_sizes))]
        tracemalloc.start()
        chosen = choose_jointly(group_sizes, parts, needs)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(chosen) == len(group_sizes)
        assert peak < 80_000_000
