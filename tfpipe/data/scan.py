"""Scan: read every picture once, prove that it decodes, journal the verdicts.

A block of sources is one plain job. Its journal is written aside and renamed, so a
block is either finished or not there; normalised pictures wait in a spool beside it.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.base.progress import Progress, format_seconds
from tfpipe.data.images import RejectedPictureError, judge_picture
from tfpipe.data.labels import Source
from tfpipe.data.pool import run_jobs
from tfpipe.data.sources import FilePlace, Place

PROMISE_SECONDS = 2.0
BLOCK_SIZE = 128  # pictures: under a second of work, and that much is lost by a kill


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanBlock:
    """One job: some sources, the folder of the journal, the limits."""

    index: int
    sources: tuple[Source, ...]
    scan_dir: str
    max_pixels: int
    min_side: int

    @property
    def journal(self) -> Path:
        """The file that says that this block is finished."""
        return Path(self.scan_dir) / f"{self.index:06d}.json"

    @property
    def spool(self) -> Path:
        """The new bytes of this block's normalised pictures, back to back."""
        return Path(self.scan_dir) / f"{self.index:06d}.jpegs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scanned:
    """The verdict on one source.

    Attributes:
        key, label: the source's.
        sha256: of the source's bytes, "" if they could not be read.
        reason, detail: why it is rejected, "" if it is written.
        changes: why it was normalised, () if its bytes pass through.
        height, width: in pixels, as stored.
        stored: where the bytes to store are.
        stored_sha256: of those bytes.
    """

    key: str
    label: int
    stored: Place
    sha256: str = ""
    stored_sha256: str = ""
    height: int = 0
    width: int = 0
    changes: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def make_blocks(
    sources: Sequence[Source], scan_dir: Path, max_pixels: int, min_side: int
) -> list[ScanBlock]:
    """Cut the sources that have a label into jobs, the same ones every time."""
    labelled = [source for source in sources if source.label is not None]
    return [
        ScanBlock(
            index=start // BLOCK_SIZE,
            sources=tuple(labelled[start : start + BLOCK_SIZE]),
            scan_dir=os.fspath(scan_dir),
            max_pixels=max_pixels,
            min_side=min_side,
        )
        for start in range(0, len(labelled), BLOCK_SIZE)
    ]


def scan_block(block: ScanBlock) -> int:
    """Judge a block's pictures, journal the verdicts, return how many there are."""
    rows, new_pictures, offset = [], [], 0
    for source in block.sources:
        row: dict[str, Any] = {"key": source.key}
        try:
            data = _read(source)
            row["sha256"] = hashlib.sha256(data).hexdigest()
            picture = judge_picture(
                data, max_pixels=block.max_pixels, min_side=block.min_side
            )
        except RejectedPictureError as error:
            row |= {"reason": error.reason, "detail": error.detail}
        else:
            row |= {"height": picture.height, "width": picture.width}
            if picture.encoded is not None:
                digest = hashlib.sha256(picture.encoded).hexdigest()
                row["changes"] = picture.changes
                row["spool"] = [offset, len(picture.encoded), digest]
                new_pictures.append(picture.encoded)
                offset += len(picture.encoded)
        rows.append(row)
    if new_pictures:
        files.write_bytes(block.spool, b"".join(new_pictures))
    files.write_bytes(block.journal, json.dumps(rows).encode())
    return len(rows)


def _read(source: Source) -> bytes:
    try:
        return source.place.read()
    except (OSError, ValueError) as error:
        raise RejectedPictureError("unreadable", str(error)) from None


def read_journal(block: ScanBlock) -> list[Scanned] | None:
    """Return the verdicts of a finished block, None if it isn't finished."""
    if not block.journal.exists():
        return None
    rows = json.loads(block.journal.read_bytes())
    if [row["key"] for row in rows] != [source.key for source in block.sources]:
        return None
    return [
        _scanned(source, row, block)
        for source, row in zip(block.sources, rows, strict=True)
    ]


def _scanned(source: Source, row: dict[str, Any], block: ScanBlock) -> Scanned:
    stored, stored_sha256 = source.place, row.get("sha256", "")
    if "spool" in row:
        offset, size, stored_sha256 = row["spool"]
        stored = FilePlace(path=os.fspath(block.spool), offset=offset, size=size)
    return Scanned(
        key=source.key,
        label=-1 if source.label is None else source.label,
        stored=stored,
        sha256=row.get("sha256", ""),
        stored_sha256=stored_sha256,
        height=row.get("height", 0),
        width=row.get("width", 0),
        changes=tuple(row.get("changes", ())),
        reason=row.get("reason", ""),
        detail=row.get("detail", ""),
    )


def scan_all(blocks: Sequence[ScanBlock], num_workers: int) -> int:
    """Scan the blocks; say early how long it takes, where it takes long."""
    total = sum(len(block.sources) for block in blocks)
    if not total:
        return 0
    first_at, num_first, has_promised = 0.0, 0, False
    with Progress("scan", total, "pictures") as progress:
        for num_done in run_jobs(scan_block, blocks, num_workers):
            progress.advance(num_done)
            # From the first block on: before it the workers had to start.
            first_at, num_first = first_at or time.monotonic(), num_first or num_done
            seconds = time.monotonic() - first_at
            if seconds > PROMISE_SECONDS and not has_promised:
                has_promised = True
                rate = (progress.done - num_first) / seconds
                left = format_seconds((total - progress.done) / rate)
                print(
                    f"scanning {total:,} pictures takes about {left} more; after an "
                    "interruption the same command goes on",
                    flush=True,
                )
    return total
