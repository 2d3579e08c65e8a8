"""Resize pictures exactly: the mean over the area, or between the nearest pixels.

Weights are whole numbers, sums of them are exact, and there is one rounding at the end,
halves up. So the result is the same on every machine, from the compiled function and
from NumPy, which takes its place where no C compiler was there when tfpipe was
installed.
"""

import ctypes
import dataclasses
import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfpipe.base.compiled import find_function

Pixels = NDArray[np.uint8]
METHODS = ("area", "fast")
# Of the source and of the result: far below what the sums in C could hold.
MOST_SOURCE_SIDE, MOST_SIDE = 65_535, 32_767
SLOW = (
    "pictures are resized in NumPy, many times slower than in C: install a C compiler, "
    "then tfpipe again (the pixels will be the same)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taps:
    """How one axis of the result is made of that of the source.

    Attributes:
        starts: the first source pixel of each, int32 [size].
        counts: how many, int32 [size].
        weights: of these, whole numbers, int32 [size, most], 0 behind `counts`.
        total: the sum of each one's weights.
    """

    starts: NDArray[np.int32]
    counts: NDArray[np.int32]
    weights: NDArray[np.int32]
    total: int


@functools.lru_cache(maxsize=512)
def area_taps(length: int, size: int) -> Taps:
    """Return the taps of the mean over the area that each result pixel covers.

    Pixel t covers the source from t x length / size to (t + 1) x length / size; a
    source pixel counts by the part of it that lies there. In units of 1 / size pixels
    all of these are whole numbers.
    """
    common = math.gcd(length, size)
    covered, unit = length // common, size // common
    targets = np.arange(size, dtype=np.int64)
    begin, end = targets * covered, (targets + 1) * covered
    starts = begin // unit
    counts = -(-end // unit) - starts
    pixels = starts[:, None] + np.arange(counts.max())
    weights = np.minimum(end[:, None], (pixels + 1) * unit) - np.maximum(
        begin[:, None], pixels * unit
    )
    return _taps(starts, counts, weights.clip(0), covered)


@functools.lru_cache(maxsize=512)
def linear_taps(length: int, size: int) -> Taps:
    """Return the taps of linear interpolation between the two nearest pixel centres.

    Nothing is averaged where many source pixels fall on one: it is fast and aliased, as
    TensorFlow's bilinear resize is without antialias.
    """
    unit = 2 * size
    centre = (2 * np.arange(size, dtype=np.int64) + 1) * length - size
    starts = (centre // unit).clip(0, length - 1)
    second = (centre - starts * unit).clip(0, unit)
    second[starts == length - 1] = 0
    counts = np.where(second > 0, 2, 1)
    weights = np.stack([unit - second, second], axis=1)[:, : counts.max()]
    return _taps(starts, counts, weights, unit)


def _taps(starts: Any, counts: Any, weights: Any, total: int) -> Taps:
    return Taps(
        starts=np.ascontiguousarray(starts, np.int32),
        counts=np.ascontiguousarray(counts, np.int32),
        weights=np.ascontiguousarray(weights, np.int32),
        total=total,
    )


def resample(
    pixels: Pixels,
    size: int | Sequence[int],
    method: str = "area",
    out: Pixels | None = None,
) -> Pixels:
    """Return a picture in another size.

    Args:
        pixels: uint8 [height, width] or [height, width, channels]; rows may lie apart,
            as in a part cut out of a picture.
        size: (height, width) of the result, or the side of a square.
        method: "area", the mean over the area that a pixel covers, or "fast", linear
            between the nearest pixels.
        out: where to write the result, back to back; None for a new array.

    Raises:
        ValueError: for another method, or too long a side.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    height, width = (size, size) if isinstance(size, int) else size
    if max(pixels.shape[:2]) > MOST_SOURCE_SIDE or max(height, width) > MOST_SIDE:
        raise ValueError(
            f"sides must be at most {MOST_SOURCE_SIDE:,} pixels, {MOST_SIDE:,} "
            f"resized, got {pixels.shape[1]:,} x {pixels.shape[0]:,} to {width:,} x "
            f"{height:,}; take a smaller picture"
        )
    taps = area_taps if method == "area" else linear_taps
    rows, columns = taps(pixels.shape[0], height), taps(pixels.shape[1], width)
    if out is None:
        out = np.empty((height, width, *pixels.shape[2:]), np.uint8)
    run = _run_compiled if _compiled() else _run_numpy
    run(pixels, rows, columns, out)
    return out


def is_compiled() -> bool:
    """Tell whether the compiled function is there."""
    return _compiled() is not None


@functools.cache
def _compiled() -> Any:
    function = find_function(Path(__file__).parent, "_resample", "tfpipe_resample_3")
    if function:
        integer, size, real = ctypes.c_int, ctypes.c_ssize_t, ctypes.c_double
        address = ctypes.c_void_p
        function.argtypes = [
            *(address, integer, integer, integer),
            *(address, size, integer),
            *(address, address, address, integer),
            *(address, address, integer, real),
        ]
    return function


def _run_compiled(pixels: Pixels, rows: Taps, columns: Taps, out: Pixels) -> None:
    channels = math.prod(pixels.shape[2:])
    if pixels[0].flags.c_contiguous and pixels.strides[0] >= 0:
        source = pixels
    else:
        source = np.ascontiguousarray(pixels)
    has_failed = _compiled()(
        out.ctypes.data,
        out.shape[0],
        out.shape[1],
        channels,
        source.ctypes.data,
        source.strides[0],
        source.shape[1],
        rows.starts.ctypes.data,
        rows.counts.ctypes.data,
        rows.weights.ctypes.data,
        rows.weights.shape[1],
        columns.starts.ctypes.data,
        columns.weights.ctypes.data,
        columns.weights.shape[1],
        float(rows.total * columns.total),
    )
    if has_failed:
        raise MemoryError("no memory to resize a picture")


def _run_numpy(pixels: Pixels, rows: Taps, columns: Taps, out: Pixels) -> None:
    height, width = out.shape[:2]
    channels = math.prod(pixels.shape[2:])
    source = pixels.reshape(pixels.shape[0], -1)
    sums = np.zeros((height, source.shape[1]), np.int32)
    for k in range(rows.weights.shape[1]):
        row = np.minimum(rows.starts + k, len(source) - 1)
        sums += rows.weights[:, k, None] * source[row]
    by_column = sums.reshape(height, -1, channels)
    whole = np.zeros((height, width, channels), np.int64)
    for k in range(columns.weights.shape[1]):
        column = np.minimum(columns.starts + k, by_column.shape[1] - 1)
        whole += columns.weights[:, k, None].astype(np.int64) * by_column[:, column]
    # As in C, whose comment says why this is the exact quotient, halves rounded up.
    weight = float(rows.total * columns.total)
    values = (whole + weight / 2) * (1.0 / weight) + 2.0**-40
    out[...] = values.astype(np.uint8).reshape(out.shape)
