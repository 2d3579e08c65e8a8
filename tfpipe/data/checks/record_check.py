"""Check what one record says: about itself, and about its picture."""

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence

from tfpipe.data.checks.faults import shown
from tfpipe.data.manifest import METADATA, Manifest
from tfpipe.data.metadata_shape import check_shape
from tfpipe.data.pictures.jpeg import read_jpeg_header
from tfpipe.data.records import Record
from tfpipe.data.storing import Storing

DEFAULT_MAX_PIXELS = 100_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """How the pictures of a dataset are stored, by its settings.

    Attributes:
        encoding: "jpeg" or "raw".
        image_size: the side of all pictures in pixels, 0 for their own sizes.
        max_pixels: the largest, height x width.
    """

    encoding: str
    image_size: int
    max_pixels: int

    @classmethod
    def of(cls, manifest: Manifest) -> "Stored":
        """Return what the settings of a manifest say.

        Raises:
            ValueError: if they say nothing that make_records writes.
        """
        storing = Storing.from_facts(manifest.settings)
        max_pixels = manifest.settings.get("max_pixels", DEFAULT_MAX_PIXELS)
        where = f"settings.max_pixels in {manifest.records_dir / METADATA}"
        check_shape(max_pixels, int, where)
        return cls(
            encoding=storing.encoding,
            image_size=storing.image_size,
            max_pixels=max_pixels,
        )


def fact_faults(
    record: Record, source_id: int, class_names: Sequence[str]
) -> Iterator[str]:
    """Yield what is wrong in a record's facts, its picture aside.

    Args:
        record: the record.
        source_id: its place in the global order.
        class_names: in label order.
    """
    if record.source_id != source_id:
        yield (
            f"source id must be {source_id}, its place in the global order, "
            f"got {record.source_id}"
        )
    if not 0 <= record.label < len(class_names):
        yield f"label must be from 0 to {len(class_names) - 1}, got {record.label}"
    elif record.class_text != class_names[record.label]:
        yield (
            f"class text must be {shown(class_names[record.label])}, the name of label "
            f"{record.label}, got {shown(record.class_text)}"
        )
    if not record.file_name:
        yield "key must name the source, got an empty one"
    if not re.fullmatch("[0-9a-f]{64}", record.sha256):
        yield f"sha256 must be 64 hexadecimal digits, got {shown(record.sha256)}"


def picture_faults(record: Record, stored: Stored) -> Iterator[str]:
    """Yield what is wrong with a picture, as far as its header tells."""
    height, width, data = record.height, record.width, record.encoded
    if record.format != stored.encoding:
        yield f"format must be {stored.encoding}, got {shown(record.format)}"
    side = stored.image_size
    # max_pixels is of sources; small ones may have been enlarged.
    most = max(stored.max_pixels, side * side)
    if min(height, width) < 1 or height * width > most:
        yield f"picture must have from 1 to {most:,} pixels, got {height} x {width}"
    if side and (height, width) != (side, side):
        yield f"picture must be {side} x {side}, got {height} x {width}"
    if stored.encoding == "raw":
        if len(data) != height * width * 3:
            yield (
                f"picture must be {height * width * 3:,} bytes for {height} x {width} "
                f"x 3, got {len(data):,}"
            )
        return
    if not data.startswith(b"\xff\xd8"):
        yield f"picture must begin as a JPEG, got {shown(data[:8])}"
        return
    header = read_jpeg_header(data)
    if (header.height, header.width) != (height, width):
        yield (
            f"picture must be {height} x {width} as its record says, got "
            f"{header.height} x {header.width}"
        )
    if not header.is_whole or not header.is_plain:
        yield "picture must be a whole 8-bit Huffman-coded JPEG, got another"


def holds_source(record: Record) -> bool:
    """Tell whether a record holds its source's bytes as they are."""
    return hashlib.sha256(record.encoded).hexdigest() == record.sha256
