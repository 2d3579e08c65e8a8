"""Normalise a picture that is no clean JPEG: upright, sRGB, 8-bit, without alpha."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageOps

from tfpipe.data.pictures.jpeg import JpegHeader

_ORIENTATION_TAG = 0x0112


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Put Pillow's own pixel limit, a warning first, aside: ours is checked instead."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def is_turned(image: Image.Image) -> bool:
    """Tell whether Exif says that the picture is to be shown otherwise."""
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1) in range(2, 9)
    except Exception:  # broken Exif turns nothing
        return False


def foreign_profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Return the ICC profile if there is a readable one other than sRGB."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        name = ImageCms.getProfileDescription(profile)
    except (KeyError, OSError, ImageCms.PyCMSError):
        return None  # what nobody can read, nobody applies
    return None if "srgb" in name.lower() else profile


def normalise(
    image: Image.Image, header: JpegHeader
) -> tuple[Image.Image, tuple[str, ...]]:
    """Return an image as upright 8-bit sRGB (mode RGB) or gray (L), and what changed.

    Args:
        image: as Pillow opened and loaded it; of an animation, the first frame counts.
        header: what the markers say, if it is a JPEG.
    """
    changes = []
    if image.format not in ("JPEG", "MPO"):
        changes.append(str(image.format).lower())
    elif image.mode == "CMYK":
        changes.append("cmyk")
        if not header.has_adobe:
            # Pillow takes every CMYK JPEG for one of Adobe's, which hold 255 - ink.
            image = ImageChops.invert(image)
    elif not header.is_whole:
        changes.append("markers")
    elif not header.is_plain:
        changes.append("coding")
    if getattr(image, "is_animated", False) and image.format != "MPO":
        changes.append("animated")
    profile = foreign_profile(image)
    if is_turned(image):
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
    return image, tuple(changes or ["decoder_warning"])


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit gray to 8 bits; Pillow's own convert would cut it at 255.

    A value that a PNG declares transparent becomes alpha: 8 bits couldn't tell it from
    its neighbours.
    """
    pixels = np.asarray(image)
    if image.mode == "F" or pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"pixels of mode {image.mode} have no common 8-bit form")
    gray = Image.fromarray((pixels.astype(np.uint32) // 257).astype(np.uint8))
    if "transparency" in image.info:
        opaque = (pixels != image.info["transparency"]).astype(np.uint8) * 255
        gray.putalpha(Image.fromarray(opaque))
    return gray


def _on_white(image: Image.Image) -> Image.Image:
    is_gray = image.mode in ("1", "L", "LA", "La")
    color = image.info.get("transparency")
    if isinstance(color, tuple) and max(color) > 255:
        # Of a 16-bit PNG, whose pixels Pillow has cut to their high bytes.
        image.info["transparency"] = tuple(value >> 8 for value in color)
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
