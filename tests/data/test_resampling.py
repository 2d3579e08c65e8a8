import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpipe.data.pictures import resampling
from tfpipe.data.pictures.resampling import area_taps, linear_taps, resample

SIDES = st.integers(1, 70)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def area_weights(length, size):
    """Each row: how much of every source pixel lies in a target pixel; float64."""
    edges = np.arange(size + 1) * length / size
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(
        edges[:-1, None], pixels
    )
    return covered.clip(0) * size / length


def linear_weights(length, size):
    """Each row: the weights of the two pixels whose centres are nearest; float64."""
    centres = ((np.arange(size) + 0.5) * length / size - 0.5).clip(0, length - 1)
    return (1 - np.abs(centres[:, None] - np.arange(length))).clip(0)


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(resampling.METHODS))
def test_every_value_is_the_exact_one_rounded(height, width, rows, columns, method):
    pixels = noise(height, width, 3)
    weights = area_weights if method == "area" else linear_weights
    exact = np.einsum(
        "yh,hwc,xw->yxc", weights(height, rows), pixels, weights(width, columns)
    )
    got = resample(pixels, (rows, columns), method)
    assert np.abs(got - exact).max() <= 0.5 + 1e-9


@pytest.mark.skipif(
    not resampling.is_compiled(), reason="no C compiler made the library"
)
@settings(deadline=None, max_examples=100)
@given(
    SIDES,
    SIDES,
    SIDES,
    SIDES,
    st.sampled_from([(), (1,), (3,), (4,)]),
    st.sampled_from(resampling.METHODS),
)
def test_numpy_and_the_compiled_function_agree_bit_for_bit(
    height, width, rows, columns, channels, method
):
    pixels = noise(height + 3, width + 5, *channels)[1 : height + 1, 2 : width + 2]
    taps = area_taps if method == "area" else linear_taps
    by_numpy = np.empty((rows, columns, *channels), np.uint8)
    resampling._run_numpy(pixels, taps(height, rows), taps(width, columns), by_numpy)
    np.testing.assert_array_equal(
        resample(pixels, (rows, columns), method), by_numpy, strict=True
    )


@pytest.mark.parametrize(
    ("shape", "size"),
    [((2000, 3), 1), ((3, 2000), 7), ((1499, 1201), 2), ((3001, 2999), 4)],
)
def test_large_pictures_of_one_value_keep_it(shape, size):
    for value in (0, 1, 254, 255):
        pixels = np.full((*shape, 3), value, np.uint8)
        for method in resampling.METHODS:
            assert (resample(pixels, size, method) == value).all()


def test_halves_are_rounded_up():
    pixels = np.array([[0, 1], [2, 3], [254, 255]], np.uint8)
    assert resample(pixels, (3, 1)).ravel().tolist() == [1, 3, 255]
    # Whatever the divisor: its reciprocal is rounded, the quotient must not show it.
    for count in range(1, 400):
        rows = np.tile(np.array([[254], [255]], np.uint8), (count, 1))
        assert resample(rows, 1).tolist() == [[255]], count
        assert resample(rows[:-1], 1).tolist() == [[254]], count


def test_a_picture_in_its_own_size_stays():
    pixels = noise(13, 17, 3)
    for method in resampling.METHODS:
        np.testing.assert_array_equal(resample(pixels, (13, 17), method), pixels)


def test_rows_that_lie_apart_or_backwards():
    pixels = noise(40, 30, 3)
    for part in (pixels[3:20, 4:19], pixels[::-1], pixels[:, ::-1], pixels[::2, ::3]):
        np.testing.assert_array_equal(
            resample(part, 9), resample(np.ascontiguousarray(part), 9)
        )


def test_both_methods_are_tensorflows_up_to_rounding():
    pixels = noise(91, 73, 3)
    methods = {"area": {"method": "area"}, "fast": {"method": "bilinear"}}
    for method, options in methods.items():
        theirs = tf.image.resize(pixels, (32, 24), **options).numpy()
        got = resample(pixels, (32, 24), method)
        assert np.abs(got - theirs).max() <= 0.5 + 1e-3


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="method must be one of area, fast, got 'box'"):
        resample(noise(4, 4, 3), 2, "box")
    with pytest.raises(
        ValueError, match=r"at most 65,535 pixels, .* got 65,536 x 1 to"
    ):
        resample(np.zeros((1, 65_536), np.uint8), 8)
    with pytest.raises(ValueError, match="32,767 resized, got 1 x 1 to 32,768 x 1"):
        resample(np.zeros((1, 1), np.uint8), (1, 32_768))


def test_the_longest_sides_are_exact():
    # Values that differ by one would show a sum that lost its last bit.
    row = (np.arange(65_535) % 2 + 254).astype(np.uint8)
    for pixels in (row[:, None], row[None]):
        got = resample(pixels, 1)
        assert got.tolist() == [[254]]  # 254.49999


def test_a_library_of_another_machine_is_passed_over(tmp_path):
    (tmp_path / "_resample.so").write_bytes(b"\x7fELF of another machine")
    code = (
        "from pathlib import Path\n"
        "from tfpipe.data.pictures import resampling\n"
        f"resampling.__file__ = {os.fspath(tmp_path / 'resampling.py')!r}\n"
        "import numpy as np\n"
        "assert not resampling.is_compiled()\n"
        "assert resampling.resample(np.full((4, 4), 9, np.uint8), 2).tolist() "
        "== [[9, 9], [9, 9]]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
