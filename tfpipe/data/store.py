"""Fetch records by source id, from memory or by positioned reads."""

import contextlib
import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tfpipe.base import machine
from tfpipe.data.manifest import Manifest, index_path
from tfpipe.data.order import Ids
from tfpipe.data.records import Record, read_index, unframe_record

MEMORY_SHARE = 0.25


class RecordStore:
    """The bytes of all records of a dataset, by source id.

    In memory are the positions of all records (16 bytes each) and, with
    `fetch="memory"`, the shards themselves. Every record read is checked against its
    CRC and its place.
    """

    def __init__(self, manifest: Manifest, *, fetch: str = "auto") -> None:
        if fetch not in ("auto", "memory", "file"):
            raise ValueError(f"fetch must be one of auto, memory, file, got {fetch!r}")
        self.manifest = manifest
        shards = manifest.shards
        self._paths = [manifest.records_dir / shard.file_name for shard in shards]
        self._first_ids = np.cumsum([0, *(shard.num_examples for shard in shards)])
        self._indexes = []
        for shard in shards:
            offsets, sizes = read_index(
                index_path(manifest.records_dir, shard.file_name)
            )
            if len(offsets) != shard.num_examples:
                raise ValueError(
                    f"index of {shard.file_name} must list {shard.num_examples} "
                    f"records, got {len(offsets)}; run make_records again"
                )
            self._indexes.append((offsets, sizes))
        total = sum(shard.num_bytes for shard in shards)
        if fetch == "auto":
            fits = total <= MEMORY_SHARE * machine.usable_memory_bytes()
            fetch = "memory" if fits else "file"
        self.fetch_mode = fetch
        self._descriptors = [os.open(path, os.O_RDONLY) for path in self._paths]
        # Filled as they are first touched: who only evaluates loads no train shard.
        self._loaded: dict[int, bytes] = {}
        self._fault_met: ValueError | None = None

    def __del__(self) -> None:
        for descriptor in getattr(self, "_descriptors", ()):
            os.close(descriptor)

    def record(self, source_id: int) -> Record:
        """Return one record.

        Raises:
            ValueError: for a damaged or misplaced one, naming shard, record and offset.
        """
        shard = int(np.searchsorted(self._first_ids, source_id, side="right")) - 1
        number = source_id - int(self._first_ids[shard])
        offsets, sizes = self._indexes[shard]
        offset, size = int(offsets[number]), int(sizes[number])
        block = self._read(shard, offset, size)
        try:
            record = Record.from_bytes(unframe_record(block))
        except ValueError as error:
            raise ValueError(self._fault(shard, number, offset, str(error))) from None
        if record.source_id != source_id:
            fault = f"it holds source id {record.source_id}, key {record.file_name!r}"
            raise ValueError(self._fault(shard, number, offset, fault))
        return record

    def _fault(self, shard: int, number: int, offset: int, detail: str) -> str:
        source_id = int(self._first_ids[shard]) + number
        return (
            f"record {number} of {self._paths[shard]} at offset {offset} must be the "
            f"picture with source id {source_id} as it was written, got another: "
            f"{detail}; run make_records again to rebuild the shard"
        )

    def _read(self, shard: int, offset: int, size: int) -> bytes:
        if self.fetch_mode == "file":
            return os.pread(self._descriptors[shard], size, offset)
        if shard not in self._loaded:
            self._loaded[shard] = self._paths[shard].read_bytes()
        return self._loaded[shard][offset : offset + size]

    def fetch(self, source_ids: Ids) -> tuple[NDArray[np.object_], Ids, Ids]:
        """Return (encoded pictures, labels, source ids) as a batch's records hold them.

        Labels and ids are int64 [n].
        """
        try:
            records = [self.record(int(source_id)) for source_id in source_ids]
        except ValueError as error:
            self._fault_met = error
            raise
        encoded = np.array([record.encoded for record in records], dtype=object)
        labels = np.array([record.label for record in records], dtype=np.int64)
        found = np.array([record.source_id for record in records], dtype=np.int64)
        return encoded, labels, found

    @contextlib.contextmanager
    def faults_by_name(self) -> Iterator[None]:
        """Raise a fault that `fetch` met as it was before tf.data wrapped it."""
        try:
            yield
        except Exception as error:
            if self._fault_met and error is not self._fault_met:
                raise self._fault_met from None
            raise
