"""Fetch records by source id, from memory or by positioned reads."""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tfpipe.base import machine
from tfpipe.base.words import few
from tfpipe.data.manifest import Manifest, Shard, index_path
from tfpipe.data.order import Ids
from tfpipe.data.records import Record, read_index, read_sample, unframe_record
from tfpipe.data.streaming.batches import find_samples
from tfpipe.data.streaming.buffers import Scratch
from tfpipe.data.streaming.choices import FETCHES, check_choice
from tfpipe.data.streaming.decoding import Encoded

MEMORY_SHARE = 0.25

T = TypeVar("T")


class RecordStore:
    """The bytes of all records of a dataset, by source id.

    In memory are the positions of all records (16 bytes each) and, with
    `fetch="memory"`, the shards themselves. Every record read is checked against its
    CRC and its place.
    """

    def __init__(self, manifest: Manifest, *, fetch: str = "auto") -> None:
        check_choice("fetch", fetch, FETCHES)
        self.manifest = manifest
        shards = manifest.shards
        self._paths = [manifest.records_dir / shard.file_name for shard in shards]
        _refuse_others(manifest)
        self._first_ids = np.cumsum([0, *(shard.num_examples for shard in shards)])
        indexes = [_read_index(manifest, shard) for shard in shards]
        self._offsets = np.concatenate([offsets for offsets, _ in indexes])
        self._sizes = np.concatenate([sizes for _, sizes in indexes])
        total = sum(shard.num_bytes for shard in shards)
        if fetch == "auto":
            fits = total <= MEMORY_SHARE * machine.usable_memory_bytes()
            fetch = "memory" if fits else "file"
        self.fetch_mode = fetch
        paths = self._paths if fetch == "file" else []
        self._descriptors = [os.open(path, os.O_RDONLY) for path in paths]
        self._lock = threading.Lock()
        # Filled as they are first touched: who only evaluates loads no train shard.
        self._loaded: dict[int, memoryview] = {}
        self._addresses = np.zeros(len(shards), np.int64)  # of those loaded

    def __del__(self) -> None:
        for descriptor in getattr(self, "_descriptors", ()):
            os.close(descriptor)

    def record(self, source_id: int) -> Record:
        """Return one record with all that is known about it.

        Raises:
            ValueError: for a damaged or misplaced one, naming shard, record and offset.
        """
        return self._checked(source_id, _whole_record)

    def samples(
        self, source_ids: Ids, scratch: Scratch | None = None
    ) -> tuple[list[Encoded], Ids, Ids]:
        """Return (encoded pictures, labels, source ids) as some records hold them.

        Labels and ids are int64 [n].

        Args:
            source_ids: int64 [n].
            scratch: where to read them to; the bytes are valid until it is used again.

        Raises:
            ValueError: as for `record`.
        """
        memory, begins, addresses, sizes = self._fetch(source_ids, scratch or Scratch())
        found = find_samples(addresses, sizes)
        labels, ids = found[:, 2].copy(), found[:, 3].copy()
        starts, ends = begins + found[:, 0], begins + found[:, 0] + found[:, 1]
        places = zip(memory, starts.tolist(), ends.tolist(), strict=True)
        encoded: list[Encoded] = [block[start:end] for block, start, end in places]
        for i in np.flatnonzero(ids != source_ids):
            row = self._checked(int(source_ids[i]), _sample)
            encoded[i], labels[i], ids[i] = row
        return encoded, labels, ids

    def _fetch(
        self, source_ids: Ids, scratch: Scratch
    ) -> tuple[list[memoryview], Ids, Ids, Ids]:
        """Return for each record the memory it is in, where it begins there, its
        address and its size, less where the shard has been cut off since."""
        shards = np.searchsorted(self._first_ids, source_ids, side="right") - 1
        offsets, sizes = self._offsets[source_ids], self._sizes[source_ids]
        if self.fetch_mode == "memory":
            memory = [self._shard(shard) for shard in shards.tolist()]
            lengths = np.array([len(block) for block in memory], np.int64)
            there = np.minimum(sizes, lengths - offsets).clip(0)
            return memory, offsets, self._addresses[shards] + offsets, there
        ends = np.cumsum(sizes)
        array = scratch.take((int(sizes.sum()),))
        block, begins, there = array.data, ends - sizes, np.zeros_like(sizes)
        for i, (shard, begin, end) in enumerate(zip(shards, begins, ends, strict=True)):
            # What can't be read is read again on its own, and then the error is named.
            with contextlib.suppress(OSError):
                part = [block[begin:end]]
                there[i] = os.preadv(self._descriptors[shard], part, offsets[i])
        return [block] * len(sizes), begins, array.ctypes.data + begins, there

    def _shard(self, shard: int) -> memoryview:
        with self._lock:
            if shard not in self._loaded:
                try:
                    data = self._paths[shard].read_bytes()
                except OSError:
                    data = b""  # of its records each is missing, and is named
                array = np.frombuffer(data, np.uint8)
                self._loaded[shard] = array.data
                self._addresses[shard] = array.ctypes.data
        return self._loaded[shard]

    def _checked(self, source_id: int, parse: Callable[[bytes], tuple[T, int]]) -> T:
        """Read a record's bytes and parse them; `parse` tells also whose they are."""
        try:
            block = self._block(source_id)
        except OSError as error:
            raise self.fault(source_id, f"it can't be read: {error}") from None
        try:
            parsed, found = parse(unframe_record(block))
        except ValueError as error:
            raise self.fault(source_id, f"{error}{_key_in(block)}") from None
        if found != source_id:
            what = f"it holds source id {found}{_key_in(block)}"
            raise self.fault(source_id, what)
        return parsed

    def _block(self, source_id: int) -> bytes:
        shard, _ = self._place(source_id)
        offset, size = int(self._offsets[source_id]), int(self._sizes[source_id])
        if self.fetch_mode == "file":
            return os.pread(self._descriptors[shard], size, offset)
        return bytes(self._shard(shard)[offset : offset + size])

    def _place(self, source_id: int) -> tuple[int, int]:
        """Return a record's shard and its number there."""
        shard = int(np.searchsorted(self._first_ids, source_id, side="right")) - 1
        return shard, source_id - int(self._first_ids[shard])

    def fault(self, source_id: int, detail: str) -> ValueError:
        """Return the error that says where a record lies and what is wrong with it."""
        shard, number = self._place(source_id)
        return ValueError(
            f"record {number} of {self._paths[shard]} at offset "
            f"{self._offsets[source_id]} must be the picture with source id "
            f"{source_id} as it was written, got another: {detail}; run make_records "
            "again to rebuild the shard"
        )


