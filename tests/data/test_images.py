import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tfpipe.data.pictures import resizing
from tfpipe.data.pictures.images import RejectedPictureError, judge_picture
from tfpipe.data.pictures.jpeg import read_jpeg_header
from tfpipe.data.storing import Storing

LIMITS = {"max_pixels": 10_000, "min_side": 8}


def judge(data):
    return judge_picture(data, **LIMITS)


def decoded(picture):
    image = Image.open(io.BytesIO(picture.encoded))
    assert image.format == "JPEG"
    assert (image.height, image.width) == (picture.height, picture.width)
    assert read_jpeg_header(picture.encoded).is_whole
    return image


@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "L"}, {"progressive": True}, {"subsampling": 0}, {"comment": b"x"}],
)
def test_a_clean_jpeg_passes_through(encode, options):
    picture = judge(encode(**options))
    assert (picture.height, picture.width) == (16, 20)
    assert picture.encoded is None
    assert picture.changes == ()


def test_bytes_behind_the_end_are_left_alone(encode):
    assert judge(encode() + b"trailing").encoded is None


def test_an_srgb_profile_passes_through(encode):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert judge(encode(icc_profile=profile)).encoded is None


def test_another_profile_is_applied(encode):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    picture = judge(encode(icc_profile=lab))
    assert picture.changes == ("profile",)
    assert "icc_profile" not in decoded(picture).info


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_stored_upright(orientation):
    upright = Image.new("L", (24, 16), 255)
    upright.paste(0, (0, 0, 12, 8))  # dark upper left quarter
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turns[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=95, exif=exif)
    picture = judge(buffer.getvalue())
    if orientation == 1:
        assert picture.encoded is None
        return
    assert picture.changes == ("turned",)
    pixels = np.asarray(decoded(picture))
    assert pixels.shape == (16, 24)
    assert pixels[2, 2] < 50
    assert min(pixels[2, 20], pixels[12, 2], pixels[12, 20]) > 200


@pytest.mark.parametrize(
    ("options", "changes", "mode"),
    [
        ({"kind": "PNG"}, ("png",), "RGB"),
        ({"kind": "PNG", "mode": "L"}, ("png",), "L"),
        ({"kind": "PNG", "mode": "RGBA"}, ("png", "alpha"), "RGB"),
        ({"kind": "PNG", "mode": "LA"}, ("png", "alpha"), "L"),
        ({"kind": "PNG", "mode": "P"}, ("png",), "RGB"),
        ({"kind": "GIF", "mode": "P"}, ("gif",), "RGB"),
        ({"kind": "BMP"}, ("bmp",), "RGB"),
        ({"kind": "TIFF"}, ("tiff",), "RGB"),
        ({"kind": "WEBP"}, ("webp",), "RGB"),
        ({"mode": "CMYK"}, ("cmyk",), "RGB"),
    ],
)
def test_what_decodes_otherwise_is_normalised(encode, options, changes, mode):
    picture = judge(encode(**options))
    assert picture.changes == changes
    assert decoded(picture).mode == mode


def test_pixels_without_a_common_range_are_refused():
    buffer = io.BytesIO()
    Image.new("F", (16, 16), 0.5).save(buffer, "TIFF")
    with pytest.raises(RejectedPictureError, match=r"unreadable: .* mode F have no"):
        judge(buffer.getvalue())


def test_bytes_between_segments_are_mended(encode):
    data = encode()
    place = data.index(b"\xff\xdb")
    picture = judge(data[:place] + b"\0\0\0" + data[place:])
    assert picture.changes == ("markers",)


def test_a_warning_of_the_decoder_is_mended(encode):
    data = encode(size=(64, 64))
    picture = judge(data[:-2] + b"\x55" * 40 + data[-2:])
    assert picture.changes == ("decoder_warning",)


def test_a_bomb_is_refused_by_its_header_alone():
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(chunk))
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + check
    png += struct.pack(">I", 0) + b"IDAT" + b"\0" * 4
    with pytest.raises(RejectedPictureError, match="too_many_pixels: 60000 x 60000"):
        judge(png)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_too_many_pixels_and_too_small(encode, kind):
    with pytest.raises(RejectedPictureError, match="too_many_pixels: 101 x 100"):
        judge(encode(size=(101, 100), kind=kind))
    with pytest.raises(RejectedPictureError, match="too_small: 100 x 7"):
        judge(encode(size=(100, 7), kind=kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_cut_off_picture_is_truncated(encode, kind):
    data = encode(size=(64, 64), kind=kind)
    with pytest.raises(RejectedPictureError, match="truncated"):
        judge(data[: len(data) // 2])


def test_empty_and_no_picture():
    with pytest.raises(RejectedPictureError, match="empty: 0 bytes"):
        judge(b"")
    with pytest.raises(
        RejectedPictureError, match=r"not_a_picture: .* begin with b'<h"
    ):
        judge(b"<html>403</html>")


def test_pillows_own_limit_is_left_as_it_was(encode):
    before = Image.MAX_IMAGE_PIXELS
    judge(encode(kind="PNG"))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["cut", "rotten"])
@pytest.mark.parametrize("size", [0, 16])
def test_a_picture_that_lost_pixels_is_rejected(encode, kind, size):
    data = encode(size=(64, 64), quality=95)
    if kind == "cut":  # its end mended by somebody
        data = data[: len(data) // 2] + b"\xff\xd9"
    else:
        place = len(data) // 2
        data = data[:place] + b"\xff\xd0" * 30 + data[place + 60 :]
    with pytest.raises(RejectedPictureError, match=r"(truncated|unreadable): Corrupt"):
        judge_picture(data, **LIMITS, storing=Storing(image_size=size))


def test_the_first_frame_header_counts(encode):
    # A second, small one would let a giant pass the check of its size.
    data = encode(size=(90, 90))
    place = data.index(b"\xff\xc0")
    frame = bytearray(data[place : place + 19])
    frame[5:9] = b"\xea\x60\xea\x60"  # 60,000 x 60,000
    forged = data[:place] + bytes(frame) + data[place:]
    with pytest.raises(RejectedPictureError):
        judge(forged)
    header = read_jpeg_header(forged)
    assert (header.height, header.width, header.is_plain) == (60_000, 60_000, False)


def test_too_many_scans_are_refused_unread(encode):
    data = encode(progressive=True, size=(64, 64))
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    with pytest.raises(
        RejectedPictureError, match=r"unreadable: .* scans are above 64"
    ):
        judge(data[:-2] + scan * 70 + b"\xff\xd9")
    # A stray byte ends the walk of the markers, but hides no scan from decoders.
    start = data.index(b"\xff\xdb")
    stray = data[:start] + b"\0" + data[start:]
    assert judge(stray).changes == ("markers",)
    with pytest.raises(RejectedPictureError, match="scans are above 64"):
        judge(stray[:-2] + scan * 70 + b"\xff\xd9")


def test_whatever_fails_in_storing_a_clean_picture_is_a_reject(encode, monkeypatch):
    def fail(*_):
        raise MemoryError("no memory to resize a picture")

    monkeypatch.setattr(resizing, "make_image", fail)
    with pytest.raises(RejectedPictureError, match="unreadable: MemoryError: no mem"):
        judge_picture(
            encode(), max_pixels=10**6, min_side=1, storing=Storing(image_size=16)
        )
