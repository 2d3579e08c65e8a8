import importlib.util
import os
import shutil
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipe.base.machine import usable_cores
from tfpipe.data import order
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.data.records import frame_record
from tfpipe.data.storing import Storing
from tfpipe.data.streaming import pipeline
from tfpipe.data.streaming.augment import Augmentation
from tfpipe.data.streaming.pipeline import Batches, input_fn
from tfpipe.data.streaming.source import Source

NUM_TRAIN, NUM_VALIDATION = 39, 13


def ids_of(source, dataset):
    """The source ids a dataset delivers, told by their pictures."""
    known = {}
    for split in ("train", "validation"):
        ids = source.split_ids(split)
        pictures = np.concatenate(
            [x for x, _ in Batches(source, image_size=24, batch_size=8).dataset(ids)]
        )
        known |= {p.tobytes(): int(i) for p, i in zip(pictures, ids, strict=True)}
    return [known[p.tobytes()] for x, _ in dataset for p in np.asarray(x)]


@pytest.fixture(scope="module")
def source(records_dir):
    return Source(records_dir)


def test_elements_are_as_documented(records_dir):
    dataset = input_fn(records_dir, "train", image_size=16, batch_size=8)
    assert int(dataset.cardinality()) == 5
    batches = list(dataset)
    assert [len(x) for x, _ in batches] == [8, 8, 8, 8, 7]
    pictures, labels = batches[0]
    assert pictures.shape == (8, 16, 16, 3)
    assert pictures.dtype == labels.dtype == tf.float32
    assert labels.shape == (8, 2)
    assert np.min(pictures) >= 0
    assert 0.5 < np.max(pictures) <= 1
    assert np.sum(labels, axis=1).tolist() == [1] * 8


def test_each_pass_over_train_is_the_next_epoch(records_dir, source):
    dataset = input_fn(records_dir, "train", image_size=24, batch_size=8, seed=4)
    train_ids = source.split_ids("train")
    for epoch in range(3):
        expected = order.epoch_order(train_ids, 4, epoch)
        assert ids_of(source, dataset) == expected.tolist()
    later = input_fn(
        records_dir, "train", image_size=24, batch_size=8, seed=4, start_epoch=2
    )
    assert ids_of(source, later) == expected.tolist()


def test_validation_is_whole_and_the_same_on_every_pass(records_dir, source):
    dataset = input_fn(records_dir, "validation", image_size=24, batch_size=8)
    expected = list(range(NUM_TRAIN, NUM_TRAIN + NUM_VALIDATION))
    assert ids_of(source, dataset) == ids_of(source, dataset) == expected


def test_labels_stay_with_their_pictures(source):
    # Cats are striped across, dogs upright: variance along columns or rows tells.
    ids = order.epoch_order(source.split_ids("train"), 0, 0)
    dataset = Batches(source, image_size=24, batch_size=8).dataset(ids)
    for pictures, labels in dataset:
        across = np.var(np.mean(pictures, axis=(2, 3)), axis=1)
        upright = np.var(np.mean(pictures, axis=(1, 3)), axis=1)
        assert (np.argmax(labels, axis=1) == (across > upright)).all()


def test_an_epoch_resumes_at_every_step(source):
    batches = Batches(source, image_size=8, batch_size=8)
    ids = source.split_ids("train")
    whole = [np.asarray(x) for x, _ in batches.epoch_dataset(ids, seed=1, epoch=2)]
    for step in range(6):
        tail = batches.epoch_dataset(ids, seed=1, epoch=2, start_step=step)
        assert int(tail.cardinality()) == 5 - step
        got = [np.asarray(x) for x, _ in tail]
        assert len(got) == 5 - step
        for expected, picture in zip(whole[step:], got, strict=True):
            np.testing.assert_array_equal(expected, picture)


