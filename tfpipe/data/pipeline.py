"""Stream batches from records: `input_fn` and the one epoch it stands on.

    from tfpipe import input_fn
    model.fit(input_fn("records", "train", image_size=64), epochs=5)

Bytes are fetched by position, a batch at a time; decoding and resizing run in
parallel, in a fixed number of threads; pictures stay uint8 until the batch is made.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfpipe.base import machine
from tfpipe.data import order
from tfpipe.data.manifest import Manifest, read_manifest
from tfpipe.data.order import Ids
from tfpipe.data.store import RecordStore
from tfpipe.data.storing import IN_OWN_SIZE, Storing

PREFETCH_BATCHES = 2


def input_fn(
    records_dir: str | Path,
    split: str,
    *,
    image_size: int = 224,
    batch_size: int = 32,
    seed: int = 0,
    start_epoch: int = 0,
    resize: str = "area",
    train_examples: int = 0,
    fetch: str = "auto",
) -> Any:
    """Return a `tf.data.Dataset` of batches that `model.fit` can take as it is.

    Elements are (pictures float32 [batch, image_size, image_size, 3] in [0, 1],
    one-hot labels float32 [batch, classes]). The last batch may be smaller; the
    number of batches is known. Each pass over "train" is the next epoch, with its own
    order; every pass over another split is the same, in the records' order.

    Args:
        records_dir: a finished records folder.
        split: "train", "validation", or "test" where there is one.
        image_size: side of the square pictures, in pixels.
        batch_size: pictures a batch.
        seed: root of the order; the same seed gives the same orders anywhere.
        start_epoch: 0-based number of the first pass over "train".
        resize: "area", "bilinear" (antialiased) or "fast" (bilinear, aliased).
        train_examples: use this many pictures of "train" with class shares kept; 0:
            all.
        fetch: "memory", "file", or "auto": memory where the bytes fit in a quarter.

    Raises:
        ValueError: for a folder that is no finished dataset, an unknown split, or
            more examples than there are.
    """
    source = Source(records_dir, fetch=fetch)
    ids = source.split_ids(split, train_examples)
    batches = Batches(
        source, image_size=image_size, batch_size=batch_size, resize=resize
    )
    if split != "train":
        return batches.dataset(ids)
    epochs = itertools.count(start_epoch)

    def next_order() -> Ids:
        return order.epoch_order(ids, seed, next(epochs))

    # The function runs once an iterator, so that each pass draws the next epoch.
    return batches.dataset_from(next_order, len(ids))


class Source:
    """An opened records folder: its manifest, splits, and bytes by position."""

    def __init__(self, records_dir: str | Path, *, fetch: str = "auto") -> None:
        self.manifest: Manifest = read_manifest(records_dir)
        self.storing = Storing.from_facts(self.manifest.settings)
        self.store = RecordStore(self.manifest, fetch=fetch)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.manifest.class_names)

    def split_ids(self, split: str, num_examples: int = 0) -> Ids:
        """Return the source ids of a split, int64, in the global order.

        A prefix of `num_examples` of them keeps the class shares, each class within
        one picture, because the global order interleaves the classes.

        Raises:
            ValueError: for an unknown split or more examples than it has.
        """
        sizes = self.manifest.split_sizes
        if split not in sizes:
            raise ValueError(
                f"split must be one of {', '.join(sizes)}, got {split!r}; "
                "splits are made by make_records"
            )
        start = 0
        for name, size in sizes.items():
            if name == split:
                break
            start += size
        if num_examples > sizes[split]:
            raise ValueError(
                f"train_examples must be at most {sizes[split]:,}, which the "
                f"{split} split holds, got {num_examples:,}"
            )
        return np.arange(start, start + (num_examples or sizes[split]), dtype=np.int64)


class Batches:
    """Source ids in, decoded batches out: one way for training and evaluation."""

    def __init__(
        self, source: Source, *, image_size: int, batch_size: int, resize: str = "area"
    ) -> None:
        if resize not in RESIZES:
            raise ValueError(
                f"resize must be one of {', '.join(RESIZES)}, got {resize!r}"
            )
        self.source, self.resize = source, resize
        self.image_size, self.batch_size = image_size, batch_size

    def epoch_dataset(
        self,
        ids: Ids,
        *,
        seed: int,
        epoch: int,
        start_step: int = 0,
        with_ids: bool = False,
    ) -> Any:
        """Return exactly one epoch over `ids`, from batch `start_step` on."""
        ordered = order.epoch_order(ids, seed, epoch)
        rest = ordered[start_step * self.batch_size :]
        return self.dataset(rest, with_ids=with_ids)

    def dataset(self, ids: Ids, *, with_ids: bool = False) -> Any:
        """Return the batches of `ids` in the order given.

        With `with_ids` a third element holds the source ids, int64 [batch], as the
        records tell them.
        """
        return self.dataset_from(lambda: ids, len(ids), with_ids=with_ids)

    def dataset_from(
        self, make_ids: Callable[[], Ids], num_ids: int, *, with_ids: bool = False
    ) -> Any:
        """Return the batches of the ids that `make_ids()` gives for each pass."""
        cores = machine.usable_cores()

        def draw(_: Any) -> Any:
            ids = tf.numpy_function(make_ids, [], tf.int64)
            ids.set_shape([num_ids])
            return tf.data.Dataset.from_tensor_slices(ids)

        def fetch(ids: Any) -> Any:
            kinds = [tf.string, tf.int64, tf.int64]
            columns = tf.numpy_function(self.source.store.fetch, [ids], kinds)
            for column in columns:
                column.set_shape([None])
            return tuple(columns)

        def decode(encoded: Any, label: Any, source_id: Any) -> Any:
            picture = decode_picture(
                encoded, self.image_size, self.resize, self.source.storing
            )
            return picture, label, source_id

        def finish(pictures: Any, labels: Any, source_ids: Any) -> Any:
            floats = tf.cast(pictures, tf.float32) / 255.0
            one_hot = tf.one_hot(labels, self.source.num_classes)
            return (floats, one_hot, source_ids) if with_ids else (floats, one_hot)

        dataset = (
            tf.data.Dataset.range(1)
            .flat_map(draw)
            .batch(self.batch_size)
            .map(fetch)
            .unbatch()
            .map(decode, num_parallel_calls=cores, deterministic=True)
            .batch(self.batch_size)
            .map(finish)
            .apply(
                tf.data.experimental.assert_cardinality(-(-num_ids // self.batch_size))
            )
            .prefetch(PREFETCH_BATCHES)
        )
        return dataset.with_options(_options(cores))


def _options(cores: int) -> Any:
    """Fix the parallelism.

    tf.data's autotuner holds the end of an epoch by as long as the epoch lasted.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    options.threading.private_threadpool_size = cores
    options.threading.max_intra_op_parallelism = 1
    options.experimental_warm_start = False
    return options


