import io

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.pictures.resampling import resample
from tfpipe.data.streaming.choices import DECODERS, RESIZES
from tfpipe.data.streaming.decoding import Decoding


def photo(height, width):
    """A smooth picture with some edges, uint8 [height, width, 3]."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / (9 + c)) + np.cos(columns / (7 + c)) for c in range(3)]
    picture = 128 + 50 * np.stack(waves, axis=-1)
    picture[height // 3 : height // 2, width // 4 : width // 2] += 40
    return picture.clip(0, 255).astype(np.uint8)


def jpeg(pixels, **options):
    stream = io.BytesIO()
    options = {"quality": 95, "subsampling": 0, **options}
    Image.fromarray(pixels).save(stream, "JPEG", **options)
    return stream.getvalue()


def opened(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("is_progressive", [False, True])
def test_both_decoders_give_pillows_pixels(subsampling, is_progressive):
    encoded = jpeg(photo(41, 53), subsampling=subsampling, progressive=is_progressive)
    for decoder in DECODERS:
        got = Decoding(image_size=8, decoder=decoder).source_pixels(encoded)
        np.testing.assert_array_equal(got, opened(encoded))


def test_a_picture_of_the_asked_size_is_not_resized():
    encoded = jpeg(photo(40, 40))
    for resize in RESIZES:
        got = Decoding(image_size=40, resize=resize).decode(encoded)
        np.testing.assert_array_equal(got, opened(encoded))


def test_area_and_bilinear_are_what_they_say():
    encoded = jpeg(photo(90, 71))
    full = opened(encoded)
    area = Decoding(image_size=32).decode(encoded)
    np.testing.assert_array_equal(area, resample(full, 32))
    bilinear = Decoding(image_size=32, resize="bilinear").decode(encoded)
    pillows = Image.fromarray(full).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(bilinear, np.asarray(pillows))


@pytest.mark.parametrize(
    ("shape", "reduction"), [((63, 90), 1), ((64, 70), 2), ((140, 130), 4)]
)
def test_fast_decodes_large_pictures_smaller(shape, reduction):
    encoded = jpeg(photo(*shape))
    fast = Decoding(image_size=32, resize="fast")
    pixels = fast.source_pixels(encoded)
    assert pixels.shape[:2] == tuple(-(-side // reduction) for side in shape)
    slow = Decoding(image_size=32, resize="fast", decoder="tensorflow")
    np.testing.assert_array_equal(slow.source_pixels(encoded), pixels)
    np.testing.assert_array_equal(fast.decode(encoded), slow.decode(encoded))


def test_gray_pictures_come_as_three_channels():
    encoded = jpeg(photo(20, 20)[..., 0])
    for decoder in DECODERS:
        got = Decoding(image_size=10, decoder=decoder).decode(encoded)
        assert got.shape == (10, 10, 3)
        assert (got[..., 0] == got[..., 2]).all()


@pytest.mark.parametrize("resize", RESIZES)
def test_raw_pixels_are_resized_where_another_size_is_asked(resize):
    pixels = photo(40, 40)
    same = Decoding(image_size=40, resize=resize, stored_size=40, is_raw=True)
    np.testing.assert_array_equal(same.decode(pixels.tobytes()), pixels)
    smaller = Decoding(image_size=24, resize=resize, stored_size=40, is_raw=True)
    expected = np.empty((24, 24, 3), np.uint8)
    smaller.square_into(pixels, expected)
    np.testing.assert_array_equal(smaller.decode(pixels.tobytes()), expected)


def test_what_does_not_decode_is_named():
    with pytest.raises(ValueError, match="picture must decode, got"):
        Decoding(image_size=8).decode(b"\xff\xd8 and no more")
    with pytest.raises(ValueError, match=r"shape \(4, 4, 3\), got 47 bytes"):
        Decoding(image_size=8, stored_size=4, is_raw=True).decode(b"x" * 47)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resize": "box"}, "resize must be one of area, bilinear, fast, got 'box'"),
        ({"decoder": "gd"}, "decoder must be one of turbo, tensorflow, got 'gd'"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Decoding(image_size=8, **values)


@pytest.mark.real
def test_both_decoders_agree_on_real_pictures(real_originals):
    for path in sorted(real_originals.iterdir())[::25]:
        encoded = path.read_bytes()
        for resize, size in (("area", 224), ("fast", 64)):
            turbo, tensorflow = (
                Decoding(image_size=size, resize=resize, decoder=decoder)
                for decoder in DECODERS
            )
            pixels = turbo.source_pixels(encoded)
            np.testing.assert_array_equal(tensorflow.source_pixels(encoded), pixels)
        np.testing.assert_array_equal(
            Decoding(image_size=8).source_pixels(encoded), opened(encoded)
        )


@pytest.mark.real
def test_fast_of_large_pictures_is_nearer_to_the_mean_than_without_reduction(
    real_originals,
):
    reduced, whole = [], []
    for path in sorted(real_originals.iterdir())[::20]:
        pixels = opened(path.read_bytes())
        if min(pixels.shape[:2]) < 128:
            continue
        mean = resample(pixels, 64).astype(float)
        fast = Decoding(image_size=64, resize="fast").decode(path.read_bytes())
        reduced.append(np.abs(fast - mean).mean())
        whole.append(np.abs(resample(pixels, 64, "fast") - mean).mean())
    # The bound that --resize=fast states.
    assert np.mean(reduced) < 4 < np.mean(whole)
