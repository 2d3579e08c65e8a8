"""Decode a record's picture into a square of the asked size.

libjpeg-turbo (through simplejpeg) decodes, without holding Python's lock; what it can't
take, TensorFlow decodes, to the same pixels.
"""

import dataclasses
import math

import numpy as np
import simplejpeg
from PIL import Image

from tfpipe.data.pictures.resampling import Pixels, resample
from tfpipe.data.streaming.buffers import Scratch
from tfpipe.data.streaming.choices import DECODERS, RESIZES, check_choice

# libjpeg can leave out the finer frequencies: 1/2, 1/4 or 1/8 of the side comes out.
_REDUCTIONS = (8, 4, 2)
_BILINEAR = Image.Resampling.BILINEAR

Encoded = bytes | memoryview


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
    """How bytes become a picture, uint8 [image_size, image_size, 3], RGB.

    Attributes:
        image_size: side in pixels; aspect isn't kept. A picture that has this size
            already is not resized.
        resize: "area", the exact mean over the area that each pixel covers; "bilinear",
            Pillow's, antialiased; "fast", linear between the nearest pixels, of a JPEG
            of twice the size or more decoded at 1/2, 1/4 or 1/8 of its side. On
            photographs at 64 pixels that is on the mean 3/255 off the mean over the
            area (5.5/255 without the reduction).
        stored_size: the side of the squares that are stored; 0 where pictures have
            their own sizes.
        is_raw: whether uint8 [stored_size, stored_size, 3] is stored, not JPEG.
        decoder: "turbo", or "tensorflow" for TensorFlow's own.
    """

    image_size: int
    resize: str = "area"
    stored_size: int = 0
    is_raw: bool = False
    decoder: str = "turbo"

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        check_choice("resize", self.resize, RESIZES)
        check_choice("decoder", self.decoder, DECODERS)

    def source_pixels(
        self,
        encoded: Encoded,
        scratch: Scratch | None = None,
        *,
        is_whole: bool = False,
    ) -> Pixels:
        """Decode a picture in its own size, or in the reduced one that "fast" takes.

        Args:
            encoded: its bytes.
            scratch: where to decode it to; the result is valid until it is used again.
            is_whole: whether "fast", too, decodes it in its own size.

        Returns:
            uint8 [height, width, 3].

        Raises:
            ValueError: if it doesn't decode, or raw pixels have another size.
        """
        if self.is_raw:
            return self._raw_pixels(encoded)
        return self._decode_jpeg(encoded, _size_of(encoded), scratch, is_whole)

    def decode_into(
        self, encoded: Encoded, out: Pixels, scratch: Scratch | None = None
    ) -> None:
        """Decode and resize a picture into `out`, uint8 [image_size, image_size, 3].

        Raises:
            ValueError: if it doesn't decode.
        """
        if self.is_raw:
            self.square_into(self._raw_pixels(encoded), out)
            return
        is_turbo, is_stored = (
            self.decoder == "turbo",
            self.stored_size == self.image_size,
        )
        if is_turbo and is_stored and _decode_turbo(encoded, out):
            return
        size = _size_of(encoded)
        is_same = is_turbo and size == (self.image_size, self.image_size)
        if not (is_same and _decode_turbo(encoded, out)):
            self.square_into(self._decode_jpeg(encoded, size, scratch, False), out)

    def _decode_jpeg(
        self,
        encoded: Encoded,
        size: tuple[int, int],
        scratch: Scratch | None,
        is_whole: bool,
    ) -> Pixels:
        reduction = 1
        if self.resize == "fast" and not is_whole:
            room = min(size) // self.image_size
            reduction = next((r for r in _REDUCTIONS if r <= room), 1)
        if self.decoder == "turbo" and min(size):
            shape = (-(-size[0] // reduction), -(-size[1] // reduction), 3)
            out = scratch.take(shape) if scratch else np.empty(shape, np.uint8)
            if _decode_turbo(encoded, out, reduction):
                return out
        return _decode_tensorflow(encoded, reduction)

    def square_into(self, pixels: Pixels, out: Pixels) -> None:
        """Resize pixels, uint8 [height, width, 3], into `out`."""
        size = self.image_size
        if pixels.shape[:2] == (size, size):
            out[...] = pixels
        elif self.resize == "bilinear":
            image = Image.fromarray(np.ascontiguousarray(pixels))
            out[...] = np.asarray(image.resize((size, size), _BILINEAR))
        else:
            resample(pixels, size, self.resize, out)

    def decode(self, encoded: Encoded) -> Pixels:
        """Decode and resize a picture; see `decode_into`."""
        out = np.empty((self.image_size, self.image_size, 3), np.uint8)
        self.decode_into(encoded, out)
        return out

    def _raw_pixels(self, encoded: Encoded) -> Pixels:
        shape = (self.stored_size, self.stored_size, 3)
        if len(encoded) != math.prod(shape):
            raise ValueError(
                f"raw picture must have the shape {shape}, got {len(encoded)} bytes"
            )
        return np.frombuffer(encoded, np.uint8).reshape(shape)


def _size_of(encoded: Encoded) -> tuple[int, int]:
    """Return a JPEG's height and width, (0, 0) if libjpeg-turbo can't tell."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:
        return 0, 0
    return height, width


def _decode_turbo(encoded: Encoded, out: Pixels, reduction: int = 1) -> bool:
    """Decode a JPEG of the size of `out` times the reduction; tell if that was it."""
    least = out.shape if reduction > 1 else (0, 0)
    try:
        decoded = simplejpeg.decode_jpeg(
            encoded, "RGB", min_height=least[0], min_width=least[1], buffer=out
        )
    except ValueError:
        return False
    return bool(decoded.shape == out.shape)


def _decode_tensorflow(encoded: Encoded, reduction: int) -> Pixels:
    # Loaded only where it is needed: it takes seconds.
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            pixels: Pixels = tf.io.decode_jpeg(
                bytes(encoded),
                channels=3,
                ratio=reduction,
                dct_method="INTEGER_ACCURATE",
            ).numpy()
    except tf.errors.OpError as error:
        raise ValueError(f"picture must decode, got {error.message}") from None
    return pixels