def test_shards_fetch_and_parallelism_change_nothing(
    image_dir, records_dir, tmp_path, monkeypatch
):
    convert(
        ConvertConfig(
            image_dir=str(image_dir),
            records_dir=str(tmp_path / "other"),
            num_workers=1,
            num_shards=2,
        )
    )
    options = {"image_size": 16, "batch_size": 8, "cache": "none"}
    reference = list(input_fn(records_dir, "train", **options))
    monkeypatch.setattr(pipeline.machine, "usable_cores", lambda: 5)
    for folder in (records_dir, tmp_path / "other"):
        for fetch in ("memory", "file"):
            dataset = input_fn(folder, "train", fetch=fetch, **options)
            for (x, y), (a, b) in zip(reference, dataset, strict=True):
                np.testing.assert_array_equal(x, a)
                np.testing.assert_array_equal(y, b)


def test_a_prefix_of_train_keeps_the_class_shares(records_dir, source):
    for count in (2, 7, 20, NUM_TRAIN):
        dataset = input_fn(records_dir, "train", train_examples=count, image_size=8)
        labels = np.concatenate([y for _, y in dataset])
        assert len(labels) == count
        share = np.bincount(labels.argmax(axis=1), minlength=2)
        assert abs(share[0] - share[1]) <= 2