def _read_index(manifest: Manifest, shard: Shard) -> tuple[Ids, Ids]:
    """Return offsets and sizes of a shard's records.

    Raises:
        ValueError: if they don't cover the shard.
    """
    offsets, sizes = read_index(index_path(manifest.records_dir, shard.file_name))
    if len(offsets) != shard.num_examples:
        raise ValueError(
            f"index of {shard.file_name} must list {shard.num_examples} "
            f"records, got {len(offsets)}; run make_records again"
        )
    ends = [0, *(offsets + sizes).tolist()]
    if ends[:-1] != offsets.tolist() or ends[-1] != shard.num_bytes:
        raise ValueError(
            f"index of {shard.file_name} must list its records without a gap, "
            "got other offsets; run make_records again"
        )
    return offsets, sizes


def _refuse_others(manifest: Manifest) -> None:
    """Refuse a folder with shards that aren't its own, which other readers would read.

    Raises:
        ValueError: naming them.
    """
    own = {shard.file_name for shard in manifest.shards}
    found = {path.name for path in manifest.records_dir.glob("*.tfrecord-*")}
    if found - own:
        raise ValueError(
            f"shards in {manifest.records_dir} must be the {len(own)} that its "
            f"metadata.json lists, got also {few(sorted(found - own))}; move them "
            "away, or make the records again with make_records"
        )


def _whole_record(payload: bytes) -> tuple[Record, int]:
    record = Record.from_bytes(payload)
    return record, record.source_id


def _sample(payload: bytes) -> tuple[tuple[bytes, int, int], int]:
    sample = read_sample(payload)
    return sample, sample[2]


def _key_in(block: bytes) -> str:
    """Return the source key that a damaged record still tells, for its error."""
    with contextlib.suppress(ValueError):
        return f" (it calls itself {Record.from_bytes(block[12:-4]).file_name!r})"
    return ""
