"""Find the pictures below a folder or inside a zip, without unpacking anything."""

import dataclasses
import io
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tfpipe.base import files

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png"),
    *(".gif", ".bmp", ".webp", ".tif", ".tiff"),
)
ZIP_DEPTH = 3
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED_FLAG = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilePlace:
    """`size` bytes at `offset` of the file `path`."""

    path: str
    offset: int = 0
    size: int

    def read(self) -> bytes:
        """Return the bytes, fewer where the file has shrunk."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclasses.dataclass(frozen=True, kw_only=True)
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
        with open(self.path, "rb") as file:
            file.seek(self.data_offset(file))
            data = file.read(self.packed_size)
        if self.method == zipfile.ZIP_DEFLATED:
            try:
                # The bound keeps a forged member from filling the memory.
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size)
            except zlib.error as error:
                raise ValueError(f"zip member is damaged: {error}") from None
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise ValueError("zip member's bytes don't match its checksum")
        return data

    def data_offset(self, file: IO[bytes]) -> int:
        """Return where the member's packed bytes begin, behind its own header."""
        file.seek(self.header_offset)
        header = file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
            raise ValueError("zip member's header is damaged")
        _, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        return int(self.header_offset + len(header) + name_bytes + extra_bytes)


Place = FilePlace | ZipPlace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The pictures of an input, and in words what else lay there.

    Attributes:
        places: by POSIX path below the input's root.
        notes: lines for people.
    """

    places: dict[str, Place]
    notes: tuple[str, ...]


def list_pictures(image_dir: Path, spool_dir: Path) -> Listing:
    """List the pictures of a folder, of a zip, or of the zip that either holds.

    Where there are zips but no pictures (Kaggle's outer zip, or its extracted folder),
    `train.zip` or the only zip is read in its place. One that is compressed inside
    another is unpacked into `spool_dir`, which is made when needed.

    Raises:
        ValueError: if there is neither a picture nor a zip to choose.
    """
    notes: list[str] = []
    shown = os.fspath(image_dir)
    if image_dir.is_dir():
        entries = _list_folder(image_dir, notes)
    elif image_dir.exists():
        size = image_dir.stat().st_size
        entries = _list_zip(shown, FilePlace(path=shown, size=size))
    else:
        raise ValueError(missing_pictures(shown, "nothing there"))
    for _ in range(ZIP_DEPTH):
        visible = {
            name: place
            for name, place in entries.items()
            if not any(
                part.startswith(".") or part == "__MACOSX" for part in name.split("/")
            )
        }
        places = {name: visible[name] for name in visible if _is_picture(name)}
        if places:
            num_others = len(visible) - len(places)
            if num_others:
                files = (
                    "1 file that is"
                    if num_others == 1
                    else f"{num_others:,} files that are"
                )
                notes.append(f"left out {files} no picture{'s' * (num_others > 1)}")
            return Listing(places=places, notes=tuple(notes))
        name = _choose_zip(shown, visible, notes)
        shown = f"{shown}/{name}"
        entries = _list_zip(shown, _as_file(visible[name], spool_dir))
    raise ValueError(
        f"image_dir must hold its pictures at most {ZIP_DEPTH} zips deep, got no "
        f"picture down to {shown}; unpack the outer zips"
    )


def missing_pictures(shown: str, found: str) -> str:
    """Return the error for an input without pictures: where to get some."""
    return (
        f"image_dir must be a folder or .zip of labelled pictures, got {found}: "
        f"{shown}; get pictures and name their place with --image_dir=PATH\n"
        "  from Kaggle:     kaggle competitions download -c dogs-vs-cats\n"
        "                   (403 until you accept the competition's rules on its page,"
        "\n                   https://www.kaggle.com/c/dogs-vs-cats/rules)\n"
        "  from Microsoft:  the PetImages zip, folders Cat/ and Dog/\n"
        "                   (https://www.microsoft.com/download/details.aspx?id=54765)"
        "\n  from neither:    python tools/make_demo_images.py"
    )


def _is_picture(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PICTURE_SUFFIXES


def _list_folder(root: Path, notes: list[str]) -> dict[str, Place]:
    """List the files below `root`; links to folders aren't followed, but counted."""
    entries: dict[str, Place] = {}
    num_links, stack = 0, [(os.fspath(root), "")]
    while stack:
        folder, prefix = stack.pop()
        with os.scandir(folder) as found:
            for entry in found:
                # A name that isn't UTF-8 couldn't be written into a record.
                text = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
                if entry.is_dir(follow_symlinks=False):
                    stack.append((entry.path, f"{prefix}{text}/"))
                elif entry.is_file():
                    size = entry.stat().st_size
                    entries[prefix + text] = FilePlace(path=entry.path, size=size)
                elif entry.is_dir():
                    num_links += 1
    if num_links:
        notes.append(f"left out {num_links:,} links to folders")
    return entries


def _list_zip(shown: str, place: FilePlace) -> dict[str, Place]:
    """List a zip's members; of two with one name the last counts, as in unpacking."""
    try:
        with open(place.path, "rb") as file:
            window: Any = io.BufferedReader(_Window(file, place.offset, place.size))
            with zipfile.ZipFile(window) as archive:
                members = list(archive.NameToInfo.values())
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"image_dir must be a folder or a whole .zip file, got {shown} ({error}); "
            "fetch it again, or unpack it into a folder"
        ) from None
    return {
        "/".join(filter(None, info.filename.split("/"))): ZipPlace(
            path=place.path,
            header_offset=place.offset + info.header_offset,
            packed_size=info.compress_size,
            size=info.file_size,
            method=info.compress_type,
            crc=info.CRC,
            is_encrypted=bool(info.flag_bits & _ENCRYPTED_FLAG),
        )
        for info in members
        if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16)
    }


