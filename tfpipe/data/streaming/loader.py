"""Source ids in, a batch of pictures out: fetch, decode, augment, all in one call.

Everything slow in a call (reading, decoding, resizing) lets go of Python's lock, so
calls run side by side, and the training step beside them.
"""

import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfpipe.base import machine
from tfpipe.data.order import Ids
from tfpipe.data.pictures.resampling import Pixels
from tfpipe.data.streaming import batches
from tfpipe.data.streaming.augment import Augmentation
from tfpipe.data.streaming.buffers import Buffers, Scratch, ScratchPool
from tfpipe.data.streaming.cache import PictureCache
from tfpipe.data.streaming.decoding import Decoding, Encoded
from tfpipe.data.streaming.store import RecordStore

PART = 4  # pictures of an urgent batch that a core takes at a time
# A pass broken off before its first batch holds up another one so long at most.
MOST_HELD_SECONDS = 1.0


class Loader:
    """Loads pictures of a store, a batch a call, from several threads at once.

    Args:
        store: where the bytes are.
        decoding: how they become pictures.
        cache: keeps decoded pictures, by source id; None for none.
    """

    def __init__(
        self,
        store: RecordStore,
        decoding: Decoding,
        cache: PictureCache | None = None,
    ) -> None:
        self.store, self.decoding, self.cache = store, decoding, cache
        # Of each core's call and one more pixels and floats, and as many to spare:
        # batches that wait, that are trained on, that a person holds.
        self._buffers = Buffers(most_kept=4 * (machine.usable_cores() + 1))
        self._encoded, self._decoded = ScratchPool(), ScratchPool()
        # Clear from the beginning of a pass until its first batch is loaded.
        self._is_free = threading.Event()
        self._is_free.set()
        self._faults: list[ValueError] = []

    def begin_pass(self) -> None:
        """Let all batches but the next urgent one wait, so that it has all cores."""
        self._is_free.clear()

    def load(
        self,
        source_ids: Ids,
        epoch: int = 0,
        augmentation: Augmentation | None = None,
        *,
        is_urgent: bool = False,
    ) -> tuple[Pixels, Ids, Ids]:
        """Return a batch.

        Args:
            source_ids: int64 [n].
            epoch: 0-based; decides with the augmentation what is done to a picture.
            augmentation: None for pictures as they are.
            is_urgent: whether all cores share in the work, where otherwise each has a
                batch of its own, which takes longer for one and less for all.

        Returns:
            pictures uint8 [n, image_size, image_size, 3]; labels int64 [n]; source ids
            int64 [n], as the records tell them.

        Raises:
            ValueError: for a damaged record, by shard, number, offset and source.
        """
        try:
            return self._load(source_ids, epoch, augmentation, is_urgent)
        except ValueError as error:
            self._faults.append(error)
            raise
        finally:
            if is_urgent:
                self._is_free.set()

    def _load(
        self,
        source_ids: Ids,
        epoch: int,
        augmentation: Augmentation | None,
        is_urgent: bool,
    ) -> tuple[Pixels, Ids, Ids]:
        count, size = len(source_ids), self.decoding.image_size
        pictures = self._buffers.take((count, size, size, 3), np.uint8)
        labels, found = np.empty(count, np.int64), source_ids.copy()
        draws = augmentation.draws(source_ids, epoch) if augmentation else None
        is_missing = np.ones(count, bool)
        if self.cache:
            is_missing[:] = False
            is_missing[self.cache.get(source_ids, pictures, labels, found)] = True

        def decode_all(here: Ids, encoded: list[Encoded], scratch: Scratch) -> None:
            for position, data in zip(here, encoded, strict=True):
                draw = None if draws is None else draws[position]
                try:
                    self._decode(data, pictures[position], augmentation, draw, scratch)
                except ValueError as error:
                    source_id = int(source_ids[position])
                    key = self.store.record(source_id).file_name
                    what = f"{error} (its key is {key!r})"
                    raise self.store.fault(source_id, what) from None

        def work(positions: Ids) -> None:
            here = positions[is_missing[positions]]
            if len(here):
                with self._encoded.lend() as block, self._decoded.lend() as scratch:
                    rows = self.store.samples(source_ids[here], block)
                    encoded, labels[here], found[here] = rows
                    decode_all(here, encoded, scratch)
                if self.cache:
                    self.cache.put(found[here], pictures[here], labels[here])
            if augmentation and draws is not None:
                for place in positions:
                    changed = augmentation.change(pictures[place], draws[place])
                    pictures[place] = changed

        if is_urgent:
            parts = np.array_split(np.arange(count), -(-count // PART))
            cores = machine.usable_cores()
            with concurrent.futures.ThreadPoolExecutor(cores) as threads:
                list(threads.map(work, parts))
        else:
            if not self._is_free.wait(MOST_HELD_SECONDS):
                self._is_free.set()
            work(np.arange(count))
        return pictures, labels, found

    def _decode(
        self,
        encoded: Encoded,
        out: Pixels,
        augmentation: Augmentation | None,
        draw: NDArray[np.float64] | None,
        scratch: Scratch,
    ) -> None:
        if augmentation and draw is not None and augmentation.needs_source:
            # Whole: a part of a reduced picture could be smaller than what is asked.
            pixels = self.decoding.source_pixels(encoded, scratch, is_whole=True)
            self.decoding.square_into(augmentation.crop(pixels, draw), out)
        else:
            self.decoding.decode_into(encoded, out, scratch)

    def scale(self, pictures: Pixels) -> NDArray[np.float32]:
        """Return pictures as float32 in [0, 1]: each value divided by 255."""
        scaled = self._buffers.take(pictures.shape, np.float32)
        batches.scale(pictures, scaled)
        return scaled

    @contextlib.contextmanager
    def faults_by_name(self) -> Iterator[None]:
        """Raise a fault that `load` met as it was before tf.data wrapped it."""
        try:
            yield
        except Exception as error:
            for fault in self._faults:
                # Of several calls at once another may have met a fault since.
                if fault is not error and str(fault) in str(error):
                    raise fault from None
            raise
