import io
import shutil
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfpipe.data import order, pipeline
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.data.pipeline import Batches, Source, input_fn
from tfpipe.data.storing import Storing

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
    reference = list(input_fn(records_dir, "train", image_size=16, batch_size=8))
    monkeypatch.setattr(pipeline.machine, "usable_cores", lambda: 5)
    for folder in (records_dir, tmp_path / "other"):
        for fetch in ("memory", "file"):
            dataset = input_fn(
                folder, "train", image_size=16, batch_size=8, fetch=fetch
            )
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


def jpeg(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def photo(height, width):
    """A smooth picture with some edges, uint8 [height, width, 3]."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / (9 + c)) + np.cos(columns / (7 + c)) for c in range(3)]
    picture = 128 + 50 * np.stack(waves, axis=-1)
    picture[height // 3 : height // 2, width // 4 : width // 2] += 40
    return picture.clip(0, 255).astype(np.uint8)


def test_decoding_without_resize_equals_pillow():
    encoded = jpeg(photo(40, 40))
    expected = np.asarray(Image.open(io.BytesIO(encoded)))
    got = pipeline.decode_picture(encoded, 40, "area")
    np.testing.assert_array_equal(np.asarray(got), expected)


def area_weights(source, target):
    """Each row: how much of every source pixel lies in a target pixel."""
    edges = np.arange(target + 1) * source / target
    pixels = np.arange(source)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(
        edges[:-1, None], pixels
    )
    return overlap.clip(0) * target / source


def test_area_is_exact_and_bilinear_is_pillows():
    encoded = jpeg(photo(90, 71))
    full = np.asarray(Image.open(io.BytesIO(encoded)))
    got = np.asarray(pipeline.decode_picture(encoded, 32, "area"), float)
    exact = np.einsum(
        "ij,jkc,lk->ilc", area_weights(90, 32), full, area_weights(71, 32)
    )
    assert np.abs(got - exact).max() <= 0.51
    bilinear = np.asarray(pipeline.decode_picture(encoded, 32, "bilinear"), float)
    pillows = Image.fromarray(full).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.abs(bilinear - np.asarray(pillows, float)).mean() <= 0.5
    fast = np.asarray(pipeline.decode_picture(encoded, 32, "fast"), float)
    assert np.abs(fast - bilinear).mean() > 0.5


def test_gray_pictures_come_as_three_channels():
    encoded = jpeg(photo(20, 20)[..., 0])
    got = np.asarray(pipeline.decode_picture(encoded, 10, "area"))
    assert got.shape == (10, 10, 3)
    assert (got[..., 0] == got[..., 2]).all()


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
    stored, _, _ = source.store.fetch(ids)
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


@pytest.mark.parametrize("resize", pipeline.RESIZES)
def test_raw_pixels_are_resized_where_another_size_is_asked(resize):
    pixels = photo(40, 40)
    storing = Storing(image_size=40, encoding="raw")
    expected = pipeline.resize_picture(tf.constant(pixels), 24, resize)
    got = pipeline.decode_picture(pixels.tobytes(), 24, resize, storing)
    np.testing.assert_array_equal(got, expected)
    same = pipeline.decode_picture(pixels.tobytes(), 40, resize, storing)
    np.testing.assert_array_equal(same, pixels)


def decoding_operations(image_size, storing):
    """The kinds of operations in the graph that decodes a record's picture."""

    @tf.function
    def decode(encoded):
        return pipeline.decode_picture(encoded, image_size, "area", storing)

    graph = decode.get_concrete_function(tf.TensorSpec([], tf.string)).graph
    return {operation.type for operation in graph.get_operations()}


def test_pictures_stored_in_the_asked_size_are_not_resized():
    own_size = decoding_operations(16, Storing())
    assert "DecodeJpeg" in own_size
    assert {"If", "StatelessIf"} & own_size
    same = decoding_operations(16, Storing(image_size=16))
    assert "DecodeJpeg" in same
    assert not {"If", "StatelessIf", "ResizeArea"} & same
    assert "ResizeArea" in decoding_operations(24, Storing(image_size=16))
    raw = decoding_operations(16, Storing(image_size=16, encoding="raw"))
    assert "DecodeRaw" in raw
    assert not {"DecodeJpeg", "If", "StatelessIf", "ResizeArea"} & raw


def test_a_record_of_another_size_than_its_manifest_tells_is_met():
    encoded = jpeg(photo(40, 40))
    with pytest.raises((ValueError, tf.errors.OpError), match="40"):
        pipeline.decode_picture(encoded, 16, "area", Storing(image_size=16))


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


@pytest.mark.real
def test_real_pictures_decode_as_pillow_does(real_originals):
    for path in sorted(real_originals.iterdir())[:20]:
        encoded = path.read_bytes()
        picture = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        got = np.asarray(tf.io.decode_jpeg(encoded, 3, dct_method="INTEGER_ACCURATE"))
        np.testing.assert_array_equal(got, picture)