class _Window(io.RawIOBase):
    """A part of a file as a file, so that a zip stored in a zip is read in place."""

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._position)
        data = self._file.read(min(len(buffer), max(0, self._size - self._position)))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _choose_zip(shown: str, entries: Mapping[str, Place], notes: list[str]) -> str:
    """Return the name of the zip to read: train.zip, or the only one."""
    zips = sorted(name for name in entries if name.lower().endswith(".zip"))
    train = [name for name in zips if PurePosixPath(name).name.lower() == "train.zip"]
    if not zips:
        raise ValueError(missing_pictures(shown, "no picture below"))
    if len(train) != 1 and len(zips) != 1:
        raise ValueError(
            f"image_dir must hold pictures, one .zip or one train.zip, got "
            f"{', '.join(zips[:5])} in {shown}; name the one to read with --image_dir"
        )
    chosen = train[0] if len(train) == 1 else zips[0]
    others = [name for name in sorted(entries) if name != chosen]
    line = f"reading {chosen} in {shown}"
    if others:
        more = f" and {len(others) - 3:,} more" if len(others) > 3 else ""
        line += f"; left out {', '.join(others[:3])}{more}"
    notes.append(line)
    return chosen


def _as_file(place: Place, spool_dir: Path) -> FilePlace:
    """Return where a zip lies as plain bytes, unpacked into `spool_dir` if need be."""
    if isinstance(place, FilePlace):
        return place
    if place.method == zipfile.ZIP_STORED and not place.is_encrypted:
        with open(place.path, "rb") as file:
            return FilePlace(
                path=place.path, offset=place.data_offset(file), size=place.size
            )
    # Content, not name: another input's spool must never be taken for this one's.
    spool = spool_dir / f"{place.crc:08x}-{place.size}.zip"
    if not spool.exists():
        spool_dir.mkdir(parents=True, exist_ok=True)
        files.check_free_space(spool_dir, place.size)
        with zipfile.ZipFile(place.path) as outer, files.open_aside(spool) as file:
            info = next(
                info
                for info in outer.infolist()
                if info.header_offset == place.header_offset
            )
            with outer.open(info) as packed:
                shutil.copyfileobj(packed, file, 1 << 20)
    return FilePlace(path=os.fspath(spool), size=place.size)
