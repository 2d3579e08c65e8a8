"""Make a picture a square of the asked size, and encode it as a record stores it."""

import io

import numpy as np
from PIL import Image

from tfpipe.data.pictures.resampling import Pixels, resample
from tfpipe.data.storing import Storing


def make_image(
    picture: Image.Image | Pixels, storing: Storing
) -> tuple[Image.Image, bool]:
    """Return a picture as the image to store, and whether it was resized.

    - stretch: all of the picture; its aspect isn't kept.
    - crop: the largest square in the middle. An odd pixel too many is cut off at the
      right or below.
    - pad: all of the picture with its aspect kept, on black. The longer side becomes
      `image_size`; the shorter one is rounded to the nearest pixel (halves up, 1 at
      least). An odd row or column of black stands at the right or below.

    Args:
        picture: an image of Pillow's, or, which spares a copy, its pixels, uint8
            [height, width] or [height, width, 3].
        storing: size, mode and filter.
    """
    size = storing.image_size
    if isinstance(picture, Image.Image):
        width, height = picture.size
    else:
        height, width = picture.shape[:2]
    if not size or width == height == size:
        return _as_image(picture), False
    return _make_square(picture, width, height, storing), True


def _make_square(
    picture: Image.Image | Pixels, width: int, height: int, storing: Storing
) -> Image.Image:
    size = storing.image_size
    whole = (0, 0, width, height)
    if storing.resize_mode == "stretch":
        return _resize(picture, (size, size), whole, storing)
    if storing.resize_mode == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
        return _resize(picture, (size, size), box, storing)
    longer = max(width, height)
    inner = (_scaled(width, size, longer), _scaled(height, size, longer))
    resized = _resize(picture, inner, whole, storing)
    square = Image.new(resized.mode, (size, size))
    square.paste(resized, ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return square


def _resize(
    picture: Image.Image | Pixels,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    storing: Storing,
) -> Image.Image:
    """Return a part of a picture as an image of `size`, (width, height)."""
    if storing.resize_filter != "area":
        filter_ = Image.Resampling[storing.resize_filter.upper()]
        return _as_image(picture).resize(size, filter_, box=box)
    left, top, right, bottom = box
    pixels = np.asarray(picture)[top:bottom, left:right]
    return Image.fromarray(resample(pixels, (size[1], size[0])))


def _as_image(picture: Image.Image | Pixels) -> Image.Image:
    return picture if isinstance(picture, Image.Image) else Image.fromarray(picture)


def _scaled(side: int, size: int, longer: int) -> int:
    return max(1, (2 * side * size + longer) // (2 * longer))


def encode(image: Image.Image, storing: Storing) -> bytes:
    """Encode an 8-bit gray (mode L) or RGB image as `storing` says.

    A JPEG is baseline, with gray as one component; raw bytes are uint8
    [height, width, 3], gray three times.
    """
    if storing.encoding == "raw":
        return image.convert("RGB").tobytes()
    options = {}
    if image.mode != "L":
        options["subsampling"] = ":".join(storing.jpeg_subsampling)
    # By Pillow: simplejpeg takes libjpeg's fast DCT below quality 96, which loses more.
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=storing.jpeg_quality, **options)
    return buffer.getvalue()
