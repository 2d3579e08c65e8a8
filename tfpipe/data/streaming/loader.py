"""Source ids in, a batch of pictures out: fetch, decode, augment, all in one call.

Everything slow in a call (reading, decoding, resizing) lets go of Python's lock, so
calls run side by side, and the training step beside them.
"""

import contextlib
from collections.abc import Iterator

import numpy as np

from tfpipe.data.order import Ids
from tfpipe.data.pictures.resampling import Pixels
from tfpipe.data.streaming.augment import Augmentation
from tfpipe.data.streaming.cache import PictureCache
from tfpipe.data.streaming.decoding import Decoding
from tfpipe.data.streaming.store import RecordStore


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
        self._fault_met: ValueError | None = None

    def load(
        self, source_ids: Ids, epoch: int = 0, augmentation: Augmentation | None = None
    ) -> tuple[Pixels, Ids, Ids]:
        """Return a batch.

        Args:
            source_ids: int64 [n].
            epoch: 0-based; decides with the augmentation what is done to a picture.
            augmentation: None for pictures as they are.

        Returns:
            pictures uint8 [n, image_size, image_size, 3]; labels int64 [n]; source ids
            int64 [n], as the records tell them.

        Raises:
            ValueError: for a damaged record, by shard, number, offset and source.
        """
        try:
            return self._load(source_ids, epoch, augmentation)
        except ValueError as error:
            self._fault_met = error
            raise

    def _load(
        self, source_ids: Ids, epoch: int, augmentation: Augmentation | None
    ) -> tuple[Pixels, Ids, Ids]:
        count, size = len(source_ids), self.decoding.image_size
        pictures = np.empty((count, size, size, 3), np.uint8)
        labels, found = np.empty(count, np.int64), source_ids.copy()
        draws = augmentation.draws(source_ids, epoch) if augmentation else None
        missing = np.arange(count)
        if self.cache:
            missing = self.cache.get(source_ids, pictures, labels)
        if len(missing):
            rows = self.store.samples(source_ids[missing])
            encoded, labels[missing], found[missing] = rows
            for position, data in zip(missing, encoded, strict=True):
                try:
                    pixels = self.decoding.source_pixels(data)
                except ValueError as error:
                    fault = self.store.fault(int(source_ids[position]), str(error))
                    raise fault from None
                if augmentation and draws is not None:
                    pixels = augmentation.crop(pixels, draws[position])
                pictures[position] = self.decoding.square(pixels)
            if self.cache:
                self.cache.put(found[missing], pictures[missing], labels[missing])
        if augmentation and draws is not None:
            for place, draw in enumerate(draws):
                pictures[place] = augmentation.change(pictures[place], draw)
        return pictures, labels, found

    @contextlib.contextmanager
    def faults_by_name(self) -> Iterator[None]:
        """Raise a fault that `load` met as it was before tf.data wrapped it."""
        try:
            yield
        except Exception as error:
            if self._fault_met and error is not self._fault_met:
                raise self._fault_met from None
            raise
