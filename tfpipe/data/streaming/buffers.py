"""Memory that is used again: of batches, and of what is done to make one.

A new array of megabytes costs as much time as decoding a tenth of the pictures in it:
the system clears its pages one by one. TensorFlow takes an array as it is, without a
copy, if it begins at a multiple of 64 bytes, and lets go of it with the tensor.
"""

import contextlib
import math
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64


class Buffers:
    """Arrays out of memory that is used again once nobody holds them any more.

    Args:
        most_kept: how many arrays' memory is kept at most.
    """

    def __init__(self, most_kept: int) -> None:
        self._most_kept = most_kept
        self._kept: list[NDArray[np.uint8]] = []
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array of any contents; its memory is its own while it is held."""
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            memory = self._find(num_bytes)
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + num_bytes].view(dtype).reshape(shape)

    def _find(self, num_bytes: int) -> NDArray[np.uint8]:
        for index in range(len(self._kept)):
            # Held by the list and by this call alone: every array made of it is gone.
            is_free = sys.getrefcount(self._kept[index]) == 2
            if is_free and len(self._kept[index]) == num_bytes + ALIGNMENT:
                return self._kept[index]
        memory = np.empty(num_bytes + ALIGNMENT, np.uint8)
        if len(self._kept) == self._most_kept:
            self._kept.pop(0)
        self._kept.append(memory)
        return memory


class Scratch:
    """Memory for one thing after another."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return an array of that shape; it takes the place of the one before."""
        num_bytes = math.prod(shape)
        if len(self._memory) < num_bytes:
            self._memory = np.empty(num_bytes * 5 // 4, np.uint8)
        return self._memory[:num_bytes].reshape(shape)


class ScratchPool:
    """Scratches that are lent for a call; as many as there are calls at once.

    What a thread keeps for itself would be gone: each of TensorFlow's calls of a Python
    function is a new thread to Python.
    """

    def __init__(self) -> None:
        self._free: list[Scratch] = []

    @contextlib.contextmanager
    def lend(self) -> Iterator[Scratch]:
        """Lend one that nobody else has."""
        try:
            scratch = self._free.pop()
        except IndexError:
            scratch = Scratch()
        try:
            yield scratch
        finally:
            self._free.append(scratch)
