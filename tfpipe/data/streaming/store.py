"""Fetch records by source id, from memory or by positioned reads."""

import bisect
import contextlib
import itertools
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from tfpipe.base import machine
from tfpipe.base.words import few
from tfpipe.data.manifest import Manifest, index_path
from tfpipe.data.order import Ids
from tfpipe.data.records import Record, read_index, read_sample, unframe_record
from tfpipe.data.streaming.choices import FETCHES, check_choice

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
        self._first_ids = list(
            itertools.accumulate((shard.num_examples for shard in shards), initial=0)
        )
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
            ends = [0, *(offsets + sizes).tolist()]
            if ends[:-1] != offsets.tolist() or ends[-1] != shard.num_bytes:
                raise ValueError(
                    f"index of {shard.file_name} must list its records without a gap, "
                    "got other offsets; run make_records again"
                )
            self._indexes.append((offsets, sizes))
        total = sum(shard.num_bytes for shard in shards)
        if fetch == "auto":
            fits = total <= MEMORY_SHARE * machine.usable_memory_bytes()
            fetch = "memory" if fits else "file"
        self.fetch_mode = fetch
        paths = self._paths if fetch == "file" else []
        self._descriptors = [os.open(path, os.O_RDONLY) for path in paths]
        self._lock = threading.Lock()
        # Filled as they are first touched: who only evaluates loads no train shard.
        self._loaded: dict[int, bytes] = {}

    def __del__(self) -> None:
        for descriptor in getattr(self, "_descriptors", ()):
            os.close(descriptor)

    def record(self, source_id: int) -> Record:
        """Return one record with all that is known about it.

        Raises:
            ValueError: for a damaged or misplaced one, naming shard, record and offset.
        """
        return self._checked(source_id, _whole_record)

    def samples(self, source_ids: Ids) -> tuple[list[bytes], Ids, Ids]:
        """Return (encoded pictures, labels, source ids) as some records hold them.

        Labels and ids are int64 [n].

        Raises:
            ValueError: as for `record`.
        """
        rows = [self._checked(int(i), _sample) for i in source_ids]
        encoded = [row[0] for row in rows]
        numbers = np.array([row[1:] for row in rows], np.int64).reshape(-1, 2)
        return encoded, numbers[:, 0], numbers[:, 1]

    def _checked(self, source_id: int, parse: Callable[[bytes], tuple[T, int]]) -> T:
        """Read a record's bytes and parse them; `parse` tells also whose they are."""
        shard = bisect.bisect_right(self._first_ids, source_id) - 1
        number = source_id - self._first_ids[shard]
        offsets, sizes = self._indexes[shard]
        offset, size = int(offsets[number]), int(sizes[number])
        block = self._read(shard, offset, size)
        try:
            parsed, found = parse(unframe_record(block))
        except ValueError as error:
            raise self.fault(source_id, f"{error}{_key_in(block)}") from None
        if found != source_id:
            what = f"it holds source id {found}{_key_in(block)}"
            raise self.fault(source_id, what)
        return parsed

    def fault(self, source_id: int, detail: str) -> ValueError:
        """Return the error that says where a record lies and what is wrong with it."""
        shard = bisect.bisect_right(self._first_ids, source_id) - 1
        number = source_id - self._first_ids[shard]
        return ValueError(
            f"record {number} of {self._paths[shard]} at offset "
            f"{self._indexes[shard][0][number]} must be the picture with source id "
            f"{source_id} as it was written, got another: {detail}; run make_records "
            "again to rebuild the shard"
        )

    def _read(self, shard: int, offset: int, size: int) -> bytes:
        if self.fetch_mode == "file":
            return os.pread(self._descriptors[shard], size, offset)
        with self._lock:
            if shard not in self._loaded:
                self._loaded[shard] = self._paths[shard].read_bytes()
        return self._loaded[shard][offset : offset + size]


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
