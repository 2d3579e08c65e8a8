"""What is done for a whole batch in C: check its records, scale its pixels."""

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.base.compiled import find_function
from tfpipe.data.pictures.resampling import Pixels


def find_samples(
    addresses: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Check framed records in memory, and find what training needs of them.

    Args:
        addresses, sizes: of each record with its frame, int64 [n]; the memory must be
            held by the caller.

    Returns:
        int64 [n, 4]: the encoded picture's offset in the record, its length, label and
        source id. All -1 where `records.read_sample` has to look: at a damaged record,
        at one that another program wrote in another form, and at all of them where no
        C compiler was there when tfpipe was installed, or the processor has no
        instruction for CRC32C.
    """
    found = np.full((len(sizes), 4), -1, np.int64)
    function = _samples_function()
    if function and len(sizes):
        addresses = np.ascontiguousarray(addresses, np.int64)
        sizes = np.ascontiguousarray(sizes, np.int64)
        function(
            len(sizes), addresses.ctypes.data, sizes.ctypes.data, found.ctypes.data
        )
    return found


def scale(pixels: Pixels, scaled: NDArray[np.float32]) -> None:
    """Write pixels / 255 into `scaled`, float32 of the same shape; both back to back.

    NumPy gives the same values and takes half as long again, for its casts.
    """
    function = _scale_function()
    if function:
        function(pixels.size, pixels.ctypes.data, scaled.ctypes.data)
    else:
        np.divide(pixels, np.float32(255), out=scaled, dtype=np.float32)


@functools.cache
def _samples_function() -> Any:
    return _function("tfpipe_samples_1", num_addresses=3)


@functools.cache
def _scale_function() -> Any:
    return _function("tfpipe_scale_1", num_addresses=2)


def _function(name: str, num_addresses: int) -> Any:
    function = find_function(Path(__file__).parent, "_batches", name)
    if function:
        function.argtypes = [ctypes.c_int64, *[ctypes.c_void_p] * num_addresses]
        function.restype = None
    return function
