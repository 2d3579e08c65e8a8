"""Check what no shard can tell alone: keys, contents, groups, counts, fingerprint."""

import collections
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tfpipe.data import manifest as manifests
from tfpipe.data.checks.faults import NUM_SHOWN, Fault, Faults, name_record, shown
from tfpipe.data.checks.folder_check import open_plain
from tfpipe.data.checks.record_check import Stored
from tfpipe.data.checks.shard_check import ShardReport
from tfpipe.data.conversion.shards import dataset_fingerprint
from tfpipe.data.manifest import Manifest
from tfpipe.data.records import FRAME_BYTES, HEADER_BYTES, Record

Rows = NDArray[np.void]
Whole = NDArray[np.int64]


def read_record(descriptor: int, row: np.void) -> Record:
    """Read a record again that a check has found whole.

    Raises:
        ValueError: if it has changed since.
    """
    length, start = int(row["size"]) - FRAME_BYTES, int(row["offset"]) + HEADER_BYTES
    return Record.from_bytes(os.pread(descriptor, length, start))


def sum_faults(
    manifest: Manifest, reports: Sequence[ShardReport], stored: Stored
) -> Iterator[Fault]:
    """Yield where counts and fingerprint differ; all records must have been read."""
    by_split: dict[str, collections.Counter[str]] = {
        split: collections.Counter(dict.fromkeys(manifest.class_names, 0))
        for split in manifest.split_sizes
    }
    for shard, report in zip(manifest.shards, reports, strict=True):
        for label, count in report.labels.items():
            known = 0 <= label < len(manifest.class_names)
            name = manifest.class_names[label] if known else f"label {label}"
            by_split.setdefault(shard.split, collections.Counter())[name] += count
    wanted = manifest.counts["by_split"]
    for split, counts in by_split.items():
        if wanted.get(split) != counts:
            yield _in_metadata(
                f"counts.by_split.{split}", dict(counts), wanted.get(split)
            )
    num_changed = sum(report.num_changed for report in reports)
    # With a size, or as raw pixels, what is changed depends on more than normalising.
    as_they_are = stored.encoding == "jpeg" and not stored.image_size
    if as_they_are and num_changed != manifest.counts["normalised"]:
        got = manifest.counts["normalised"]
        yield _in_metadata("counts.normalised", num_changed, got)
    digests = [
        digest.tobytes().hex()
        for report in reports
        for digest in report.rows["record_sha256"]
    ]
    found = dataset_fingerprint(manifest.class_names, manifest.split_sizes, digests)
    if found != manifest.fingerprint:
        yield _in_metadata("fingerprint", found, manifest.fingerprint)


def _in_metadata(name: str, found: object, said: object) -> Fault:
    what = f"{name} must be {shown(found)} as the records are, got {shown(said)}"
    return Fault(what=f"{manifests.METADATA}: {what}")


def find_repeats(
    manifest: Manifest, reports: Sequence[ShardReport], faults: Faults
) -> None:
    """Add a fault for every key that comes twice, and for what is in two splits."""
    rows = np.concatenate([report.rows for report in reports])
    lengths = [len(report.rows) for report in reports]
    shards = np.repeat(np.arange(len(reports)), lengths)
    names = list(manifest.split_sizes)
    split_of_shard = [names.index(shard.split) for shard in manifest.shards]
    splits = np.array(split_of_shard)[shards]
    for field in ("key", "content", "group"):
        first, other = _equal_pairs(rows[field])
        if field == "group":
            named = np.any(rows[field], axis=1)[first]
            first, other = first[named], other[named]
        if field != "key":
            apart = splits[first] != splits[other]
            first, other = first[apart], other[apart]
        for one, two in zip(first[:NUM_SHOWN], other[:NUM_SHOWN], strict=True):
            faults.add(_repeat(manifest, rows[[one, two]], shards[[one, two]], field))
        for shard in shards[other[NUM_SHOWN:]]:
            faults.count(1, manifest.shards[shard].file_name)


def _equal_pairs(digests: NDArray[np.uint64]) -> tuple[Whole, Whole]:
    """Return (first, other): each place with the first place of an equal digest.

    Args:
        digests: uint64 [n, 2].
    """
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: first stays first
    ordered = digests[order]
    begins = np.ones(len(order), bool)
    begins[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    first = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    return first[~begins], order[~begins]


def _repeat(manifest: Manifest, rows: Rows, shards: Whole, what: str) -> Fault:
    """Return the fault of the second of two records, naming the first."""
    places = []
    for row, number in zip(rows, shards, strict=True):
        shard = manifest.shards[number]
        with open_plain(manifest.records_dir / shard.file_name) as file:
            record = read_record(file.fileno(), row)
        places.append((shard, row, record))
    (shard, row, record), (other_shard, other_row, other) = places
    twin = name_record(
        shard.file_name, int(row["number"]), int(row["offset"]), record.file_name
    )
    name = f"group {shown(other.group)}" if what == "group" else what
    if what == "key" and shard.split == other_shard.split:
        fault = f"key must be one record's, got it also for {twin}"
    else:
        fault = (
            f"{name} must be in one split, got it in {other_shard.split} and in "
            f"{shard.split}: {twin}"
        )
    return Fault(
        what=fault,
        shard=other_shard.file_name,
        record=int(other_row["number"]),
        offset=int(other_row["offset"]),
        key=other.file_name,
    )
