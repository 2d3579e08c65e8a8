"""Decoded pictures in memory, shared by all runs of one machine that ask for the same.

A table lies in a file of the system's shared memory, named after what is in it. Who
decodes a picture first puts it there; all others find it. The last one to close the
table removes it.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import mmap
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from tfpipe.base import machine
from tfpipe.data.order import Ids
from tfpipe.data.pictures.resampling import Pixels
from tfpipe.data.streaming.choices import CACHES, check_choice

SHARED_DIR = Path("/dev/shm")
# Of the memory that is usable when a run begins.
MEMORY_SHARE = 0.5


class PictureCache:
    """Places for `num_pictures` squares of uint8 [image_size, image_size, 3].

    Args:
        facts: what decides the pixels; tables of equal facts are one.
        num_pictures: one place each, by number.
        image_size: side in pixels.
    """

    def __init__(
        self, facts: dict[str, Any], num_pictures: int, image_size: int
    ) -> None:
        shape = (num_pictures, image_size, image_size, 3)
        self._num_head_bytes = 4 * num_pictures
        num_bytes = self._num_head_bytes + math.prod(shape)
        text = json.dumps([facts, shape], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        self.path = SHARED_DIR / f"{_prefix()}{digest[:32]}"
        self._table = _open_table(self.path, num_bytes, self._num_head_bytes)
        number = self._table.fileno() if self._table else -1
        # Pages are taken as they are first written.
        memory = mmap.mmap(number, num_bytes)
        # Label + 1 of the pictures that are there, 0 of the others.
        self._marks = np.frombuffer(memory, np.int32, num_pictures)
        whole = np.frombuffer(memory, np.uint8, offset=self._num_head_bytes)
        self._pictures = whole.reshape(shape)
        self._is_full = False
        # Besides its purpose a barrier: marks must not be seen before their pictures.
        self._lock = threading.Lock()

    @property
    def is_shared(self) -> bool:
        """Whether other processes can see the table."""
        return self._table is not None

    def get(self, numbers: Ids, pictures: Pixels, labels: Ids) -> Ids:
        """Copy the pictures that are there, and their labels, into place.

        Returns:
            the positions in `numbers` of those that aren't, int64.
        """
        with self._lock:
            marks = self._marks[numbers]
        labels[:] = marks - 1
        missing = np.flatnonzero(marks == 0)
        if not len(missing):
            np.take(self._pictures, numbers, axis=0, out=pictures)
        else:
            for position in np.flatnonzero(marks):
                pictures[position] = self._pictures[numbers[position]]
        return missing

    def put(self, numbers: Ids, pictures: Pixels, labels: Ids) -> None:
        """Keep pictures; one that two processes put at once is the same twice."""
        if self._is_full:
            return
        size = self._pictures[0].nbytes
        for number, picture in zip(numbers, pictures, strict=True):
            if self._table:
                start = self._num_head_bytes + int(number) * size
                try:
                    # Without it shared memory that is full would kill the process.
                    os.posix_fallocate(self._table.fileno(), start, size)
                except OSError:
                    self._is_full = True
                    return
            self._pictures[number] = picture
        with self._lock:
            self._marks[numbers] = labels + 1

    def close(self) -> None:
        """Let go of the table, and remove it where nobody else holds it."""
        if self._table and not self._table.closed:
            _remove_unheld(self.path, self._table)
            self._table.close()

    def __del__(self) -> None:
        if hasattr(self, "_table"):
            self.close()


def _open_table(path: Path, num_bytes: int, num_head_bytes: int) -> Any:
    """Open a shared table, held so that nobody removes it; None if there's no room."""
    if not SHARED_DIR.is_dir() or not hasattr(os, "posix_fallocate"):
        return None
    for other in SHARED_DIR.glob(f"{_prefix()}*"):
        with contextlib.suppress(OSError), open(other, "rb") as left:
            _remove_unheld(other, left)  # of processes that were killed
    while True:
        if not path.exists() and _free_bytes() < num_bytes:
            return None
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o600), "r+b")
        fcntl.flock(file, fcntl.LOCK_SH)
        # Whoever closed it last may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(num_bytes)
                os.posix_fallocate(file.fileno(), 0, num_head_bytes)
                return file
        file.close()


def _prefix() -> str:
    return f"tfpipe-{os.getuid()}-"


def _free_bytes() -> int:
    space = os.statvfs(SHARED_DIR)
    return space.f_bavail * space.f_frsize


def _remove_unheld(path: Path, file: Any) -> None:
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def should_cache(asked: str, num_pictures: int, image_size: int, why_not: str) -> bool:
    """Tell whether to keep decoded pictures in memory.

    Args:
        asked: "auto", "memory" or "none".
        num_pictures, image_size: what the table would hold.
        why_not: why it can't help here, "" where it can.

    Raises:
        ValueError: if it was asked for and can't be, for memory or `why_not`.
    """
    check_choice("cache", asked, CACHES)
    needed = num_pictures * image_size**2 * 3
    limit = MEMORY_SHARE * machine.usable_memory_bytes()
    if not why_not and needed > limit:
        why_not = (
            f"{num_pictures:,} pictures of {image_size} pixels take {needed / 1e9:.1f} "
            f"GB, more than half of the memory ({limit / 1e9:.1f} GB)"
        )
    if asked == "memory" and why_not:
        raise ValueError(
            f"cache must be auto or none here, got memory: {why_not}; records made "
            "with --encoding=raw need no decoding and no memory"
        )
    return asked != "none" and not why_not
