"""Walk the frames of a shard that may be damaged, beside what its index says."""

import array
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tfpipe.data.checks.faults import shown
from tfpipe.data.checks.folder_check import open_plain
from tfpipe.data.records import (
    FRAME_BYTES,
    HEADER_BYTES,
    read_length,
    unframe_record,
)

# TensorFlow decodes to half of this at most: a length beyond is a lie.
MAX_RECORD_BYTES = 1 << 30
_INDEX_LINE = re.compile(rb"(0|[1-9]\d{0,17}) ([1-9]\d{0,17})\n")

Entries = array.array  # int64: offset and size of every record, one after the other


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """A record's place and payload; `fault` says why it can't be trusted.

    Of a broken frame the payload is what it seems to be, b"" if nothing tells.
    """

    number: int
    offset: int
    payload: bytes
    fault: str = ""

    @property
    def size(self) -> int:
        """The frame's bytes, if it is whole."""
        return len(self.payload) + FRAME_BYTES


def walk_frames(
    descriptor: int, entries: "Entries[int]", num_examples: int
) -> Iterator[Frame]:
    """Yield the frames of a file, one behind the other.

    Behind a broken length the walk goes on at the next record that the index names and
    whose own length is whole. Only one record is in memory, of a size the file has.
    """
    size, number, offset = os.fstat(descriptor).st_size, 0, 0
    while offset < size:
        try:
            length = _length_at(descriptor, offset, size)
        except ValueError as error:
            behind = _next_whole(descriptor, entries, number, offset, size)
            next_number, next_offset = behind or (max(num_examples, number + 1), size)
            lost = next_number - number - 1
            fault = (
                f"{error}; {lost:,} behind it can't be found" if lost else str(error)
            )
            payload = _indexed_payload(descriptor, entries, number, offset, size)
        else:
            block, fault = os.pread(descriptor, length + FRAME_BYTES, offset), ""
            payload = block[HEADER_BYTES : HEADER_BYTES + length]
            next_number, next_offset = number + 1, offset + length + FRAME_BYTES
            try:
                unframe_record(block)
            except ValueError as error:
                fault = str(error)
        yield Frame(number=number, offset=offset, payload=payload, fault=fault)
        number, offset = next_number, next_offset


def _length_at(descriptor: int, offset: int, size: int) -> int:
    length = read_length(os.pread(descriptor, HEADER_BYTES, offset))
    most = min(max(size - offset - FRAME_BYTES, 0), MAX_RECORD_BYTES)
    if length > most:
        raise ValueError(
            f"record must be at most {most:,} bytes long here, got {length:,}; "
            "the file is cut off or damaged"
        )
    return length


def _next_whole(
    descriptor: int, entries: "Entries[int]", number: int, offset: int, size: int
) -> tuple[int, int] | None:
    """Return number and offset of the next record that the index finds, if any."""
    for candidate in range(number + 1, len(entries) // 2):
        place = entries[2 * candidate]
        if offset < place < size:
            try:
                _length_at(descriptor, place, size)
            except ValueError:
                continue
            return candidate, place
    return None


def _indexed_payload(
    descriptor: int, entries: "Entries[int]", number: int, offset: int, size: int
) -> bytes:
    """Return what the index takes for the payload of a record of broken length."""
    entry = tuple(entries[2 * number : 2 * number + 2])
    if not entry or entry[0] != offset or entry[1] > min(size, MAX_RECORD_BYTES):
        return b""
    return os.pread(descriptor, max(0, entry[1] - FRAME_BYTES), offset + HEADER_BYTES)


def read_entries(path: Path, num_examples: int) -> "Entries[int]":
    """Return offset and size of every record as an index says.

    Raises:
        ValueError: if a line is no such pair, or there are more or fewer than records.
    """
    entries = array.array("q")
    with open_plain(path) as file:
        while line := file.readline(64):
            match, number = _INDEX_LINE.fullmatch(line), len(entries) // 2
            if match is None or number == num_examples:
                raise ValueError(
                    f"index must hold {num_examples:,} lines of 'offset size', got "
                    f"{shown(line)} as line {number + 1:,}"
                )
            entries.extend(map(int, match.groups()))
    if len(entries) != 2 * num_examples:
        raise ValueError(
            f"index must hold {num_examples:,} lines of 'offset size', got "
            f"{len(entries) // 2:,}"
        )
    return entries


def entry_fault(entries: "Entries[int]", frame: Frame) -> str:
    """Return where the index differs from a whole frame, "" if it doesn't."""
    entry = tuple(entries[2 * frame.number : 2 * frame.number + 2])
    if not entry or entry == (frame.offset, frame.size):
        return ""
    return (
        f"index must say '{frame.offset} {frame.size}' for record {frame.number}, got "
        f"'{entry[0]} {entry[1]}'"
    )
