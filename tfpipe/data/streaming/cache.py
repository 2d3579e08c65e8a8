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
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.base import machine
from tfpipe.data.order import Ids
from tfpipe.data.pictures.resampling import Pixels
from tfpipe.data.streaming.choices import CACHES, check_choice

SHARED_DIR = Path("/dev/shm")
# Of the memory that is usable when a run begins. What wasn't asked for leaves room for
# a laptop's other programs, and keeps a run at 224 pixels below 3 GB on 24.
MEMORY_SHARES = {"memory": 0.5, "auto": 0.125}
SHARE_WORDS = {"memory": "half", "auto": "an eighth"}
TABLE_VERSION = 1  # of the layout, and of how tfpipe itself makes pixels


class PictureCache:
    """Places for squares of uint8 [image_size, image_size, 3], by source id.

    Args:
        path: of `table_path`, for these pictures and this size.
        source_ids: of the pictures that have a place, in any order.
        image_size: side in pixels.

    Raises:
        OSError: if the system gives no memory.
    """

    def __init__(self, path: Path, source_ids: Ids, image_size: int) -> None:
        self._ids = np.unique(source_ids)
        count = len(self._ids)
        shape = (count, image_size, image_size, 3)
        self._num_head_bytes = 16 * count
        num_bytes = self._num_head_bytes + math.prod(shape)
        self.path = path
        self._table = _open_table(path, num_bytes, self._num_head_bytes)
        number = self._table.fileno() if self._table else -1
        # Pages are taken as they are first written.
        flags = mmap.MAP_SHARED if self._table else mmap.MAP_PRIVATE
        memory = mmap.mmap(number, num_bytes, flags)
        # Label + 1 and source id of the pictures that are there, 0 of the others.
        head = np.frombuffer(memory, np.int64, 2 * count).reshape(2, count)
        self._marks, self._found = head
        whole = np.frombuffer(memory, np.uint8, offset=self._num_head_bytes)
        self._pictures = whole.reshape(shape)
        self._is_full = False
        # Besides its purpose a barrier: marks must not be seen before their pictures.
        self._lock = threading.Lock()
        self._close_at_exit = weakref.finalize(
            self, _close, self._table, path, os.getpid()
        )

    @property
    def is_shared(self) -> bool:
        """Whether other processes can see the table."""
        return self._table is not None

    def get(
        self, source_ids: Ids, pictures: Pixels, labels: Ids, found: Ids
    ) -> NDArray[np.intp]:
        """Copy the pictures that are there, their labels and source ids into place.

        Returns:
            the positions in `source_ids` of those that aren't.
        """
        places = self._places(source_ids)
        with self._lock:
            marks = self._marks[places]
        labels[:] = marks - 1
        found[:] = self._found[places]
        missing = np.flatnonzero(marks == 0)
        if not len(missing):
            # "clip": to check the places first, "raise" would copy it all once more.
            np.take(self._pictures, places, axis=0, out=pictures, mode="clip")
        else:
            for position in np.flatnonzero(marks):
                pictures[position] = self._pictures[places[position]]
        return missing

    def put(self, source_ids: Ids, pictures: Pixels, labels: Ids) -> None:
        """Keep pictures; one that two processes put at once is the same twice."""
        if self._is_full:
            return
        places = self._places(source_ids)
        size = self._pictures[0].nbytes
        for place, picture in zip(places, pictures, strict=True):
            if self._table:
                start = self._num_head_bytes + int(place) * size
                try:
                    # Without it shared memory that is full would kill the process.
                    os.posix_fallocate(self._table.fileno(), start, size)
                except OSError:
                    self._is_full = True
                    return
            self._pictures[place] = picture
        self._found[places] = source_ids
        with self._lock:
            self._marks[places] = labels + 1

    def _places(self, source_ids: Ids) -> NDArray[np.intp]:
        return np.searchsorted(self._ids, source_ids)

    def close(self) -> None:
        """Let go of the table, and remove it where nobody else holds it."""
        self._close_at_exit()


def table_path(facts: dict[str, Any], source_ids: Ids, image_size: int) -> Path:
    """Return where a table is shared; one of equal facts, pictures and size is one.

    Args:
        facts: what decides the pixels.
        source_ids: of the pictures, in any order.
        image_size: side in pixels.
    """
    ids = hashlib.sha256(np.unique(source_ids).astype("<i8").tobytes()).hexdigest()
    text = json.dumps([TABLE_VERSION, facts, ids, image_size], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return SHARED_DIR / f"{_prefix()}{digest[:32]}"


def _close(table: Any, path: Path, owner: int) -> None:
    """Close a table; a forked child leaves its removal to the process that made it."""
    if table and not table.closed:
        if os.getpid() == owner:
            _remove_unheld(path, table)
        table.close()


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
        try:
            file = os.fdopen(os.open(path, flags, 0o600), "r+b")
        except OSError:
            return None  # somebody else's, or a folder that can't be written
        fcntl.flock(file, fcntl.LOCK_SH)
        status = os.fstat(file.fileno())
        if status.st_uid != os.getuid():
            file.close()
            return None
        # Whoever closed it last may have removed it meanwhile.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(status, path.stat()):
                try:
                    file.truncate(num_bytes)
                    os.posix_fallocate(file.fileno(), 0, num_head_bytes)
                except OSError:
                    _remove_unheld(path, file)
                    file.close()
                    return None
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
        # Never another's, of the same name, made since.
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            path.unlink()


def should_cache(
    asked: str, num_pictures: int, image_size: int, why_not: str, path: Path
) -> bool:
    """Tell whether to keep decoded pictures in memory.

    Args:
        asked: "auto", "memory" or "none".
        num_pictures, image_size: what the table would hold.
        why_not: why it can't help here, "" where it can.
        path: where it would be shared; what another run has put there costs nothing.

    Raises:
        ValueError: if it was asked for and can't be, for memory or `why_not`.
    """
    check_choice("cache", asked, CACHES)
    needed = num_pictures * image_size**2 * 3
    there = path.stat().st_blocks * 512 if path.exists() else 0
    if asked == "none":
        return False
    limit = MEMORY_SHARES[asked] * (machine.usable_memory_bytes() + there)
    if not why_not and needed > limit:
        why_not = (
            f"{num_pictures:,} pictures of {image_size} pixels take {needed / 1e9:.1f} "
            f"GB, more than {SHARE_WORDS[asked]} of the memory ({limit / 1e9:.1f} GB)"
        )
    if asked == "memory" and why_not:
        raise ValueError(
            f"cache must be auto or none here, got memory: {why_not}; records made "
            "with --encoding=raw need no decoding and no memory"
        )
    return not why_not
