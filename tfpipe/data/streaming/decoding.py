"""Decode a record's picture into a square of the asked size.

libjpeg-turbo (through simplejpeg) decodes, without holding Python's lock; what it can't
take, TensorFlow decodes, to the same pixels.
"""

import dataclasses
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from tfpipe.data.pictures.resampling import Pixels, resample
from tfpipe.data.streaming.choices import DECODERS, RESIZES, check_choice

# libjpeg can leave out the finer frequencies: 1/2, 1/4 or 1/8 of the side comes out.
_REDUCTIONS = (8, 4, 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
    """How bytes become a picture, uint8 [image_size, image_size, 3], RGB.

    Attributes:
        image_size: side in pixels; aspect isn't kept. A picture that has this size
            already is not resized.
        resize: "area", the exact mean over the area that each pixel covers; "bilinear",
            Pillow's, antialiased; "fast", linear between the nearest pixels, of a JPEG
            of twice the size or more decoded at 1/2, 1/4 or 1/8 of its side.
        stored_size: the side of raw pixels, uint8 [stored_size, stored_size, 3]; 0
            where JPEGs are stored.
        decoder: "turbo", or "tensorflow" for TensorFlow's own.
    """

    image_size: int
    resize: str = "area"
    stored_size: int = 0
    decoder: str = "turbo"

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        check_choice("resize", self.resize, RESIZES)
        check_choice("decoder", self.decoder, DECODERS)

    def source_pixels(self, encoded: bytes) -> Pixels:
        """Decode a picture in its own size, or in the reduced one that "fast" takes.

        Returns:
            uint8 [height, width, 3].

        Raises:
            ValueError: if it doesn't decode, or raw pixels have another size.
        """
        if self.stored_size:
            shape = (self.stored_size, self.stored_size, 3)
            if len(encoded) != self.stored_size**2 * 3:
                raise ValueError(
                    f"raw picture must have the shape {shape}, got {len(encoded)} bytes"
                )
            return np.frombuffer(encoded, np.uint8).reshape(shape)
        reduction = self._reduction(encoded) if self.resize == "fast" else 1
        if self.decoder == "turbo":
            try:
                return _decode_turbo(encoded, reduction)
            except ValueError:
                pass
        return _decode_tensorflow(encoded, reduction)

    def _reduction(self, encoded: bytes) -> int:
        """Return by how much the side may be divided and still be large enough."""
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(encoded)
        except ValueError:
            return 1
        side = min(height, width)
        return next((r for r in _REDUCTIONS if side >= r * self.image_size), 1)

    def square(self, pixels: Pixels) -> Pixels:
        """Return pixels, uint8 [height, width, 3], in the asked size."""
        size = self.image_size
        if pixels.shape[:2] == (size, size):
            return pixels
        if self.resize == "bilinear":
            image = Image.fromarray(np.ascontiguousarray(pixels))
            return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))
        return resample(pixels, size, self.resize)

    def decode(self, encoded: bytes) -> Pixels:
        """Decode and resize a picture.

        Raises:
            ValueError: if it doesn't decode.
        """
        return self.square(self.source_pixels(encoded))


def _decode_turbo(encoded: bytes, reduction: int) -> Pixels:
    options: dict[str, Any] = {}
    if reduction > 1:
        height, width, _, _ = simplejpeg.decode_jpeg_header(encoded)
        options = {
            "min_height": -(-height // reduction),
            "min_width": -(-width // reduction),
        }
    pixels: Pixels = simplejpeg.decode_jpeg(encoded, "RGB", strict=False, **options)
    return pixels


def _decode_tensorflow(encoded: bytes, reduction: int) -> Pixels:
    # Loaded only where it is needed: it takes seconds.
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            pixels: Pixels = tf.io.decode_jpeg(
                encoded, channels=3, ratio=reduction, dct_method="INTEGER_ACCURATE"
            ).numpy()
    except tf.errors.OpError as error:
        raise ValueError(f"picture must decode, got {error.message}") from None
    return pixels
