"""Check many records and find their pictures, labels and ids, in C."""

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.base.compiled import find_function


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
        C compiler was there when tfpipe was installed.
    """
    found = np.full((len(sizes), 4), -1, np.int64)
    function = _compiled()
    if function and len(sizes):
        addresses = np.ascontiguousarray(addresses, np.int64)
        sizes = np.ascontiguousarray(sizes, np.int64)
        function(
            len(sizes), addresses.ctypes.data, sizes.ctypes.data, found.ctypes.data
        )
    return found


@functools.cache
def _compiled() -> Any:
    function = find_function(Path(__file__).parent, "_samples", "tfpipe_samples_1")
    if function:
        address = ctypes.c_void_p
        function.argtypes = [ctypes.c_int64, address, address, address]
        function.restype = None
    return function
