"""Scan: read every picture once, prove that it decodes, journal the verdicts.

A block of sources is one plain job. Its journal is written aside and renamed, so a
block is either finished or not there; pictures that don't pass through wait in a spool
beside it.
"""

import contextlib
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
from tfpipe.data.inputs.labels import Source
from tfpipe.data.inputs.places import FilePlace, Place, archives_kept_open
from tfpipe.data.pictures.codecs import codec_versions
from tfpipe.data.pictures.images import RejectedPictureError, judge_picture
from tfpipe.data.pool import Workers
from tfpipe.data.storing import IN_OWN_SIZE, Storing

PROMISE_SECONDS = 2.0
# A block is under a second of work, as a rule, and that much is lost by a kill.
BLOCK_SIZE, BLOCK_BYTES = 128, 8_000_000  # at most: pictures, bytes
LEAST_BLOCKS = 16
MAX_SOURCE_BYTES = 1 << 28  # a picture; larger ones are refused unread
LARGE_PIXELS = 500_000  # a picture; from there on storing it smaller saves most
ADVISED_SIZE = 224


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScanBlock:
    """One job: some sources, the folder of the journal, the limits, the form stored."""

    index: int
    sources: tuple[Source, ...]
    scan_dir: str
    max_pixels: int
    min_side: int
    storing: Storing = IN_OWN_SIZE

    def digest(self) -> str:
        """Return the sha256 of all that decides the verdicts but the pictures."""
        facts = [
            [(source.key, source.place.size) for source in self.sources],
            [self.max_pixels, self.min_side, self.storing.facts, codec_versions()],
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def journal(self) -> Path:
        """The file that says that this block is finished."""
        return Path(self.scan_dir) / f"{self.index:06d}.json"

    @property
    def spool(self) -> Path:
        """The new bytes of the pictures that don't pass through, back to back."""
        return Path(self.scan_dir) / f"{self.index:06d}.jpegs"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockDone:
    """A finished block: its pictures, those written, their pixels and source bytes."""

    num_pictures: int
    num_written: int
    num_pixels: int
    num_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scanned:
    """The verdict on one source.

    Attributes:
        key, label, split, group: the source's.
        sha256: of the source's bytes, "" if they could not be read.
        reason, detail: why it is rejected, "" if it is written.
        changes: why it was normalised, () if it was a clean JPEG.
        is_resized: whether it is stored in another size or shape.
        height, width: in pixels, as stored.
        encoding: of the bytes to store, jpeg or raw.
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
    encoding: str = "jpeg"
    changes: tuple[str, ...] = ()
    is_resized: bool = False
    reason: str = ""
    detail: str = ""
    split: str = ""
    group: str = ""


def make_blocks(
    sources: Sequence[Source],
    scan_dir: Path,
    max_pixels: int,
    min_side: int,
    storing: Storing = IN_OWN_SIZE,
) -> list[ScanBlock]:
    """Cut the sources that have a label into jobs, the same ones every time."""
    labelled = [source for source in sources if source.label is not None]
    # So small that a few large pictures keep all workers busy, too.
    most = min(BLOCK_SIZE, max(1, len(labelled) // LEAST_BLOCKS))
    blocks: list[list[Source]] = []
    num_bytes = 0
    for source in labelled:
        num_bytes += source.place.size
        if not blocks or len(blocks[-1]) == most or num_bytes > BLOCK_BYTES:
            blocks.append([])
            num_bytes = source.place.size
        blocks[-1].append(source)
    return [
        ScanBlock(
            index=index,
            sources=tuple(members),
            scan_dir=os.fspath(scan_dir),
            max_pixels=max_pixels,
            min_side=min_side,
            storing=storing,
        )
        for index, members in enumerate(blocks)
    ]


def scan_block(block: ScanBlock) -> BlockDone:
    """Judge a block's pictures and journal the verdicts."""
    rows, offset = [], 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(archives_kept_open())
        spool = None
        for source in block.sources:
            row, encoded = _judge(source, block)
            if encoded is not None:
                # Written as they come: raw pixels of a whole block can be gigabytes.
                spool = spool or stack.enter_context(files.open_aside(block.spool))
                spool.write(encoded)
                digest = hashlib.sha256(encoded).hexdigest()
                row["spool"] = [offset, len(encoded), digest]
                offset += len(encoded)
            rows.append(row)
    journal = {"block": block.digest(), "rows": rows}
    files.write_bytes(block.journal, json.dumps(journal).encode())
    written = [row for row in rows if "reason" not in row]
    return BlockDone(
        num_pictures=len(rows),
        num_written=len(written),
        num_pixels=sum(row["height"] * row["width"] for row in written),
        num_bytes=sum(source.place.size for source in block.sources),
    )


def _judge(source: Source, block: ScanBlock) -> tuple[dict[str, Any], bytes | None]:
    """Return a picture's row of the journal, and its new bytes if it has any."""
    row: dict[str, Any] = {"key": source.key}
    try:
        data = _read(source)
        row["sha256"] = hashlib.sha256(data).hexdigest()
        picture = judge_picture(
            data,
            max_pixels=block.max_pixels,
            min_side=block.min_side,
            storing=block.storing,
        )
    except RejectedPictureError as error:
        return row | {"reason": error.reason, "detail": error.detail}, None
    row |= {"height": picture.height, "width": picture.width}
    if picture.encoded is not None:
        row |= {"changes": picture.changes, "is_resized": picture.is_resized}
    return row, picture.encoded


def _read(source: Source) -> bytes:
    if source.place.size > MAX_SOURCE_BYTES:
        detail = f"{source.place.size:,} bytes are above {MAX_SOURCE_BYTES:,}"
        raise RejectedPictureError("too_many_bytes", detail)
    try:
        return source.place.read()
    except OSError as error:
        # Without the path: equal inputs elsewhere give an equal rejects.jsonl.
        raise RejectedPictureError("unreadable", str(error.strerror)) from None
    except (ValueError, OverflowError, MemoryError) as error:
        raise RejectedPictureError("unreadable", str(error)) from None


def read_journal(block: ScanBlock) -> list[Scanned] | None:
    """Return the verdicts of a finished block, None if it isn't finished."""
    if not block.journal.exists():
        return None
    journal = json.loads(block.journal.read_bytes())
    if journal["block"] != block.digest():
        return None
    return [
        _scanned(source, row, block)
        for source, row in zip(block.sources, journal["rows"], strict=True)
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
        encoding=block.storing.encoding,
        changes=tuple(row.get("changes", ())),
        is_resized=row.get("is_resized", False),
        reason=row.get("reason", ""),
        detail=row.get("detail", ""),
        split=source.split,
        group=source.group,
    )


def scan_all(blocks: Sequence[ScanBlock], workers: Workers) -> int:
    """Scan the blocks; say early how long it takes, and what would save most."""
    total = sum(len(block.sources) for block in blocks)
    if not total:
        return 0
    is_own_size = not blocks[0].storing.image_size
    first_at, num_first, has_promised, has_advised = 0.0, 0, False, not is_own_size
    with Progress("scan", total, "pictures") as progress:
        for done in workers.run(scan_block, blocks):
            progress.advance(done.num_pictures)
            # From the first block on: before it the workers had to start.
            first_at = first_at or time.monotonic()
            num_first = num_first or done.num_pictures
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
            if not has_advised and done.num_written:
                has_advised = True
                if line := advice(done, total):
                    print(line, flush=True)
    return total


def advice(done: BlockDone, total: int) -> str:
    """Return what storing large pictures at training size would save, or ""."""
    pixels = done.num_pixels / done.num_written
    if pixels < LARGE_PIXELS:
        return ""
    each = done.num_bytes / done.num_pictures
    small = Storing(image_size=ADVISED_SIZE).expected_bytes
    return (
        f"pictures are large ({pixels / 1e6:.1f} megapixels, {each / 1000:,.0f} kB on "
        f"average): --image_size={ADVISED_SIZE} would store {total * small / 1e6:,.0f} "
        f"MB instead of {total * each / 1e6:,.0f} MB, and training resize nothing"
    )
