import functools
import io

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.demo import drawings

NUM_IMAGES = 2000


def test_a_picture_is_a_function_of_its_arguments():
    def draw(class_name="cat", index=7, seed=3, image_size=64):
        return drawings.draw_jpeg(class_name, index, seed=seed, image_size=image_size)

    first = draw()
    assert draw() == first
    others = [draw(class_name="dog"), draw(index=8), draw(seed=4), draw(image_size=48)]
    assert first not in others


@pytest.mark.parametrize("image_size", [16, 64, 160])
def test_shorter_side_is_image_size(image_size):
    for index in range(6):
        image = drawings.draw_image("dog", index, seed=0, image_size=image_size)
        assert min(image.size) == image_size
        assert max(image.size) <= 1.25 * image_size
        assert image.mode == "RGB"


def test_jpegs_are_small_and_not_subsampled():
    for index in range(20):
        data = drawings.draw_jpeg("cat", index, seed=0, image_size=64)
        assert 1500 < len(data) < 5000
        with Image.open(io.BytesIO(data)) as image:
            # Component id, horizontal and vertical factor, quantization table.
            factors = [layer[1:3] for layer in image.layer]
        assert factors == [(1, 1)] * 3


def test_unknown_class_is_refused():
    with pytest.raises(ValueError, match="class_name must be one of cat, dog, got"):
        drawings.draw_image("cow", 0, seed=0, image_size=64)


@functools.cache
def _pictures():
    """Return float64 [2000, 32 * 32, 3] in [0, 1]; cats at even places, dogs at odd."""
    arrays = []
    for index in range(NUM_IMAGES):
        class_name = drawings.CLASS_NAMES[index % 2]
        image = drawings.draw_image(class_name, index // 2, seed=0, image_size=32)
        # Squares, so that all pictures fit one array.
        arrays.append(np.asarray(image.resize((32, 32), Image.Resampling.BOX)))
    return np.stack(arrays).reshape(NUM_IMAGES, -1, 3) / 255


def _linear_accuracy(features):
    """Fit classes by least squares on one half, return the accuracy on the other."""
    targets = np.where(np.arange(NUM_IMAGES) % 2, 1.0, -1.0)
    features = np.column_stack([features, np.ones(NUM_IMAGES)])
    half = NUM_IMAGES // 2
    weights, *_ = np.linalg.lstsq(features[:half], targets[:half], rcond=None)
    return np.mean(features[half:] @ weights * targets[half:] > 0)


def test_colour_does_not_give_the_classes_away():
    means, deviations = _pictures().mean(axis=1), _pictures().std(axis=1)
    assert _linear_accuracy(means) < 0.6
    assert _linear_accuracy(np.column_stack([means, deviations])) < 0.6


def test_shape_tells_the_classes_apart():
    # Even a linear look at the layout of light and dark does better than colour.
    layout = _pictures().mean(axis=2).reshape(NUM_IMAGES, 8, 4, 8, 4).mean(axis=(2, 4))
    assert _linear_accuracy(layout.reshape(NUM_IMAGES, -1)) > 0.65
