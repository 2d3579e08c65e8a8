"""Judge one picture: pass it through, store it anew, or say why it is rejected."""

import dataclasses
import io

import simplejpeg
from PIL import Image, UnidentifiedImageError

from tfpipe.data.pictures import normalising, resizing
from tfpipe.data.pictures.jpeg import JpegHeader, read_jpeg_header
from tfpipe.data.pictures.resampling import Pixels
from tfpipe.data.storing import IN_OWN_SIZE, Storing

MAX_SCANS = 64
# What libjpeg's warnings say where pixels are lost. Others, bytes too many between two
# markers for instance, lose none.
_LOSSES = ("premature end", "bad huffman code", "instead of rst")
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


class RejectedPictureError(ValueError):
    """A picture that can't become a record: `reason` is one word, `detail` the rest."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture fit for a record.

    Attributes:
        height, width: in pixels, as stored.
        changes: why it was normalised; empty for a clean JPEG.
        is_resized: whether it had another size or shape.
        encoded: the bytes to store, None if the source's pass through.
    """

    height: int
    width: int
    changes: tuple[str, ...] = ()
    is_resized: bool = False
    encoded: bytes | None = None


def judge_picture(
    data: bytes, *, max_pixels: int, min_side: int, storing: Storing = IN_OWN_SIZE
) -> Picture:
    """Decode a picture wholly and return what becomes of it.

    A JPEG is clean if it is 8-bit, of 1 or 3 components, Huffman-coded, upright, of no
    ICC profile but sRGB, its markers whole, decoded without a warning. What decodes
    otherwise is normalised: made upright 8-bit sRGB or gray without alpha. Then it is
    resized and encoded as `storing` says. A clean JPEG that has the size asked for
    passes through byte for byte.

    Args:
        data: the file's bytes.
        max_pixels: more (height x width, by header, before decoding) are refused.
        min_side: a shorter side of the source, in pixels, is refused.
        storing: size and encoding of what is stored.

    Raises:
        RejectedPictureError: with reason empty, truncated, not_a_picture,
            too_many_pixels, too_small or unreadable.
    """
    if not data:
        raise RejectedPictureError("empty", "0 bytes")
    header = JpegHeader()
    if data.startswith(b"\xff\xd8"):
        header = read_jpeg_header(data)
        if header.num_scans > MAX_SCANS:
            # Each costs as much as decoding the picture: a small file could take hours.
            detail = f"{header.num_scans} scans are above {MAX_SCANS}"
            raise RejectedPictureError("unreadable", detail)
    try:
        if header.is_plain and header.is_whole and header.height and header.width:
            _check_size(header.height, header.width, max_pixels, min_side)
            if not _needs_change(data, header):
                if _passes_through(header, storing):
                    if _decodes_cleanly(data, header):
                        return Picture(height=header.height, width=header.width)
                elif (clean := _decode(data, header)) is not None:
                    return _stored(clean, storing)
        with normalising.quiet_pillow():
            image = _open(data)
            _check_size(image.height, image.width, max_pixels, min_side)
            image.load()
            image, changes = normalising.normalise(image, header)
            return _stored(image, storing, changes)
    except RejectedPictureError:
        raise
    except Exception as error:  # Pillow's decoders raise anything on damaged bytes
        reason = "unreadable"
        if "truncated" in str(error) or (
            data.startswith(b"\xff\xd8") and not header.has_end
        ):
            reason = "truncated"
        detail = f"{type(error).__name__}: {error}"
        raise RejectedPictureError(reason, detail) from None


def _check_size(height: int, width: int, max_pixels: int, min_side: int) -> None:
    if height * width > max_pixels:
        raise RejectedPictureError(
            "too_many_pixels", f"{width} x {height} is above {max_pixels:,} pixels"
        )
    if min(height, width) < min_side:
        raise RejectedPictureError(
            "too_small", f"{width} x {height} has a side below {min_side} pixels"
        )


def _needs_change(data: bytes, header: JpegHeader) -> bool:
    """Tell whether Exif turns a JPEG or its ICC profile is another than sRGB."""
    if not header.has_exif and not header.has_profile:
        return False
    with normalising.quiet_pillow():
        image = _open(data)
        is_turned = normalising.is_turned(image)
        return is_turned or normalising.foreign_profile(image) is not None


def _passes_through(header: JpegHeader, storing: Storing) -> bool:
    """Tell whether a clean JPEG is stored as it is."""
    size = storing.image_size
    has_size = not size or header.height == header.width == size
    return has_size and storing.encoding == "jpeg"


def _decodes_cleanly(data: bytes, header: JpegHeader) -> bool:
    """Tell whether libjpeg decodes all of it without a warning, which Pillow hides.

    Nobody sees these pixels, so that the fast ways to make them will do.
    """
    colors = "GRAY" if header.components == 1 else "RGB"
    return _strict_pixels(data, colors, is_fast=True) is not None


def _decode(data: bytes, header: JpegHeader) -> Pixels | None:
    """Decode a JPEG to uint8 [height, width] or [height, width, 3].

    The pixels are Pillow's own (accurate DCT, smooth chroma). None if libjpeg warns,
    which Pillow would hide.
    """
    if header.components == 1:
        pixels = _strict_pixels(data, "GRAY", is_fast=False)
        return None if pixels is None else pixels[..., 0]
    return _strict_pixels(data, "RGB", is_fast=False)


def _strict_pixels(data: bytes, colors: str, is_fast: bool) -> Pixels | None:
    """Decode a JPEG to uint8 [height, width, channels].

    None if libjpeg warns of something harmless.

    Raises:
        RejectedPictureError: if it warns of lost pixels.
    """
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, colors, fastdct=is_fast, fastupsample=is_fast, strict=True
        )
        return pixels
    except ValueError as error:
        text = str(error).lower()
        if any(loss in text for loss in _LOSSES):
            reason = "truncated" if "premature end" in text else "unreadable"
            raise RejectedPictureError(reason, str(error)) from None
        return None


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        detail = f"{len(data):,} bytes begin with {data[:8]!r}"
        raise RejectedPictureError("not_a_picture", detail) from None
    except Exception as error:  # as above: a damaged header raises anything
        detail = f"{type(error).__name__}: {error}"
        raise RejectedPictureError("unreadable", detail) from None


def _stored(
    picture: Image.Image | Pixels, storing: Storing, changes: tuple[str, ...] = ()
) -> Picture:
    """Resize and encode a picture as `storing` says."""
    image, is_resized = resizing.make_image(picture, storing)
    return Picture(
        height=image.height,
        width=image.width,
        changes=changes,
        is_resized=is_resized,
        encoded=resizing.encode(image, storing),
    )
