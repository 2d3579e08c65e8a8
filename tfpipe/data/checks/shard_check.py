"""Check one shard: its file, its frames, its index, its records, nothing beyond."""

import array
import collections
import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfpipe.data import manifest as manifests
from tfpipe.data.checks.faults import Fault, Faults, shown
from tfpipe.data.checks.folder_check import open_plain
from tfpipe.data.checks.frames import Frame, entry_fault, read_entries, walk_frames
from tfpipe.data.checks.record_check import (
    Stored,
    fact_faults,
    holds_source,
    picture_faults,
)
from tfpipe.data.manifest import Shard
from tfpipe.data.records import Record

# What is kept of a record that could be read. Digests are the first half of a sha256; a
# picture without a group has zeros; `decodes`: nothing speaks against it so far.
ROW = np.dtype(
    [
        ("number", "<i8"),
        ("offset", "<i8"),
        ("size", "<i8"),
        ("key", "<u8", 2),
        ("content", "<u8", 2),
        ("group", "<u8", 2),
        ("record_sha256", "u1", 32),
        ("decodes", "?"),
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckJob:
    """One shard to check: number `index` of all, beginning at `first_id`."""

    index: int
    records_dir: str
    shard: Shard
    first_id: int
    class_names: tuple[str, ...]
    stored: Stored


@dataclasses.dataclass(kw_only=True)
class ShardReport:
    """What a check found.

    Attributes:
        index: the job's.
        faults: what is wrong.
        is_damaged: whether file or index are not those that were written.
        rows: what is kept of the records that could be read, ROW [n].
        labels: how many of these have each label.
        num_changed: how many of these hold other bytes than their source.
    """

    index: int
    faults: Faults
    is_damaged: bool
    rows: NDArray[np.void]
    labels: collections.Counter[int]
    num_changed: int

    def add_damage(self, what: str, shard: str) -> None:
        """Add a fault of a shard that a rebuild of it mends."""
        self.is_damaged = True
        self.faults.add(Fault(what=what, shard=shard))


def check_shard(job: CheckJob) -> ShardReport:
    """Check a shard; a fault of one record doesn't hide the others."""
    report = ShardReport(
        index=job.index,
        faults=Faults(),
        is_damaged=False,
        rows=np.zeros(0, ROW),
        labels=collections.Counter(),
        num_changed=0,
    )
    name = job.shard.file_name
    try:
        file = open_plain(Path(job.records_dir) / name)
    except ValueError as error:
        report.add_damage(f"{error}; its records are unknown", name)
        return report
    with file:
        try:
            for what in _file_faults(file, job.shard):
                report.add_damage(what, name)
            _check_records(file, job, report)
        except OSError as error:
            what = f"disk must give the file's bytes, got {error.strerror}"
            report.add_damage(what, name)
    return report


def _file_faults(file: io.BufferedReader, shard: Shard) -> Iterator[str]:
    size = os.fstat(file.fileno()).st_size
    if size != shard.num_bytes:
        yield f"file must be {shard.num_bytes:,} bytes long, got {size:,}"
        return
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != shard.sha256:
        yield f"sha256 must be {shown(shard.sha256)}, got {digest}"


def _check_records(file: io.BufferedReader, job: CheckJob, report: ShardReport) -> None:
    """Walk the frames, compare each with the index, look into each record."""
    shard, entries, index_fault = job.shard, array.array("q"), ""
    index = manifests.index_path(Path(job.records_dir), shard.file_name)
    try:
        entries = read_entries(index, shard.num_examples)
    except ValueError as error:
        index_fault = str(error)
    rows: list[tuple[object, ...]] = []
    num_seen, fault = 0, ""
    for frame in walk_frames(file.fileno(), entries, shard.num_examples):
        num_seen, fault = frame.number + 1, frame.fault
        record, whats = _look(frame, job)
        if record and not fault:
            rows.append(_row(frame, record, decodes=not whats))
            report.labels[record.label] += 1
            report.num_changed += not holds_source(record)
            whats += fact_faults(record, job.first_id + frame.number, job.class_names)
        if not fault and not index_fault:
            index_fault = entry_fault(entries, frame)
        for what in whats:
            report.faults.add(
                Fault(
                    what=what,
                    shard=shard.file_name,
                    record=frame.number,
                    offset=frame.offset,
                    key=record.file_name if record else "",
                )
            )
        report.is_damaged |= bool(fault)
    # A broken record at the end has said what is lost behind it.
    if num_seen != shard.num_examples and not fault:
        what = f"records must be {shard.num_examples:,}, got {num_seen:,}"
        report.faults.add(Fault(what=what, shard=shard.file_name))
    if index_fault:
        report.add_damage(index_fault, shard.file_name)
    report.rows = np.array(rows, ROW)


def _look(frame: Frame, job: CheckJob) -> tuple[Record | None, list[str]]:
    """Return a frame's record, if it can be read, and the faults of frame and picture.

    Of a broken frame the record is read for its key alone.
    """
    try:
        record = Record.from_bytes(frame.payload)
    except UnicodeDecodeError:
        unread = "record's texts must be UTF-8, got other bytes"
    except ValueError as error:
        unread = str(error)
    else:
        whats = [frame.fault] if frame.fault else picture_faults(record, job.stored)
        return record, list(whats)
    return None, [frame.fault or unread]


def _row(frame: Frame, record: Record, *, decodes: bool) -> tuple[object, ...]:
    return (
        frame.number,
        frame.offset,
        frame.size,
        _digest(record.file_name),
        _digest(record.sha256),
        _digest(record.group) if record.group else (0, 0),
        np.frombuffer(hashlib.sha256(frame.payload).digest(), "u1"),
        decodes,
    )


def _digest(text: str) -> NDArray[np.uint64]:
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], "<u8")
