"""Make a picture a square of the asked size, and encode it as a record stores it."""

import io

from PIL import Image

from tfpipe.data.storing import Storing


def make_square(image: Image.Image, storing: Storing) -> Image.Image:
    """Return an image of `image_size` squared; the image itself if it is that already.

    - stretch: all of the picture; its aspect isn't kept.
    - crop: the largest square in the middle. An odd pixel too many is cut off at the
      right or below.
    - pad: all of the picture with its aspect kept, on black. The longer side becomes
      `image_size`; the shorter one is rounded to the nearest pixel (halves up, 1 at
      least). An odd row or column of black stands at the right or below.
    """
    size, (width, height) = storing.image_size, image.size
    if width == height == size:
        return image
    resample = Image.Resampling[storing.resize_filter.upper()]
    if storing.resize_mode == "stretch":
        return image.resize((size, size), resample)
    if storing.resize_mode == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        box = (left, top, left + side, top + side)
        return image.resize((size, size), resample, box=box)
    longer = max(width, height)
    inner = (_scaled(width, size, longer), _scaled(height, size, longer))
    square = Image.new(image.mode, (size, size))
    left, top = ((size - side) // 2 for side in inner)
    square.paste(image.resize(inner, resample), (left, top))
    return square


def _scaled(side: int, size: int, longer: int) -> int:
    return max(1, (2 * side * size + longer) // (2 * longer))


def encode(image: Image.Image, storing: Storing) -> bytes:
    """Encode an 8-bit gray (mode L) or RGB (or RGBX) image as `storing` says.

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
