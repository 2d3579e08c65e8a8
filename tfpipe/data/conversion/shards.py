"""Shard jobs: copy scanned pictures into one TFRecord file each.

Like a scan block, a shard has a journal, written last: a shard is finished when the
journal is that of the same records and the file has the digest it names.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from tfpipe.base import files
from tfpipe.base.progress import Progress
from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.inputs.places import archives_kept_open
from tfpipe.data.pool import Workers
from tfpipe.data.records import Record, frame_record


class SourceChangedError(OSError):
    """A picture's bytes are no longer those that were scanned; `key` names it."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"pictures must stay as they are during a conversion, got other bytes for "
            f"{key} than were scanned; give the same command again to scan it again"
        )
        self.key = key

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Let it cross from a worker process with its key."""
        return type(self), (self.key,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardJob:
    """One shard: consecutive records of the global order, beginning at `first_id`."""

    file_name: str
    split: str
    first_id: int
    rows: tuple[Scanned, ...]
    class_names: tuple[str, ...]
    shard_dir: str
    has_groups: bool = False

    @property
    def path(self) -> Path:
        """Where the shard is written; `.idx` and `.json` stand beside it."""
        return Path(self.shard_dir) / self.file_name

    def digest(self) -> str:
        """Return the sha256 of what the shard is to hold."""
        rows = [(r.key, r.label, r.sha256, r.stored_sha256) for r in self.rows]
        groups = [row.group for row in self.rows] if self.has_groups else None
        plan = [self.file_name, self.first_id, self.class_names, rows, groups]
        return hashlib.sha256(json.dumps(plan).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardResult:
    """What a shard's journal says.

    Attributes:
        plan: the job's digest.
        num_bytes, sha256: of the file.
        record_sha256: of each record's serialized Example, in order.
    """

    plan: str
    num_bytes: int
    sha256: str
    record_sha256: tuple[str, ...]


def write_shard(job: ShardJob) -> tuple[str, ShardResult]:
    """Write a shard, its index and its journal; return its name and what it says.

    Raises:
        SourceChangedError: if a picture is not the one that was scanned.
    """
    shard_digest, offset = hashlib.sha256(), 0
    record_sha256, index_lines = [], []
    with archives_kept_open(), files.open_aside(job.path) as file:
        for source_id, row in enumerate(job.rows, start=job.first_id):
            payload = _record(job, row, source_id).to_bytes()
            block = frame_record(payload)
            file.write(block)
            shard_digest.update(block)
            record_sha256.append(hashlib.sha256(payload).hexdigest())
            index_lines.append(f"{offset} {len(block)}\n")
            offset += len(block)
    files.write_bytes(beside(job, ".idx"), "".join(index_lines).encode())
    result = ShardResult(
        plan=job.digest(),
        num_bytes=offset,
        sha256=shard_digest.hexdigest(),
        record_sha256=tuple(record_sha256),
    )
    files.write_json(beside(job, ".json"), dataclasses.asdict(result))
    return job.file_name, result


def _record(job: ShardJob, row: Scanned, source_id: int) -> Record:
    try:
        data = row.stored.read()
    except (OSError, ValueError):
        raise SourceChangedError(row.key) from None
    if hashlib.sha256(data).hexdigest() != row.stored_sha256:
        raise SourceChangedError(row.key)
    return Record(
        encoded=data,
        format=row.encoding,
        height=row.height,
        width=row.width,
        label=row.label,
        class_text=job.class_names[row.label],
        file_name=row.key,
        sha256=row.sha256,
        source_id=source_id,
        group=row.group if job.has_groups else None,
    )


def beside(job: ShardJob, suffix: str) -> Path:
    """Return the path of a shard's index (".idx") or journal (".json")."""
    return Path(os.fspath(job.path) + suffix)


def read_result(job: ShardJob, published_dir: Path | None = None) -> ShardResult | None:
    """Return a finished shard's journal, None if the shard must be written.

    Args:
        job: the shard.
        published_dir: where finished shards may have been moved to already.
    """
    journal = beside(job, ".json")
    if not journal.exists():
        return None
    values = json.loads(journal.read_bytes())
    values["record_sha256"] = tuple(values["record_sha256"])
    result = ShardResult(**values)
    places = [job.path, *([published_dir / job.file_name] if published_dir else [])]
    path = next((path for path in places if path.exists()), None)
    if result.plan != job.digest() or path is None:
        return None
    return result if files.file_sha256(path) == result.sha256 else None


def dataset_fingerprint(
    class_names: Sequence[str],
    split_sizes: dict[str, int],
    record_sha256: Sequence[str],
) -> str:
    """Return the dataset fingerprint, 64 hexadecimal digits.

    It is the sha256 of a JSON line [class names, [split, size] of each split] and then
    of each record's sha256 (of its serialized Example) in global order, a line each.
    """
    head = json.dumps([list(class_names), list(split_sizes.items())])
    digest = hashlib.sha256(f"{head}\n".encode())
    for line in record_sha256:
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()


def write_all(
    jobs: Sequence[ShardJob], workers: Workers, published_dir: Path | None
) -> list[ShardResult]:
    """Write the shards that aren't finished; return all journals, in order.

    Raises:
        SourceChangedError: if a picture is not the one that was scanned.
    """
    found = {job.file_name: read_result(job, published_dir) for job in jobs}
    results = {name: result for name, result in found.items() if result}
    to_write = [job for job in jobs if job.file_name not in results]
    total = sum(len(job.rows) for job in to_write)
    with Progress("write", total, "records") as progress:
        for name, result in workers.run(write_shard, to_write):
            results[name] = result
            progress.advance(len(result.record_sha256))
    return [results[job.file_name] for job in jobs]
