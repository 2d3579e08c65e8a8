"""Judge one picture: pass it through, normalise it, or say why it is rejected."""

import dataclasses
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
import simplejpeg
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from tfpipe.data.jpeg import JpegHeader, read_jpeg_header

JPEG_QUALITY = 95
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")
_ORIENTATION_TAG = 0x0112


class RejectedPictureError(ValueError):
    """A picture that can't become a record: `reason` is one word, `detail` the rest."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclasses.dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture fit for a record.

    Attributes:
        height, width: in pixels, upright.
        changes: why it was normalised; empty if its bytes pass through.
        encoded: the new JPEG, None if its bytes pass through.
    """

    height: int
    width: int
    changes: tuple[str, ...] = ()
    encoded: bytes | None = None


def judge_picture(data: bytes, *, max_pixels: int, min_side: int) -> Picture:
    """Decode a picture wholly and return what becomes of it.

    A clean JPEG passes through byte for byte: 8-bit, 1 or 3 components, Huffman-coded,
    upright, no ICC profile but sRGB, markers whole, decoded without a warning. What
    decodes otherwise is made upright 8-bit sRGB or gray without alpha and stored as
    JPEG of quality 95 without chroma subsampling.

    Args:
        data: the file's bytes.
        max_pixels: more (height x width, by header, before decoding) are refused.
        min_side: a shorter side, in pixels, is refused.

    Raises:
        RejectedPictureError: with reason empty, truncated, not_a_picture,
            too_many_pixels, too_small or unreadable.
    """
    if not data:
        raise RejectedPictureError("empty", "0 bytes")
    header = JpegHeader()
    if data.startswith(b"\xff\xd8"):
        header = read_jpeg_header(data)
        if header.is_plain and header.is_whole and header.height and header.width:
            _check_size(header.height, header.width, max_pixels, min_side)
            if not _needs_change(data, header) and _decodes_cleanly(data, header):
                return Picture(height=header.height, width=header.width)
    with _quiet_pillow():
        image = _open(data)
        _check_size(image.height, image.width, max_pixels, min_side)
        try:
            image.load()
            return _normalise(image, header)
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
    with _quiet_pillow():
        image = _open(data)
        return _is_turned(image) or _foreign_profile(image) is not None


def _decodes_cleanly(data: bytes, header: JpegHeader) -> bool:
    """Tell whether libjpeg decodes all of it without a warning (Pillow hides those)."""
    try:
        colors = "GRAY" if header.components == 1 else "RGB"
        simplejpeg.decode_jpeg(data, colors, strict=True)
    except ValueError:
        return False
    return True


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Put Pillow's own pixel limit, a warning first, aside: ours is checked instead."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        detail = f"{len(data):,} bytes begin with {data[:8]!r}"
        raise RejectedPictureError("not_a_picture", detail) from None
    except Exception as error:  # as above: a damaged header raises anything
        detail = f"{type(error).__name__}: {error}"
        raise RejectedPictureError("unreadable", detail) from None


def _is_turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1) in range(2, 9)
    except Exception:  # broken Exif turns nothing
        return False


def _foreign_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the ICC profile if there is a readable one other than sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        name = ImageCms.getProfileDescription(profile)
    except (KeyError, OSError, ImageCms.PyCMSError):
        return None  # what nobody can read, nobody applies
    return None if "srgb" in name.lower() else profile


def _normalise(image: Image.Image, header: JpegHeader) -> Picture:
    """Make an image upright 8-bit sRGB or gray, and a JPEG."""
    changes = []
    if image.format not in ("JPEG", "MPO"):
        changes.append(str(image.format).lower())
    elif image.mode == "CMYK":
        changes.append("cmyk")
    elif not header.is_whole:
        changes.append("markers")
    elif not header.is_plain:
        changes.append("coding")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        changes.append("animated")
    profile = _foreign_profile(image)
    if _is_turned(image):
        changes.append("turned")
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        changes.append("deep")
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        changes.append("alpha")
        image = _on_white(image)
    if profile is not None:
        changes.append("profile")
        image = _to_srgb(image, profile)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    # Without its info: Pillow would write the comment of the old file into the new.
    image.info = {}
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return Picture(
        height=image.height,
        width=image.width,
        changes=tuple(changes or ["decoder_warning"]),
        encoded=buffer.getvalue(),
    )


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray to 8 bits; Pillow's own convert would cut it at 255."""
    pixels = np.asarray(image)
    if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"pixels of mode {image.mode} have no common 8-bit form")
    return Image.fromarray((pixels.astype(np.uint32) // 257).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    is_gray = image.mode in ("1", "L", "LA", "La")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("L" if is_gray else "RGB")


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """Apply an ICC profile; a gray picture stays gray."""
    is_gray = image.mode in ("1", "L")
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if is_gray else "RGB")
    srgb = ImageCms.createProfile("sRGB")
    try:
        # None comes back only where the image itself is changed, which isn't asked.
        shown = cast(
            Image.Image,
            ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB"),
        )
    except ImageCms.PyCMSError:
        return image  # a profile for another kind of pixels: nobody can apply it
    return shown.convert("L") if is_gray else shown
