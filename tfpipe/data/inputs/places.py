"""Where a picture's bytes lie: in a file, in a part of one, or packed in a zip."""

import contextlib
import dataclasses
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_HEAD_BYTES = 512  # room for the header with a long name
_MOST_KEPT = 64  # descriptors: a spool a block, in random order


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FilePlace:
    """`size` bytes at `offset` of the file `path`."""

    path: str
    offset: int = 0
    size: int

    def read(self) -> bytes:
        """Return the bytes, fewer where the file has shrunk."""
        if not self.offset:  # a file of its own: nobody reads it again soon
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                return os.read(descriptor, self.size)
            finally:
                os.close(descriptor)
        with _opened(self.path) as descriptor:
            return os.pread(descriptor, self.size, self.offset)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ZipPlace:
    """A member of a zip: its header lies in the file `path` at `header_offset`.

    Workers read it by position, so that none of them loads the zip's directory.
    """

    path: str
    header_offset: int
    packed_size: int
    size: int
    method: int
    crc: int
    is_encrypted: bool

    def read(self) -> bytes:
        """Return the member's unpacked bytes.

        Raises:
            ValueError: if it is encrypted, packed in a rare way, or damaged.
        """
        if self.is_encrypted:
            raise ValueError("zip member is encrypted")
        if self.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"zip member is packed by the rare method {self.method}")
        if self.packed_size > self.size + self.size // 64 + 1024:
            raise ValueError("zip member is damaged: it is packed larger than it is")
        with _opened(self.path) as archive:
            # Its own header, whose length isn't known yet, and its bytes at one go.
            block = os.pread(
                archive, self.packed_size + _HEAD_BYTES, self.header_offset
            )
            start = self._data_start(block)
            data = block[start : start + self.packed_size]
            if len(data) < self.packed_size:
                data = os.pread(archive, self.packed_size, self.header_offset + start)
        if self.method == zipfile.ZIP_DEFLATED:
            try:
                # The bound keeps a forged member from filling the memory.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(
                    data, self.size + 1
                )
            except zlib.error as error:
                raise ValueError(f"zip member is damaged: {error}") from None
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise ValueError("zip member's bytes don't match its checksum")
        return data

    def data_offset(self) -> int:
        """Return where the member's packed bytes begin, behind its own header."""
        with _opened(self.path) as archive:
            block = os.pread(archive, _LOCAL_HEADER.size, self.header_offset)
        return self.header_offset + self._data_start(block)

    def _data_start(self, block: bytes) -> int:
        if len(block) < _LOCAL_HEADER.size or block[:4] != b"PK\x03\x04":
            raise ValueError("zip member's header is damaged")
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(block)
        return int(_LOCAL_HEADER.size + name_bytes + extra_bytes)


Place = FilePlace | ZipPlace


# Descriptors by path, as long as `archives_kept_open`.
_kept: dict[str, int] | None = None


@contextlib.contextmanager
def archives_kept_open() -> Iterator[None]:
    """Let reads inside share the descriptors of the archives that they read from."""
    global _kept
    _kept = {}
    try:
        yield
    finally:
        for descriptor in _kept.values():
            os.close(descriptor)
        _kept = None


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    if _kept is not None and path in _kept:
        yield _kept[path]
        return
    descriptor = os.open(path, os.O_RDONLY)
    if _kept is not None and len(_kept) < _MOST_KEPT:
        _kept[path] = descriptor
        yield descriptor
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
