"""Write files so that a reader never sees half of one.

A file is written aside, synced and renamed; a JSON line is appended with one write;
a folder that is being written holds a lock. Nothing here deletes what it didn't make.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ASIDE_SUFFIX = ".aside"
LOCK_ATTEMPTS = 5


def aside_names(name: str) -> tuple[str, str]:
    """Return what `open_aside` and `path_aside` call `name` while it is written."""
    path = Path(name)
    return f"{name}{ASIDE_SUFFIX}", f"{path.stem}{ASIDE_SUFFIX}{path.suffix}"


@contextlib.contextmanager
def open_aside(path: Path, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a file beside `path` that becomes `path` when the block ends well.

    On an exception the file aside is removed and `path` stays as it was.
    """
    aside = path.with_name(aside_names(path.name)[0])
    encoding = None if "b" in mode else "utf-8"
    try:
        with open(aside, mode, encoding=encoding) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def path_aside(path: Path) -> Iterator[Path]:
    """Give a path beside `path`, of the same ending, that becomes it as `open_aside`'s.

    For writers that open files themselves and look at the ending.
    """
    aside = path.with_name(aside_names(path.name)[1])
    try:
        yield aside
        sync_file(aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_file(path: Path) -> int:
    """Make a file's bytes survive a power cut; return how many they are."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` whole or not at all."""
    with open_aside(path) as file:
        file.write(data)


def write_json(path: Path, value: Any, *, sort_keys: bool = True) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    text = json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False)
    write_bytes(path, text.encode() + b"\n")


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    """Append `value` as one JSON line with one write; keys keep their order.

    A number that isn't finite, for which JSON has no word, is written as null.
    """
    finite = {
        name: None if isinstance(item, float) and not math.isfinite(item) else item
        for name, item in value.items()
    }
    line = json.dumps(finite, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with open(path, "ab", buffering=0) as file:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSON-lines file, [] if it is absent.

    A last line without its newline was cut off while written and is dropped.
    """
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.split(b"\n") if line]


def read_last_json_line(path: Path) -> dict[str, Any] | None:
    """Return the last whole line of a JSON-lines file, None without one.

    Only the file's end is read, however long it is; lines are of at most 64 kB.
    """
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
            whole, _, _ = file.read().rpartition(b"\n")
    except FileNotFoundError:
        return None
    last = whole.rpartition(b"\n")[2]
    return dict(json.loads(last)) if last else None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def free_bytes(path: Path) -> int:
    """Return the bytes free on the file system of `path` or its nearest parent."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def check_free_space(path: Path, num_bytes: int) -> None:
    """Refuse to start writing `num_bytes` below `path` where they don't fit.

    Raises:
        OSError: with the two sizes and the mend.
    """
    free = free_bytes(path)
    if free < num_bytes:
        raise OSError(
            f"free disk space at {path} must be at least {num_bytes / 1e6:,.0f} MB, "
            f"got {free / 1e6:,.0f} MB; free some or choose another folder"
        )


class FolderLock:
    """One writer a folder, across processes; the kernel frees it when a process dies.

    Raises:
        BlockingIOError: on entry, when another process holds the lock.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / ".lock"
        self._file: IO[Any] | None = None

    def __enter__(self) -> "FolderLock":
        file = open(self.path, "a")
        # A reader that asks `is_held` holds the lock for a moment, too.
        for attempt in range(LOCK_ATTEMPTS):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.02 * (attempt + 1))
            else:
                self._file = file
                return self
        file.close()
        raise BlockingIOError(
            f"{self.path.parent} must have one writer, got a second; "
            "wait for the other process or stop it"
        )

    def __exit__(self, *exception: object) -> None:
        if self._file is not None:
            self._file.close()

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Tell whether a live process is writing `folder`."""
        path = folder / ".lock"
        if not path.exists():
            return False
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False
