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
from tfpipe.data.streaming.choices import DECODERS, RESIZES, check_choice

# libjpeg can leave out the finer frequencies: 1/2, 1/4 or 1/8 of the side comes out.
_REDUCTIONS = (8, 4, 2)
_BILINEAR = Image.Resampling.BILINEAR


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

    def source_pixels(
        self,
        encoded: bytes,
        scratch: "Scratch | None" = None,
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
        if self.stored_size:
            return self._raw_pixels(encoded)
        height, width = _size_of(encoded)
        reduction = 1
        if self.resize == "fast" and not is_whole:
            room = min(height, width) // self.image_size
            reduction = next((r for r in _REDUCTIONS if r <= room), 1)
        if self.decoder == "turbo" and height:
            shape = (-(-height // reduction), -(-width // reduction), 3)
            out = scratch.take(shape) if scratch else np.empty(shape, np.uint8)
            if _decode_turbo(encoded, out):
                return out
        return _decode_tensorflow(encoded, reduction)

    def decode_into(
        self, encoded: bytes, out: Pixels, scratch: "Scratch | None" = None
    ) -> None:
        """Decode and resize a picture into `out`, uint8 [image_size, image_size, 3].

        Raises:
            ValueError: if it doesn't decode.
        """
        size = (self.image_size, self.image_size)
        is_turbo = self.decoder == "turbo" and not self.stored_size
        if is_turbo and _size_of(encoded) == size and _decode_turbo(encoded, out):
            return
        self.square_into(self.source_pixels(encoded, scratch), out)

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

    def decode(self, encoded: bytes) -> Pixels:
        """Decode and resize a picture; see `decode_into`."""
        out = np.empty((self.image_size, self.image_size, 3), np.uint8)
        self.decode_into(encoded, out)
        return out

    def _raw_pixels(self, encoded: bytes) -> Pixels:
        shape = (self.stored_size, self.stored_size, 3)
        if len(encoded) != math.prod(shape):
            raise ValueError(
                f"raw picture must have the shape {shape}, got {len(encoded)} bytes"
            )
        return np.frombuffer(encoded, np.uint8).reshape(shape)


class Scratch:
    """Memory that one thread decodes one picture after another to."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, int, int]) -> Pixels:
        """Return an array of that shape; it takes the place of the one before."""
        num_bytes = math.prod(shape)
        if len(self._memory) < num_bytes:
            self._memory = np.empty(num_bytes * 5 // 4, np.uint8)
        return self._memory[:num_bytes].reshape(shape)


def _size_of(encoded: bytes) -> tuple[int, int]:
    """Return a JPEG's height and width, (0, 0) if libjpeg-turbo can't tell."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError:
        return 0, 0
    return height, width


def _decode_turbo(encoded: bytes, out: Pixels) -> bool:
    """Decode a JPEG into `out`, whose sides may be 1/2, 1/4 or 1/8; tell if it did."""
    try:
        simplejpeg.decode_jpeg(
            encoded,
            "RGB",
            min_height=out.shape[0],
            min_width=out.shape[1],
            buffer=out,
        )
    except ValueError:
        return False
    return True


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