def test_fit_sees_three_orders_and_warns_of_nothing(records_dir, source):
    seen = []

    class Remember(keras.layers.Layer):
        def call(self, pictures):
            tf.numpy_function(
                lambda x: seen.append(x.copy()) or np.int64(0), [pictures], tf.int64
            )
            return pictures

    model = keras.Sequential(
        [
            keras.Input((24, 24, 3)),
            Remember(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    dataset = input_fn(records_dir, "train", image_size=24, batch_size=8, seed=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        model.fit(dataset, epochs=3, verbose=0, shuffle=False)
    delivered = [(batch, None) for batch in seen if len(batch)]
    ids = ids_of(source, delivered)
    train_ids = source.split_ids("train")
    orders = [order.epoch_order(train_ids, 6, epoch) for epoch in range(3)]
    assert ids == np.concatenate(orders).tolist()


@pytest.fixture(scope="module")
def stored_records(image_dir, tmp_path_factory):
    """The shared pictures as records of 16 pixels, by encoding."""
    folders = {}
    for encoding in ("jpeg", "raw"):
        folders[encoding] = tmp_path_factory.mktemp("stored") / encoding
        config = ConvertConfig(
            image_dir=str(image_dir),
            records_dir=str(folders[encoding]),
            num_workers=1,
            storing=Storing(image_size=16, encoding=encoding),
        )
        convert(config)
    return folders


def test_raw_records_give_the_very_pixels(stored_records):
    source = Source(stored_records["raw"])
    ids = source.split_ids("validation")
    stored, _, _ = source.store.samples(ids)
    expected = np.stack([np.frombuffer(data, np.uint8) for data in stored])
    dataset = input_fn(stored_records["raw"], "validation", image_size=16)
    pictures = np.concatenate([np.asarray(x) for x, _ in dataset])
    assert pictures.shape == (NUM_VALIDATION, 16, 16, 3)
    np.testing.assert_array_equal(
        (pictures * 255).round(), expected.reshape(-1, 16, 16, 3)
    )


def test_raw_and_jpeg_records_show_the_same_pictures(stored_records):
    for size in (16, 24):
        raw, jpegs = (
            input_fn(stored_records[encoding], "train", image_size=size, batch_size=39)
            for encoding in ("raw", "jpeg")
        )
        for (x, labels), (a, same_labels) in zip(raw, jpegs, strict=True):
            np.testing.assert_array_equal(labels, same_labels)
            assert 0 < np.abs(x - a).mean() < 0.02


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "split must be one of train, validation, got 'test'"),
        ({"train_examples": 40}, "train_examples must be at most 39"),
        ({"resize": "box"}, "resize must be one of area, bilinear, fast, got 'box'"),
        ({"fetch": "disk"}, "fetch must be one of auto, memory, file, got 'disk'"),
    ],
)
def test_wrong_arguments_are_named(records_dir, arguments, message):
    arguments = {"split": "train"} | arguments
    with pytest.raises(ValueError, match=message):
        input_fn(records_dir, **arguments)


@pytest.mark.parametrize("fetch", ["memory", "file"])
def test_a_flipped_byte_is_met_by_name(records_dir, tmp_path, fetch):
    shutil.copytree(records_dir, tmp_path / "records")
    shard = min((tmp_path / "records").glob("*-validation.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[-10] ^= 4
    shard.write_bytes(content)
    dataset = input_fn(tmp_path / "records", "validation", image_size=8, fetch=fetch)
    with pytest.raises(
        tf.errors.OpError, match=rf"record \d+ of .*{shard.name} at off"
    ):
        list(dataset)


def test_swapped_shards_are_met(records_dir, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    first, second = sorted(folder.glob("*-train.tfrecord-*"))[:2]
    first_bytes = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(first_bytes)
    with pytest.raises(
        (ValueError, tf.errors.OpError), match=f"{first.name} .*must be"
    ):
        list(input_fn(folder, "train", image_size=8))


def arrays(dataset):
    return [tuple(np.asarray(column) for column in batch) for batch in dataset]


def assert_same(found, expected):
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        for column, same in zip(batch, other, strict=True):
            np.testing.assert_array_equal(column, same)


def test_uint8_batches_are_the_float_ones_unscaled(records_dir):
    options = {"image_size": 16, "batch_size": 8}
    floats = arrays(input_fn(records_dir, "train", **options))
    whole = arrays(input_fn(records_dir, "train", dtype="uint8", **options))
    assert whole[0][0].dtype == np.uint8
    for (x, y), (a, b) in zip(floats, whole, strict=True):
        np.testing.assert_array_equal(x, a.astype(np.float32) / np.float32(255))
        np.testing.assert_array_equal(y, b)


def test_both_decoders_stream_the_same(source):
    ids = order.epoch_order(source.split_ids("train"), 0, 0)
    turbo, tensorflow = (
        arrays(Batches(source, image_size=16, batch_size=8, decoder=name).dataset(ids))
        for name in ("turbo", "tensorflow")
    )
    assert_same(turbo, tensorflow)


def test_kept_pictures_are_the_decoded_ones_and_cost_no_reading(source, monkeypatch):
    options = {"image_size": 16, "batch_size": 8}
    plain = Batches(source, **options)
    ids = source.split_ids("train")
    epochs = [arrays(plain.epoch_dataset(ids, seed=0, epoch=e)) for e in range(2)]
    keeping = Batches(source, cache="memory", cached_ids=ids, **options)
    assert_same(arrays(keeping.epoch_dataset(ids, seed=0, epoch=0)), epochs[0])

    def read_nothing(_):
        raise AssertionError("read again")

    monkeypatch.setattr(source.store, "samples", read_nothing)
    assert_same(arrays(keeping.epoch_dataset(ids, seed=0, epoch=1)), epochs[1])


def test_what_cannot_be_kept_is_said(records_dir, stored_records):
    with pytest.raises(ValueError, match="got memory: crops are taken from pictures"):
        input_fn(records_dir, "train", image_size=8, augment=("crop",), cache="memory")
    with pytest.raises(ValueError, match="got memory: the records hold the very"):
        input_fn(stored_records["raw"], "train", image_size=16, cache="memory")


@pytest.mark.parametrize("kinds", [("flip", "color"), ("crop", "rotate")])
@pytest.mark.parametrize("cache", ["auto", "none"])
def test_augmented_epochs_differ_and_resume_at_every_step(source, kinds, cache):
    augmentation = Augmentation(kinds=kinds, seed=3)
    ids, val_ids = source.split_ids("train"), source.split_ids("validation")
    batches = Batches(
        source,
        image_size=16,
        batch_size=8,
        augmentation=augmentation,
        cache=cache,
        cached_ids=np.concatenate([ids, val_ids]),
    )

    def epoch(number, start=0):
        return arrays(
            batches.epoch_dataset(
                ids, seed=3, epoch=number, start_step=start, with_ids=True
            )
        )

    first, second = epoch(0), epoch(1)
    by_id = [
        {int(i): x for xs, _, found in e for x, i in zip(xs, found, strict=True)}
        for e in (first, second)
    ]
    assert by_id[0].keys() == by_id[1].keys() == set(ids.tolist())
    assert not any(np.array_equal(by_id[0][i], by_id[1][i]) for i in ids[:5].tolist())
    for step in range(5):
        assert_same(epoch(1, step), second[step:])
    # Validation and a plain dataset see pictures as they are.
    plain = Batches(source, image_size=16, batch_size=8)
    assert_same(arrays(batches.dataset(val_ids)), arrays(plain.dataset(val_ids)))


def test_input_fn_augments_train_alone_and_every_pass_otherwise(records_dir):
    options = {"image_size": 16, "batch_size": 8, "augment": ("flip", "rotate")}
    train = input_fn(records_dir, "train", **options)
    first, second = arrays(train), arrays(train)
    words = {**options, "augment": "flip,rotate"}
    again = arrays(input_fn(records_dir, "train", **words))
    assert_same(again, first)
    assert any(
        not np.array_equal(x, a) for (x, _), (a, _) in zip(first, second, strict=True)
    )
    validation = arrays(input_fn(records_dir, "validation", **options))
    plain = arrays(input_fn(records_dir, "validation", image_size=16, batch_size=8))
    assert_same(validation, plain)


@pytest.mark.parametrize("name", ["extra-train.tfrecord-00000-of-00001", ""])
def test_a_shard_that_is_not_ours_is_refused(records_dir, tmp_path, name):
    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    shard = min(folder.glob("*-train.tfrecord-*"))
    extra = shard.with_name(name or shard.name.replace("-of-", "-of-9"))
    shutil.copy(shard, extra)
    with pytest.raises(ValueError, match=f"got also {extra.name}; move them away"):
        Source(folder)


@pytest.mark.parametrize("damage", ["cut", "missing", "longer"])
def test_a_shard_of_another_size_stops_before_the_first_batch(
    records_dir, tmp_path, damage
):
    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    shard = min(folder.glob("*-train.tfrecord-*"))
    data = shard.read_bytes()
    shard.unlink()
    if damage != "missing":
        shard.write_bytes(data[:-1] if damage == "cut" else data + b"x")
    with pytest.raises(ValueError, match=shard.name):
        Source(folder)


@pytest.mark.parametrize("fetch", ["memory", "file"])
def test_a_shard_that_is_cut_while_it_is_read_stops(records_dir, tmp_path, fetch):
    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    dataset = input_fn(folder, "train", image_size=8, fetch=fetch, cache="none")
    for shard in folder.glob("*-train.tfrecord-*"):
        shard.write_bytes(shard.read_bytes()[:-40])
    with pytest.raises(tf.errors.OpError, match=r"record \d+ of .*-train.tfrecord"):
        list(dataset)


def test_an_index_of_other_places_is_refused(records_dir, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    index = min((folder / "index").iterdir())
    lines = index.read_text().splitlines()
    offset, size = map(int, lines[-1].split())
    lines[-1] = f"{offset + 1} {size - 1}"
    index.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match="must list its records without a gap"):
        Source(folder)


def test_a_fault_names_the_source_key(records_dir, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    shard = min(folder.glob("*-validation.tfrecord-*"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1  # of the last record's checksum: the rest can still be read
    shard.write_bytes(content)
    source = Source(folder)
    with pytest.raises(ValueError, match=r"it calls itself '(cat|dog)\.\d+\.jpg'"):
        for source_id in source.split_ids("validation"):
            source.store.record(int(source_id))


def test_nothing_is_left_to_tf_datas_autotuning(source):
    # tf.data's autotuning, which is off, would hold it for as long as the last took.
    options = (
        Batches(source, image_size=8, batch_size=8)
        .dataset(source.split_ids("train"))
        .options()
    )
    assert options.autotune.enabled is False
    assert options.deterministic is True
    # A thread for each parallel call, and one that hands batches on.
    assert options.threading.private_threadpool_size == usable_cores() + 2


def test_a_pass_that_is_broken_off_comes_again(records_dir, source):
    dataset = input_fn(records_dir, "train", image_size=24, batch_size=8, seed=4)
    train_ids = source.split_ids("train")
    first = order.epoch_order(train_ids, 4, 0).tolist()
    assert ids_of(source, dataset.take(1)) == first[:8]
    late = iter(dataset)
    for _ in range(4):
        next(late)
    assert ids_of(source, dataset) == first
    assert len(list(late)) == 1  # ended behind another pass of the same epoch
    assert ids_of(source, dataset) == order.epoch_order(train_ids, 4, 1).tolist()
    for _ in zip(dataset, dataset, strict=True):  # side by side: both the third
        pass
    assert ids_of(source, dataset) == order.epoch_order(train_ids, 4, 3).tolist()


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="needs the extra jax")
def test_keras_on_jax_sees_every_epoch_once(records_dir):
    code = f"""
import keras, numpy as np
from tfpipe import input_fn
assert keras.backend.backend() == "jax"
data = input_fn({str(records_dir)!r}, "train", image_size=16, batch_size=8, seed=6)
model = keras.Sequential([
    keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")])
model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy")
val = input_fn({str(records_dir)!r}, "validation", image_size=16, batch_size=8)
history = model.fit(data, validation_data=val, epochs=3, verbose=0, shuffle=False)
assert len(history.history["val_loss"]) == 3
# Three epochs are gone: the next pass is the fourth.
third = input_fn(
    {str(records_dir)!r}, "train", image_size=16, batch_size=8, seed=6, start_epoch=3)
for (x, _), (a, _) in zip(data, third, strict=True):
    np.testing.assert_array_equal(np.asarray(x), np.asarray(a))
"""
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )


def undecodable(records_dir, folder):
    """Copy records with one validation picture whose bytes decode no more."""
    shutil.copytree(records_dir, folder)
    shard = min(folder.glob("*-validation.tfrecord-*"))
    index = folder / "index" / f"{shard.name}.idx"
    offset, size = map(int, index.read_text().splitlines()[2].split())
    data = bytearray(shard.read_bytes())
    block = bytes(data[offset : offset + size])
    start = block.index(b"\xff\xd8")
    payload = block[12:start] + b"\0" * 30 + block[start + 30 : -4]
    data[offset : offset + size] = frame_record(payload)
    shard.write_bytes(data)
    return folder


def test_a_picture_that_does_not_decode_is_named_with_its_key(records_dir, tmp_path):
    source = Source(undecodable(records_dir, tmp_path / "records"))
    batches = Batches(source, image_size=16, batch_size=4)
    dataset = batches.dataset(source.split_ids("validation"))
    words = r"record 2 of .*-validation.* at offset \d+ .* key is '(cat|dog)\.\d+\.jpg'"
    with pytest.raises(tf.errors.OpError, match=words):
        list(dataset)
    # The trainer raises what was met, not what tf.data made of it.
    with pytest.raises(ValueError, match=words), batches.loader.faults_by_name():
        list(dataset)
    with pytest.raises(RuntimeError, match="other"), batches.loader.faults_by_name():
        raise RuntimeError("another fault")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"image_size": 0}, "image_size must be a whole number of at least 1, got 0"),
        ({"split_seed": -1}, "split_seed must be a whole number of at least 0, got -1"),
        (
            {"start_epoch": -1},
            "start_epoch must be a whole number of at least 0, got -1",
        ),
        (
            {"train_examples": -5},
            "train_examples must be a whole number of at least 0, got -5",
        ),
        ({"seed": None}, "seed must be a whole number of at least 0, got None"),
        (
            {"batch_size": "8"},
            "batch_size must be a whole number of at least 1, got '8'",
        ),
        ({"validation_split": 25}, "validation_split must be a number from 0 to 0.9"),
        ({"augment": True}, "augment must be a list or"),
        ({"augment": ("zoom",)}, "augment must be one of crop, flip, rotate, color"),
        ({"dtype": "float16"}, "dtype must be one of float32, uint8, got 'float16'"),
        ({"cache": "disk"}, "cache must be one of auto, memory, none, got 'disk'"),
    ],
)
def test_wrong_numbers_and_words_are_named(records_dir, arguments, message):
    with pytest.raises(ValueError, match=message):
        input_fn(records_dir, "train", **arguments)
