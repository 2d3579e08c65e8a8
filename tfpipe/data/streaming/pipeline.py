"""Stream batches from records: `input_fn` and the one epoch it stands on.

    from tfpipe import input_fn
    model.fit(input_fn("records", "train", image_size=64), epochs=5, shuffle=False)

tf.data carries the batches; what is in them comes out of `loader`, whole batches at a
time, in a fixed number of parallel calls. Pictures stay uint8 until the batch is made.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfpipe.base import machine
from tfpipe.data import order
from tfpipe.data.order import Ids
from tfpipe.data.pictures import resampling
from tfpipe.data.pictures.codecs import codec_versions
from tfpipe.data.streaming.augment import Augmentation
from tfpipe.data.streaming.cache import PictureCache, should_cache, table_path
from tfpipe.data.streaming.choices import (
    DTYPES,
    check_choice,
    check_share,
    check_whole,
)
from tfpipe.data.streaming.decoding import Decoding
from tfpipe.data.streaming.loader import Loader
from tfpipe.data.streaming.source import Source

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
    augment: str | Sequence[str] = (),
    train_examples: int = 0,
    validation_split: float = 0.0,
    split_seed: int = 0,
    fetch: str = "auto",
    cache: str = "auto",
    dtype: str = "float32",
) -> Any:
    """Return a `tf.data.Dataset` of batches that `model.fit` can take as it is.

    Elements are (pictures float32 [batch, image_size, image_size, 3] in [0, 1],
    one-hot labels float32 [batch, classes]). The last batch may be smaller; the
    number of batches is known. Each pass over "train" is the next epoch, with its own
    order; one that is broken off before its last batch (a look, Keras's build of a
    model) comes again. Every pass over another split is the same, in the records'
    order.

    Args:
        records_dir: a finished records folder.
        split: "train", "validation", or "test" where there is one.
        image_size: side of the square pictures, in pixels.
        batch_size: pictures a batch.
        seed: root of the order; the same seed gives the same orders anywhere.
        start_epoch: 0-based number of the first pass over "train".
        resize: "area" (the exact mean over the area of a pixel), "bilinear" (Pillow's,
            antialiased) or "fast" (bilinear, aliased).
        augment: what is done to train pictures, other in every epoch: some of "crop",
            "flip", "rotate" and "color", as a list or "crop,flip". Other splits are
            never augmented.
        train_examples: use this many pictures of the split with class shares kept; 0:
            all.
        validation_split: another fraction of all records for validation than was
            stored; 0: the stored one. Test records stay test. Say the same for "train"
            and "validation", or they share pictures; so with `split_seed`.
        split_seed: other than 0 puts other pictures into validation, class shares and
            groups kept; 0: the stored split.
        fetch: "memory", "file", or "auto": memory where the bytes fit in a quarter.
        cache: "memory" to decode each picture once and keep its pixels, "none", or
            "auto": where they fit in an eighth of the memory. Runs of one machine share
            them.
        dtype: "float32", or "uint8" for pictures 0 to 255 that the model scales: a
            quarter of the bytes to move.

    Raises:
        ValueError: for a folder that is no finished dataset, an unknown split, or
            more examples than there are.
    """
    for name, number, least in (
        ("image_size", image_size, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
        ("start_epoch", start_epoch, 0),
        ("train_examples", train_examples, 0),
        ("split_seed", split_seed, 0),
    ):
        check_whole(name, number, least)
    check_share("validation_split", validation_split)
    if not isinstance(records_dir, str | os.PathLike):
        raise ValueError(f"records_dir must be a folder's path, got {records_dir!r}")
    kinds = augment.split(",") if isinstance(augment, str) else augment or ()
    if not isinstance(kinds, list | tuple):
        raise ValueError(
            f'augment must be a list or "crop,flip", got {augment!r}; leave it out for '
            "none"
        )
    source = Source(
        records_dir,
        fetch=fetch,
        validation_split=validation_split,
        split_seed=split_seed,
    )
    ids = source.split_ids(split, train_examples)
    batches = Batches(
        source,
        image_size=image_size,
        batch_size=batch_size,
        resize=resize,
        augmentation=Augmentation(
            kinds=tuple(kinds) if split == "train" else (), seed=seed
        ),
        cache=cache,
        cached_ids=ids,
        dtype=dtype,
    )
    if split != "train":
        return batches.dataset(ids)
    epoch = start_epoch

    def draw() -> tuple[Ids, int]:
        return order.epoch_order(ids, seed, epoch), epoch

    def end(drawn: int) -> None:
        nonlocal epoch
        epoch = max(epoch, drawn + 1)  # passes side by side are one epoch

    return batches.dataset_from(draw, len(ids), end)


class Batches:
    """Source ids in, decoded batches out: one way for training and evaluation.

    Args:
        source: the records.
        image_size, batch_size, resize, dtype: as for `input_fn`.
        augmentation: of epochs; `dataset` never augments.
        cache: as for `input_fn`.
        cached_ids: of the pictures that are worth keeping; None for none.
        decoder: "turbo" or "tensorflow"; the pixels are the same.
    """

    def __init__(
        self,
        source: Source,
        *,
        image_size: int,
        batch_size: int,
        resize: str = "area",
        augmentation: Augmentation | None = None,
        cache: str = "none",
        cached_ids: Ids | None = None,
        dtype: str = "float32",
        decoder: str = "turbo",
    ) -> None:
        check_choice("dtype", dtype, DTYPES)
        storing = source.storing
        is_raw = storing.encoding == "raw"
        decoding = Decoding(
            image_size=image_size,
            resize=resize,
            stored_size=storing.image_size,
            is_raw=is_raw,
            decoder=decoder,
        )
        has_kinds = augmentation is not None and bool(augmentation.kinds)
        self.augmentation = augmentation if has_kinds else None
        why_not = ""
        if is_raw and storing.image_size == image_size:
            why_not = "the records hold the very pixels"
        elif self.augmentation and self.augmentation.needs_source:
            why_not = "crops are taken from pictures in their own size"
        table = None
        if cached_ids is not None:
            facts = {
                "records": source.manifest.fingerprint,
                "resize": resize,
                "codecs": codec_versions(),
            }
            path = table_path(facts, cached_ids, image_size)
            if should_cache(cache, len(cached_ids), image_size, why_not, path):
                table = PictureCache(path, cached_ids, image_size)
        self.loader = Loader(source.store, decoding, table)
        self.source, self.dtype = source, dtype
        self.image_size, self.batch_size = image_size, batch_size

    def epoch_seed(self, epoch: int) -> int | None:
        """Return the seed of an epoch's augmentation, None where there is none."""
        return self.augmentation.epoch_seed(epoch) if self.augmentation else None

    def faster_input(self) -> str:
        """Return what would make the input faster, for people."""
        storing, size = self.source.storing, self.image_size
        if not resampling.is_compiled():
            return resampling.SLOW
        if self.loader.cache:
            return "it comes out of memory already: the model is faster still"
        if self.augmentation and self.augmentation.needs_source:
            return "without crop, pictures could be kept decoded (--cache=memory)"
        if storing.image_size != size:
            return (
                f"--cache=memory decodes each picture once; records of this size "
                f"(make_records --image_size={size}) need no resizing, and with "
                "--encoding=raw no decoding"
            )
        if storing.encoding != "raw":
            return (
                "--cache=memory decodes each picture once, make_records "
                "--encoding=raw none"
            )
        return "more cores would help"

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
        return self.dataset_from(lambda: (rest, epoch), len(rest), with_ids=with_ids)

    def dataset(self, ids: Ids, *, with_ids: bool = False) -> Any:
        """Return the batches of `ids` in the order given, nothing augmented.

        With `with_ids` a third element holds the source ids, int64 [batch], as the
        records tell them.
        """
        return self.dataset_from(lambda: (ids, -1), len(ids), with_ids=with_ids)

    def dataset_from(
        self,
        draw: Callable[[], tuple[Ids, int]],
        num_ids: int,
        end: Callable[[int], None] | None = None,
        *,
        with_ids: bool = False,
    ) -> Any:
        """Return the batches of the ids and the epoch that each pass draws.

        Args:
            draw: called when a pass begins. Pictures of epoch -1 are not augmented.
            num_ids: how many ids it gives.
            end: called with its epoch when the last batch of a pass is delivered.
            with_ids: as for `dataset`.
        """
        # One more than cores: a call that waits for Python's lock leaves none idle.
        num_calls = machine.usable_cores() + 1
        size, num_classes = self.image_size, self.source.num_classes

        def drawn() -> tuple[Ids, Any]:
            ids, epoch = draw()
            if len(ids):
                self.loader.begin_pass()
            return ids, np.int64(epoch)

        def begin(_: Any) -> Any:
            ids, epoch = tf.numpy_function(drawn, [], [tf.int64, tf.int64])
            ids.set_shape([num_ids])
            epoch.set_shape([])
            epochs = tf.data.Dataset.from_tensors(epoch).repeat()
            batches = tf.data.Dataset.from_tensor_slices(ids).batch(self.batch_size)
            return tf.data.Dataset.zip(batches, epochs).enumerate()

        def load(index: Any, ids_and_epoch: Any) -> Any:
            kinds = [tf.as_dtype(self.dtype), tf.int64, tf.int64]
            # A pass begins when its first batch is there: all cores are for that.
            arguments = [*ids_and_epoch, tf.equal(index, 0)]
            pictures, labels, found = tf.numpy_function(self._load, arguments, kinds)
            pictures.set_shape([None, size, size, 3])
            labels.set_shape([None])
            found.set_shape([None])
            one_hot = tf.one_hot(labels, num_classes)
            batch = (pictures, one_hot, found) if with_ids else (pictures, one_hot)
            return (batch, ids_and_epoch[1]) if end else batch

        num_batches = -(-num_ids // self.batch_size)
        dataset = (
            tf.data.Dataset.range(1)
            .flat_map(begin)
            .map(load, num_parallel_calls=num_calls, deterministic=True)
            .apply(tf.data.experimental.assert_cardinality(num_batches))
            .prefetch(PREFETCH_BATCHES)
        )
        if end:
            dataset = _watch_end(dataset, num_batches, end)
        # One to spare: what hands a batch on must not wait for a call to end.
        return dataset.with_options(_options(num_calls + 1))

    def _load(self, ids: Ids, epoch: int, is_first: bool) -> tuple[Any, Ids, Ids]:
        augmentation = self.augmentation if epoch >= 0 else None
        pictures, labels, found = self.loader.load(
            ids, int(epoch), augmentation, is_urgent=bool(is_first)
        )
        if self.dtype == "float32":
            return self.loader.scale(pictures), labels, found
        return pictures, labels, found


def _watch_end(dataset: Any, num_batches: int, end: Callable[[int], None]) -> Any:
    """Call `end` when the last batch is asked for, not when it is made beforehand."""

    def call(epoch: Any) -> Any:
        end(int(epoch))
        return np.int64(0)

    def watch(index: Any, batch_and_epoch: Any) -> Any:
        batch, epoch = batch_and_epoch
        is_last = tf.equal(index, num_batches - 1)
        called = tf.cond(
            is_last,
            lambda: tf.ensure_shape(tf.numpy_function(call, [epoch], tf.int64), []),
            lambda: tf.constant(0, tf.int64),
        )
        with tf.control_dependencies([called]):
            return tf.nest.map_structure(tf.identity, batch)

    return dataset.enumerate().map(watch)


def _options(num_threads: int) -> Any:
    """Fix the parallelism.

    tf.data's autotuner holds the end of an epoch by as long as the epoch lasted.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    options.experimental_warm_start = False
    # A prefetch behind the last step would count a pass as ended before it is.
    options.experimental_optimization.inject_prefetch = False
    return options
