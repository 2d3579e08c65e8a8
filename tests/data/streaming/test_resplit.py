import collections

import numpy as np
import pytest

from tfpipe.data.streaming.pipeline import Batches, input_fn
from tfpipe.data.streaming.resplit import other_splits, stored_splits
from tfpipe.data.streaming.source import Source


@pytest.fixture
def grouped(flat, lay, make_records):
    """Records of 12 dogs and 8 cats; 12 of these in groups of three; a tenth test."""
    names = sorted(flat)
    rows = "".join(
        f"{name},{name[:3]},{f'g{i // 3}' if i < 12 else ''}\n"
        for i, name in enumerate(names)
    )
    folder = lay({**flat, "labels.csv": f"path,label,group\n{rows}".encode()})
    return make_records(folder, test_split=0.1, validation_split=0.25)


def ids(found, name):
    return found[name].ids.tolist()


def facts(store, split):
    return [store.record(int(i)) for i in split.ids]


def test_without_a_wish_splits_are_the_stored_ones(grouped):
    source = Source(grouped.records_dir)
    found = stored_splits(grouped)
    assert {name: len(split.ids) for name, split in found.items()} == (
        grouped.split_sizes
    )
    assert sum(ids(source.splits, name) == ids(found, name) for name in found) == 3
    # The same fraction and seed 0 again: the same split, made anew.
    share = grouped.split_sizes["validation"] / sum(grouped.split_sizes.values())
    again = other_splits(source.store, share, 0)
    for name in found:
        assert sorted(ids(again, name)) == ids(found, name)
        assert again[name].class_counts == found[name].class_counts


@pytest.mark.parametrize("validation_split", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("split_seed", [0, 1, 2])
def test_splits_are_whole_disjoint_stratified_and_keep_groups_and_test(
    grouped, validation_split, split_seed
):
    store = Source(grouped.records_dir).store
    found = other_splits(store, validation_split, split_seed)
    total = sum(grouped.split_sizes.values())
    everyone = [i for name in found for i in ids(found, name)]
    assert sorted(everyone) == list(range(total))
    assert sorted(ids(found, "test")) == ids(stored_splits(grouped), "test")
    wanted = grouped.split_sizes["validation"]
    if validation_split:
        wanted = int(validation_split * total + 0.5)
    assert len(found["validation"].ids) == wanted
    split_of_group = collections.defaultdict(set)
    for name, split in found.items():
        records = facts(store, split)
        counts = np.bincount([record.label for record in records], minlength=2)
        assert split.class_counts == tuple(counts)
        if name != "test":
            # Groups are of one class or two; singles make up for it as far as they go.
            assert abs(counts[0] - 0.6 * counts.sum()) <= 3
        for record in records:
            if record.group:
                split_of_group[record.group].add(name)
    assert {len(names) for names in split_of_group.values()} == {1}


def test_another_seed_validates_on_other_pictures(grouped):
    store = Source(grouped.records_dir).store
    validations = {
        tuple(sorted(ids(other_splits(store, 0.25, seed), "validation")))
        for seed in range(4)
    }
    assert len(validations) == 4
    once, again = (other_splits(store, 0.25, 3) for _ in range(2))
    assert ids(once, "train") == ids(again, "train")


def test_the_input_function_streams_them(grouped):
    options = {"image_size": 8, "batch_size": 8, "validation_split": 0.5}
    source = Source(grouped.records_dir, validation_split=0.5)
    for split in ("train", "validation"):
        dataset = input_fn(grouped.records_dir, split, **options)
        count = sum(len(labels) for _, labels in dataset)
        assert count == len(source.splits[split].ids)
    batches = Batches(source, image_size=8, batch_size=8)
    delivered = np.concatenate(
        [
            found
            for _, _, found in batches.dataset(
                source.split_ids("validation"), with_ids=True
            )
        ]
    )
    assert delivered.tolist() == ids(source.splits, "validation")


def test_a_fraction_that_leaves_validation_without_pictures_is_named(grouped):
    store = Source(grouped.records_dir).store
    with pytest.raises(ValueError, match="validation_split must give validation at le"):
        other_splits(store, 0.001, 0)
    with pytest.raises(ValueError, match="train must have at least one picture"):
        other_splits(store, 0.95, 0)
