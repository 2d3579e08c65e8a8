import json
import subprocess
import sys

import numpy as np
import pytest

from tfpipe.data.streaming.augment import CROP_AREA, CROP_ASPECT, Augmentation
from tfpipe.data.streaming.choices import AUGMENTATIONS

IDS = np.arange(500)


def photo(height, width):
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows, columns, rows + columns], axis=-1).clip(0, 255).astype("u1")


def changed(kinds, source_id=3, epoch=0, seed=0, pixels=None):
    augmentation = Augmentation(kinds=kinds, seed=seed)
    [draw] = augmentation.draws(np.array([source_id]), epoch)
    return augmentation.change(photo(40, 40) if pixels is None else pixels, draw)


def test_draws_are_even_and_all_different():
    draws = Augmentation(kinds=("flip",), seed=1).draws(IDS, 0)
    assert draws.shape == (500, 16)
    assert 0 <= draws.min() < 0.001
    assert 0.999 < draws.max() < 1
    assert len(np.unique(draws)) == draws.size
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 0.05


def test_draws_are_those_of_the_seed_the_epoch_and_the_picture():
    one = Augmentation(kinds=("flip",), seed=1)
    other = Augmentation(kinds=("flip",), seed=2)
    draws = one.draws(IDS, 4)
    np.testing.assert_array_equal(one.draws(IDS[[7, 3]], 4), draws[[7, 3]])
    for different in (one.draws(IDS, 5), other.draws(IDS, 4)):
        assert not (different == draws).any()


def test_draws_are_the_same_in_another_process():
    code = (
        "import json, numpy as np\n"
        "from tfpipe.data.streaming.augment import Augmentation\n"
        "a = Augmentation(kinds=('crop', 'flip', 'rotate', 'color'), seed=1)\n"
        "draws = a.draws(np.arange(3), 2)\n"
        "p = np.arange(48 * 48 * 3).reshape(48, 48, 3).astype('u1')\n"
        "changed = [a.change(a.crop(p, d), d).tolist() for d in draws]\n"
        "print(json.dumps([draws.tolist(), changed]))\n"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert found[0] == found[1]
    here = Augmentation(kinds=("crop", "flip", "rotate", "color"), seed=1)
    draws = here.draws(np.arange(3), 2)
    pixels = np.arange(48 * 48 * 3).reshape(48, 48, 3).astype("u1")
    theirs = json.loads(found[0])
    np.testing.assert_array_equal(draws, theirs[0])
    for draw, changed_there in zip(draws, theirs[1], strict=True):
        changed_here = here.change(here.crop(pixels, draw), draw)
        np.testing.assert_array_equal(changed_here, changed_there)


def test_half_of_the_pictures_are_flipped():
    pixels = photo(40, 40)
    flipped = 0
    for source_id in range(200):
        got = changed(("flip",), source_id)
        is_flipped = (got == pixels[:, ::-1]).all()
        assert is_flipped or (got == pixels).all()
        flipped += is_flipped
    assert 75 < flipped < 125


def test_crops_are_parts_of_the_sizes_that_are_said():
    augmentation = Augmentation(kinds=("crop",), seed=0)
    pixels = photo(120, 200)
    areas, aspects, corners = [], [], set()
    for draw in augmentation.draws(IDS, 0):
        part = augmentation.crop(pixels, draw)
        top, left = int(part[0, 0, 0]), int(part[0, 0, 1])
        height, width = part.shape[:2]
        np.testing.assert_array_equal(
            part, pixels[top : top + height, left : left + width]
        )
        areas.append(height * width / (120 * 200))
        aspects.append((width / 200) / (height / 120))
        corners.add((top, left))
    assert CROP_AREA[0] - 0.02 < min(areas) < 0.3
    assert 0.8 < max(areas) <= 1
    assert CROP_ASPECT[0] - 0.05 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < CROP_ASPECT[1] + 0.05
    assert len(corners) > 300


def test_a_crop_of_a_tiny_picture_has_a_pixel_at_least():
    augmentation = Augmentation(kinds=("crop",), seed=0)
    for draw in augmentation.draws(IDS[:50], 0):
        assert augmentation.crop(photo(1, 1), draw).shape == (1, 1, 3)


def test_turned_pictures_have_no_empty_corner_and_keep_their_middle():
    bright = np.full((64, 64, 3), 200, np.uint8)
    gradient = photo(64, 64)
    for source_id in range(40):
        turned = changed(("rotate",), source_id, pixels=bright)
        assert (turned == 200).all()
        got = changed(("rotate",), source_id, pixels=gradient)
        assert not (got == gradient).all()
        np.testing.assert_allclose(got[31:33, 31:33].mean((0, 1)), (32, 32, 63), atol=2)


def test_colors_change_within_their_range():
    gray = np.full((8, 8, 3), 100, np.uint8)
    values = {int(changed(("color",), i, pixels=gray)[0, 0, 0]) for i in range(200)}
    # Contrast and saturation leave an even gray as it is; brightness scales it.
    assert 80 <= min(values) < 84
    assert 116 < max(values) <= 120
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 150
    reds = [changed(("color",), i, pixels=red)[0, 0] for i in range(50)]
    assert len({tuple(pixel) for pixel in reds}) > 40
    assert all(pixel[0] > pixel[1] for pixel in reds)


def test_no_kind_changes_nothing():
    pixels = photo(40, 40)
    augmentation = Augmentation(kinds=(), seed=0)
    [draw] = augmentation.draws(np.array([1]), 0)
    assert augmentation.crop(pixels, draw) is pixels
    assert augmentation.change(pixels, draw) is pixels


def test_every_kind_acts_and_an_unknown_one_is_named():
    pixels = photo(40, 40)
    for kind in AUGMENTATIONS:
        augmentation = Augmentation(kinds=(kind,), seed=0)
        results = set()
        for draw in augmentation.draws(IDS[:8], 0):
            part = augmentation.crop(pixels, draw)
            results.add(augmentation.change(part, draw).tobytes())
        assert len(results) > 1
    with pytest.raises(ValueError, match="augment must be one of crop, flip, rotate"):
        Augmentation(kinds=("zoom",), seed=0)
