"""One picture as bytes on disk: a `tf.train.Example` in TFRecord framing.

Neither needs TensorFlow: the framing is a length and two checksums, and the Example's
few message types are declared here for protobuf (tensorflow/core/example/example.proto
and feature.proto).
"""

import dataclasses
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory
from numpy.typing import NDArray

HEADER_BYTES, FOOTER_BYTES = 12, 4
FRAME_BYTES = HEADER_BYTES + FOOTER_BYTES


def frame_record(payload: bytes) -> bytes:
    """Return `payload` framed as TFRecord does: length, checksum, bytes, checksum."""
    length = struct.pack("<Q", len(payload))
    return b"".join(
        (length, _masked_checksum(length), payload, _masked_checksum(payload))
    )


def unframe_record(block: bytes) -> bytes:
    """Return the payload of one framed record.

    Raises:
        ValueError: if the length or one of the two checksums is wrong.
    """
    if len(block) < FRAME_BYTES:
        raise ValueError(
            f"record must be at least {FRAME_BYTES} bytes long, got {len(block)}; "
            "the file is cut off or damaged"
        )
    length, payload = read_length(block), block[HEADER_BYTES:-FOOTER_BYTES]
    if length != len(payload):
        raise ValueError(
            f"record must be {length} bytes long, "
            f"got {len(payload)}; the file is cut off or its index is not its own"
        )
    if block[-FOOTER_BYTES:] != _masked_checksum(payload):
        raise ValueError(
            "record's bytes must match their checksum, got another; it is damaged"
        )
    return payload


def read_length(header: bytes) -> int:
    """Return the length of the payload behind a frame's HEADER_BYTES.

    Raises:
        ValueError: if the header is cut off or its checksum is wrong.
    """
    length, checksum = header[:8], header[8:HEADER_BYTES]
    if len(header) < HEADER_BYTES or checksum != _masked_checksum(length):
        raise ValueError(
            "record's length must match its checksum, got another; it is damaged"
        )
    return int.from_bytes(length, "little")


def _masked_checksum(data: bytes) -> bytes:
    """Return CRC32C rotated and offset, so that a CRC of CRCs stays a good check."""
    crc = google_crc32c.value(data)
    rotated = (crc >> 15) | (crc << 17)
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def _example_class() -> Any:
    """Declare Example in a pool of its own, so that TensorFlow's can live beside it."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tfpipe_example.proto", package="tfpipe", syntax="proto3"
    )

    def declare(owner: Any, *fields: tuple[str, int, bool, str]) -> None:
        for number, (name, kind, repeated, type_name) in enumerate(fields, start=1):
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            added = owner.field.add(name=name, number=number, type=kind, label=label)
            if type_name:
                added.type_name = f".tfpipe.{type_name}"

    inner = field.TYPE_MESSAGE
    declare(file.message_type.add(name="BytesList"), ("value", 12, True, ""))
    declare(file.message_type.add(name="FloatList"), ("value", 2, True, ""))
    declare(file.message_type.add(name="Int64List"), ("value", 3, True, ""))
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    declare(
        feature,
        ("bytes_list", inner, False, "BytesList"),
        ("float_list", inner, False, "FloatList"),
        ("int64_list", inner, False, "Int64List"),
    )
    for member in feature.field:
        member.oneof_index = 0
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    declare(entry, ("key", 9, False, ""), ("value", inner, False, "Feature"))
    declare(features, ("feature", inner, True, "Features.FeatureEntry"))
    declare(
        file.message_type.add(name="Example"), ("features", inner, False, "Features")
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tfpipe.Example"))


_Example = _example_class()

# The one table of what is in a record: field of Record, key in the Example.
EXAMPLE_KEYS = {
    "encoded": "image/encoded",
    "format": "image/format",
    "height": "image/height",
    "width": "image/width",
    "label": "image/class/label",
    "class_text": "image/class/text",
    "file_name": "image/filename",
    "sha256": "image/key/sha256",
    "source_id": "image/source_id",
    "group": "image/group",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One picture with what is known about it.

    Attributes:
        encoded: the picture's bytes, encoded as `format` says ("jpeg").
        height, width: in pixels.
        label: 0-based class; `class_text` is its name.
        file_name: the source's key, a POSIX path.
        sha256: of the source's bytes, 64 hexadecimal digits.
        source_id: the place in the global order.
        group: the name of what it shows, "" for a picture of no group; None where
            nobody named groups, and then the key is left out.
    """

    encoded: bytes
    format: str
    height: int
    width: int
    label: int
    class_text: str
    file_name: str
    sha256: str
    source_id: int
    group: str | None = None

    def to_bytes(self) -> bytes:
        """Return the serialized Example; equal records give equal bytes."""
        example = _Example()
        features = example.features.feature
        for name, key in EXAMPLE_KEYS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, int):
                features[key].int64_list.value.append(value)
            else:
                data = value.encode() if isinstance(value, str) else value
                features[key].bytes_list.value.append(data)
        serialized: bytes = example.SerializeToString(deterministic=True)
        return serialized

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Record":
        """Read a record back.

        Raises:
            ValueError: if `payload` is no Example, or a field is missing.
        """
        try:
            features = _Example.FromString(payload).features.feature
        except message.DecodeError as error:
            raise ValueError(
                f"record must be a tf.train.Example, got other bytes ({error}); "
                "make the records again"
            ) from None
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            key = EXAMPLE_KEYS[field.name]
            is_optional = field.default is None
            if is_optional and key not in features:
                continue
            kind = "int64_list" if field.type is int else "bytes_list"
            # Asking a protobuf map for a missing key would add it.
            found: Sequence[Any] = ()
            if key in features:
                found = getattr(features[key], kind).value
            if len(found) != 1:
                raise ValueError(
                    f"record must have one value of {key}, got {len(found)}; "
                    "make the records again with this version of make_records"
                )
            is_text = field.type is str or is_optional
            values[field.name] = found[0].decode() if is_text else found[0]
        return cls(**values)


def read_sample(payload: bytes) -> tuple[bytes, int, int]:
    """Return (encoded picture, label, source id) of a record, and look at no more.

    Raises:
        ValueError: if `payload` is no Example, or lacks one of them.
    """
    try:
        features = _Example.FromString(payload).features.feature
        return (
            features[EXAMPLE_KEYS["encoded"]].bytes_list.value[0],
            features[EXAMPLE_KEYS["label"]].int64_list.value[0],
            features[EXAMPLE_KEYS["source_id"]].int64_list.value[0],
        )
    except (message.DecodeError, IndexError) as error:
        raise ValueError(
            f"record must hold a picture, its label and its source id ({error}); "
            "make the records again"
        ) from None


def iterate_records(shard: Path, index: Path) -> Iterator[Record]:
    """Yield the records of a shard, by its index.

    Raises:
        ValueError: for a damaged one.
    """
    with open(shard, "rb") as file:
        for offset, size in zip(*read_index(index), strict=True):
            file.seek(int(offset))
            yield Record.from_bytes(unframe_record(file.read(int(size))))


def read_index(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the records of a shard are, from its `.idx` file.

    Returns:
        offsets and sizes, int64 [n], in bytes; a size includes the 16 bytes of framing.

    Raises:
        ValueError: if a line is not "offset size".
    """
    try:
        numbers = np.array([int(word) for word in path.read_bytes().split()], np.int64)
        pairs = numbers.reshape(-1, 2)
    except ValueError:
        raise ValueError(
            f"{path} must hold lines of 'offset size', got something else; "
            "make the records again"
        ) from None
    return pairs[:, 0].copy(), pairs[:, 1].copy()