RESIZES: dict[str, dict[str, Any]] = {
    "area": {"method": "area"},
    "bilinear": {"method": "bilinear", "antialias": True},
    "fast": {"method": "bilinear"},
}


def decode_picture(
    encoded: Any, image_size: int, resize: str, storing: Storing = IN_OWN_SIZE
) -> Any:
    """Decode a record's picture to uint8 [image_size, image_size, 3].

    Aspect isn't kept. The inverse DCT is the accurate one, which equals Pillow's;
    values are rounded to the nearest integer after resizing. A picture that is stored
    in the size asked for is not resized.

    Args:
        encoded: the bytes, a string scalar.
        image_size: side in pixels.
        resize: a key of `RESIZES`.
        storing: how the records were stored.
    """
    stored = storing.image_size
    if storing.encoding == "raw":
        picture = tf.reshape(tf.io.decode_raw(encoded, tf.uint8), [stored, stored, 3])
    else:
        picture = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    if not stored:
        shape = tf.shape(picture)
        picture = tf.cond(
            tf.logical_and(shape[0] == image_size, shape[1] == image_size),
            lambda: picture,
            lambda: resize_picture(picture, image_size, resize),
        )
    elif stored != image_size:
        picture = resize_picture(picture, image_size, resize)
    return tf.ensure_shape(picture, [image_size, image_size, 3])


def resize_picture(picture: Any, image_size: int, resize: str) -> Any:
    """Resize uint8 [height, width, 3] to [image_size, image_size, 3], rounded."""
    values = tf.image.resize(picture, (image_size, image_size), **RESIZES[resize])
    return tf.cast(tf.round(tf.clip_by_value(values, 0.0, 255.0)), tf.uint8)
