"""List the members of a zip or tar, each with the place where it can be read."""

import dataclasses
import gzip
import io
import os
import posixpath
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tfpipe.base import files
from tfpipe.data.inputs.places import FilePlace, Place, ZipPlace

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
_ENCRYPTED_FLAG, _UTF8_FLAG = 0x1, 0x800
_MADE_BY_WINDOWS = 0
LINK_DEPTH = 8
MAX_LINK_BYTES = 4096  # as the systems have it


@dataclasses.dataclass(kw_only=True)
class Entries:
    """What was found: what can be read, what is refused, what to tell people.

    Attributes:
        places: by POSIX path below the input's root.
        refused: (reason, detail) by name, of what is outside the input or absent.
        notes: lines for people.
        num_replaced: members of an archive that have the name of a later one.
    """

    places: dict[str, Place] = dataclasses.field(default_factory=dict)
    refused: dict[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    num_replaced: int = 0


def is_archive(name: str) -> bool:
    """Tell by its name whether a file is an archive that can be read."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def list_archive(
    shown: str, place: FilePlace, spool_dir: Path, encoding: str
) -> Entries:
    """List an archive's members without unpacking them.

    A tar.gz, which can't be read by position, is unpacked to a tar in `spool_dir`.

    Args:
        shown: its name, for messages.
        place: where it lies as plain bytes.
        spool_dir: made when needed.
        encoding: of names that aren't marked as UTF-8; "" for the format's own.

    Raises:
        ValueError: if it is none, damaged, or its names aren't of that encoding.
    """
    with open(place.path, "rb") as file:
        file.seek(place.offset)
        head = file.read(262)
    try:
        if head[:2] == b"\x1f\x8b":
            return _list_tar(_unpack_gzip(shown, place, spool_dir), encoding)
        if head[257:] == b"ustar":
            return _list_tar(place, encoding)
        return _list_zip(place, encoding)
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        EOFError,
        zlib.error,
    ) as error:
        raise _broken(shown, str(error)) from None
    except UnicodeDecodeError as error:
        raise ValueError(
            f"zip_encoding must be that of the names in {shown}, got {encoding} "
            f"({error}); try another such as gbk, shift_jis, cp437 or utf-8"
        ) from None


def _broken(shown: str, detail: str) -> ValueError:
    return ValueError(
        f"image_dir must be a folder, a whole {', '.join(ARCHIVE_SUFFIXES)} file or a "
        f".csv or .tsv list, got {shown} ({detail}); fetch it again, or unpack it into "
        "a folder"
    )


def _list_zip(place: FilePlace, encoding: str) -> Entries:
    """List a zip's members."""
    with open(place.path, "rb") as file:
        window: Any = io.BufferedReader(_Window(file, place.offset, place.size))
        with zipfile.ZipFile(window, metadata_encoding=encoding or None) as archive:
            members = archive.infolist()
    found, links, num_unmarked = Entries(), {}, 0
    for info in members:
        if info.is_dir():
            continue
        name = info.filename
        if info.create_system == _MADE_BY_WINDOWS:
            name = name.replace("\\", "/")
        if not info.flag_bits & _UTF8_FLAG and not name.isascii():
            num_unmarked += 1
        member = ZipPlace(
            path=place.path,
            header_offset=place.offset + info.header_offset,
            packed_size=info.compress_size,
            size=info.file_size,
            method=info.compress_type,
            crc=info.CRC,
            is_encrypted=bool(info.flag_bits & _ENCRYPTED_FLAG),
        )
        if stat.S_ISLNK(info.external_attr >> 16):
            links[name] = _zip_link(name, member)
        else:
            _add(found, name, member)
    _follow(found, links)
    _note_replaced(found)
    if num_unmarked and not encoding:
        found.notes.append(
            f"{num_unmarked:,} names in the zip don't say their encoding and are read "
            "as cp437; if they look wrong, give --zip_encoding (utf-8, gbk, ...)"
        )
    return found


def _zip_link(name: str, member: ZipPlace) -> str:
    if member.size > MAX_LINK_BYTES:
        return ""
    try:
        target = member.read().decode()
    except ValueError:
        return ""
    return target if target.startswith("/") else f"{posixpath.dirname(name)}/{target}"


def _list_tar(place: FilePlace, encoding: str) -> Entries:
    """List a tar's members; a hard or soft link stands for what it points at."""
    found, links, num_others = Entries(), {}, 0
    with open(place.path, "rb") as file:
        window: Any = io.BufferedReader(_Window(file, place.offset, place.size))
        with tarfile.open(
            fileobj=window,
            mode="r:",
            encoding=encoding or "utf-8",
            errors="strict" if encoding else "surrogateescape",
        ) as archive:
            for info in archive:
                name = os.fsencode(info.name).decode("utf-8", "backslashreplace")
                if info.issym():
                    folder = "" if info.linkname.startswith("/") else name
                    links[name] = posixpath.join(
                        posixpath.dirname(folder), info.linkname
                    )
                elif info.islnk():
                    links[name] = info.linkname
                elif info.isreg() and not info.issparse():
                    start = place.offset + info.offset_data
                    data = FilePlace(path=place.path, offset=start, size=info.size)
                    _add(found, name, data)
                elif not info.isdir():
                    num_others += 1
                # tarfile keeps every member it has seen: half a gigabyte a million.
                archive.members = []  # type: ignore[attr-defined] # not in its stubs
            window.seek(archive.offset)
            if window.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                found.notes.append(
                    "WARNING: the tar lacks its end mark: it may have been cut off"
                )
    _follow(found, links)
    _note_replaced(found)
    if num_others:
        found.notes.append(f"left out {num_others:,} members that are no plain files")
    return found


def _add(found: Entries, name: str, place: Place) -> None:
    """Add a member; of two with one name the last counts, as in unpacking."""
    if _is_unsafe(name):
        detail = "the archive names a place outside itself"
        found.refused[name] = ("unsafe_path", detail)
        return
    tidy = _tidy(name)
    found.num_replaced += tidy in found.places
    found.places[tidy] = place


def _note_replaced(found: Entries) -> None:
    if found.num_replaced:
        found.notes.append(
            f"left out {found.num_replaced:,} members: each has the name of a later one"
        )


def _is_unsafe(name: str) -> bool:
    return (
        name.startswith(("/", "\\"))
        or name[1:3] in (":/", ":\\")
        or (".." in name and ".." in re.split(r"[/\\]", name))
    )


def _tidy(name: str) -> str:
    if "//" not in name and "./" not in name:
        return name
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _follow(found: Entries, links: Mapping[str, str]) -> None:
    """Let each link stand for the member it points at, inside the archive only."""
    targets = {_tidy(name): target for name, target in links.items()}
    for name, target in links.items():
        for _ in range(LINK_DEPTH):
            goal = posixpath.normpath(target)
            if goal not in targets:
                break
            target = targets[goal]
        if _is_unsafe(name) or _is_unsafe(goal) or target.startswith("/"):
            detail = f"links to {target}, outside the archive"
            found.refused[_tidy(name)] = ("outside_link", detail)
        elif goal in found.places:
            found.places[_tidy(name)] = found.places[goal]
        elif below := [n for n in found.places if n.startswith(f"{goal}/")]:
            for inner in below:  # a link to a folder
                found.places[_tidy(name) + inner[len(goal) :]] = found.places[inner]
        else:
            detail = f"links to {goal}, which isn't there"
            found.refused[_tidy(name)] = ("missing", detail)


class _Window(io.RawIOBase):
    """A part of a file as a file, so that an archive in a zip is read in place."""

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


def as_file(shown: str, place: Place, spool_dir: Path) -> FilePlace:
    """Return where an archive in a zip lies as plain bytes, unpacked if need be."""
    if isinstance(place, FilePlace):
        return place
    if place.method == zipfile.ZIP_STORED and not place.is_encrypted:
        return FilePlace(path=place.path, offset=place.data_offset(), size=place.size)
    # Content, not name: another input's spool must never be taken for this one's.
    spool = spool_dir / f"{place.crc:08x}-{place.size}.zip"
    if not spool.exists():
        _unpack_member(shown, place, spool)
    return FilePlace(path=os.fspath(spool), size=place.size)


def _unpack_member(shown: str, place: ZipPlace, spool: Path) -> None:
    spool.parent.mkdir(parents=True, exist_ok=True)
    files.check_free_space(spool.parent, place.size)
    try:
        with zipfile.ZipFile(place.path) as outer, files.open_aside(spool) as file:
            info = next(
                info
                for info in outer.infolist()
                if info.header_offset == place.header_offset
            )
            with outer.open(info) as packed:
                shutil.copyfileobj(packed, file, 1 << 20)
    # RuntimeError: it is encrypted, or packed in a way that Python doesn't know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise _broken(shown, str(error)) from None


def _unpack_gzip(shown: str, place: FilePlace, spool_dir: Path) -> FilePlace:
    """Unpack a tar.gz into `spool_dir`, named by checksum and sizes."""
    with open(place.path, "rb") as file:
        file.seek(place.offset + place.size - 8)
        trailer = file.read(8)
    spool = spool_dir / f"{trailer.hex()}-{place.size}.tar"
    if not spool.exists():
        spool_dir.mkdir(parents=True, exist_ok=True)
        files.check_free_space(spool_dir, place.size)
        print(f"unpacking {shown} for the time of the conversion", flush=True)
        with open(place.path, "rb") as file, files.open_aside(spool) as target:
            window: Any = io.BufferedReader(_Window(file, place.offset, place.size))
            with gzip.open(window) as packed:
                shutil.copyfileobj(packed, target, 1 << 20)
    return FilePlace(path=os.fspath(spool), size=spool.stat().st_size)
