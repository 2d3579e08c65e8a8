"""One drawing, red at the left and blue at the right, in every kind of file."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from tfpipe.data.pictures.images import RejectedPictureError, judge_picture
from tfpipe.data.storing import Storing

WIDTH, HEIGHT = 24, 16
RED, BLUE = (200, 40, 40), (40, 40, 200)
LEFT, RIGHT = (8, 4), (8, 19)  # row and column of a pixel far within each half

# cjpeg -arithmetic -quality 90 -sample 1x1 of 16 x 16 pixels, red and blue.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoM"
    "DAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsN"
    "FBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/yQAR"
    "CAAQABADAREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANIOpeCKxBG+rF5L"
    "zc3sKWFmLnTXKP/Z"
)


def drawing(width=WIDTH):
    """The drawing, uint8 [16, width, 3]."""
    pixels = np.empty((HEIGHT, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = RED, BLUE
    return pixels


def save(image, kind, **options):
    """Encode an image (or pixels) as a file's bytes."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_png(pixels, color_type, transparent=()):
    """Write a 16-bit PNG, which Pillow can't for colours: uint16 [height, width, n]."""

    def chunk(name, body):
        check = struct.pack(">I", zlib.crc32(name + body))
        return struct.pack(">I", len(body)) + name + body + check

    height, width, _ = pixels.shape
    head = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    key = struct.pack(f">{len(transparent)}H", *transparent)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + (chunk(b"tRNS", key) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def inks():
    """The drawing in cyan, magenta, yellow and black, 255 for full ink."""
    rgb = drawing().astype(int)
    black = 255 - rgb.max(axis=2)
    white = 255 - black[..., None]
    others = (white - rgb) * 255 / white
    return np.concatenate([others.round(), black[..., None]], 2).astype(np.uint8)


def cmyk(pixels, transform=0):
    """Write four bands as a JPEG with Adobe's marker, which holds 255 - value."""
    image = Image.fromarray(pixels, "CMYK")
    data = save(image, "JPEG", quality=100)
    place = data.index(b"Adobe") + 11
    assert data[place] == 0
    return data[:place] + bytes([transform]) + data[place + 1 :]


def ycck():
    """Write the drawing as Adobe's YCCK: 255 - ink as luma and chroma, and black."""
    bands = inks()
    luma = np.asarray(Image.fromarray(bands[..., :3]).convert("YCbCr"))
    return cmyk(np.concatenate([255 - luma, bands[..., 3:]], axis=2), transform=2)


def plain_cmyk():
    """Write the drawing's inks themselves, without Adobe's marker."""
    data = cmyk(255 - inks())
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 16 :]


def swapped_profile():
    """An ICC profile whose red is sRGB's blue and whose blue is its red."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"????"), (b"bXYZ", b"rXYZ"), (b"????", b"bXYZ")):
        data = data.replace(old, new, 1)
    return data.replace("sRGB".encode("utf-16-be"), "Swap".encode("utf-16-be"))


def icc_profile(space, kind, connection, tags):
    """Write an ICC profile of version 2."""
    name = b"Test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", 5) + name + b"\0" * 78,
        b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
        **tags,
    }
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    head = struct.pack(">I4xI", start + len(body), 0x02400000)
    head += kind + space + connection + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head += b"acsp" + b"\0" * 28 + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def linear_gray_profile():
    """A gray profile whose values are proportional to light: sRGB's 188 is its 128."""
    return icc_profile(b"GRAY", b"mntr", b"XYZ ", {b"kTRC": b"curv" + b"\0" * 8})


def black_ink_profile():
    """A CMYK profile of a printer whose colour inks are invisible."""
    ramp = bytes(range(256))
    corners = b"".join(bytes([0 if i & 1 else 255, 128, 128]) for i in range(16))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + corners
    return icc_profile(b"CMYK", b"prtr", b"Lab ", {b"A2B0": lut + ramp * 3})


def _with_alpha():
    """The drawing; its right half is transparent green."""
    pixels = np.dstack([drawing(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    pixels[:, WIDTH // 2 :] = (0, 255, 0, 0)
    return pixels


def _palette(**options):
    return save(Image.fromarray(drawing()).quantize(4), "PNG", **options)


def _blue_index():
    return Image.fromarray(drawing()).quantize(4).getpixel(RIGHT[::-1])


GRAY = np.asarray(Image.fromarray(drawing()).convert("L"))
DEEP = drawing().astype(np.uint16) * 257
FRAMES = [Image.new("RGB", (WIDTH, HEIGHT), color) for color in ("lime", "yellow")]
MANY = {"save_all": True, "append_images": FRAMES}
WHITE, COLORS, GRAYS = (255,) * 3, (RED, BLUE), ((88,) * 3, (58,) * 3)
BLANKED, GRAY_BLANKED = (RED, WHITE), ((88,) * 3, WHITE)

# name: (bytes, changes, the colours at the left and the right)
KINDS = {
    "jpeg": (save(drawing(), "JPEG", quality=95), (), COLORS),
    "gray jpeg": (save(GRAY, "JPEG", quality=95), (), GRAYS),
    "progressive jpeg": (save(drawing(), "JPEG", progressive=True), (), COLORS),
    "jpeg of rgb": (save(drawing(), "JPEG", keep_rgb=True), (), COLORS),
    "jpeg with restarts": (
        save(drawing(), "JPEG", restart_marker_blocks=1),
        (),
        COLORS,
    ),
    "arithmetic jpeg": (ARITHMETIC, ("coding",), COLORS),
    "adobe cmyk": (cmyk(inks()), ("cmyk",), COLORS),
    "ycck": (ycck(), ("cmyk",), COLORS),
    "plain cmyk": (plain_cmyk(), ("cmyk",), COLORS),
    "png": (save(drawing(), "PNG"), ("png",), COLORS),
    "gray png": (save(GRAY, "PNG"), ("png",), GRAYS),
    "alpha png": (save(_with_alpha(), "PNG"), ("png", "alpha"), BLANKED),
    "gray alpha png": (
        save(Image.fromarray(_with_alpha()).convert("LA"), "PNG"),
        ("png", "alpha"),
        GRAY_BLANKED,
    ),
    "palette png": (_palette(), ("png",), COLORS),
    "palette png with a hole": (
        _palette(transparency=_blue_index()),
        ("png", "alpha"),
        BLANKED,
    ),
    "palette png with alpha": (
        _palette(
            transparency=bytes(0 if i == _blue_index() else 255 for i in range(4))
        ),
        ("png", "alpha"),
        BLANKED,
    ),
    "png with a hole": (
        save(drawing(), "PNG", transparency=BLUE),
        ("png", "alpha"),
        BLANKED,
    ),
    "16-bit png": (write_png(DEEP, 2), ("png",), COLORS),
    "16-bit png with a hole": (
        write_png(DEEP, 2, tuple(c * 257 for c in BLUE)),
        ("png", "alpha"),
        BLANKED,
    ),
    "16-bit gray png": (
        write_png(GRAY[..., None].astype(np.uint16) * 257, 0),
        ("png", "deep"),
        GRAYS,
    ),
    "16-bit gray png with a hole": (
        write_png(GRAY[..., None].astype(np.uint16) * 257, 0, (58 * 257,)),
        ("png", "deep", "alpha"),
        GRAY_BLANKED,
    ),
    "16-bit gray alpha png": (
        write_png(np.dstack([GRAY, GRAY // 88]).astype(np.uint16) * [257, 65535], 4),
        ("png", "alpha"),
        GRAY_BLANKED,
    ),
    "animated png": (save(drawing(), "PNG", **MANY), ("png", "animated"), COLORS),
    "gif": (save(drawing(), "GIF"), ("gif",), COLORS),
    "animated gif": (save(drawing(), "GIF", **MANY), ("gif", "animated"), COLORS),
    "webp": (save(drawing(), "WEBP", quality=95), ("webp",), COLORS),
    "alpha webp": (
        save(_with_alpha(), "WEBP", lossless=True),
        ("webp", "alpha"),
        BLANKED,
    ),
    "animated webp": (
        save(drawing(), "WEBP", lossless=True, **MANY),
        ("webp", "animated"),
        COLORS,
    ),
    "bmp": (save(drawing(), "BMP"), ("bmp",), COLORS),
    "palette bmp": (
        save(Image.fromarray(drawing()).quantize(4), "BMP"),
        ("bmp",),
        COLORS,
    ),
    "tiff": (save(drawing(), "TIFF"), ("tiff",), COLORS),
    "lzw tiff": (save(drawing(), "TIFF", compression="tiff_lzw"), ("tiff",), COLORS),
    "cmyk tiff": (
        save(Image.fromarray(inks(), "CMYK"), "TIFF"),
        ("tiff",),
        COLORS,
    ),
    "foreign profile": (
        save(drawing(), "JPEG", quality=95, icc_profile=swapped_profile()),
        ("profile",),
        (BLUE, RED),
    ),
    "gray profile": (
        save(np.full_like(GRAY, 128), "JPEG", icc_profile=linear_gray_profile()),
        ("profile",),
        ((188,) * 3,) * 2,
    ),
    "cmyk profile": (
        save(
            Image.fromarray(inks() * np.uint8([1, 1, 1, 0]), "CMYK"),
            "JPEG",
            icc_profile=black_ink_profile(),
        ),
        ("cmyk", "profile"),
        (WHITE, WHITE),
    ),
    "profile of another kind": (
        save(GRAY, "JPEG", quality=95, icc_profile=black_ink_profile()),
        ("profile",),
        GRAYS,
    ),
    "broken profile": (
        save(drawing(), "JPEG", quality=95, icc_profile=b"no profile"),
        (),
        COLORS,
    ),
}


OWN_SIZE, RAW = Storing(), Storing(image_size=16, encoding="raw")
RESIZED = [
    Storing(image_size=16),
    Storing(image_size=24, resize_mode="pad", jpeg_subsampling="420"),
    Storing(image_size=20, resize_mode="crop", resize_filter="lanczos"),
]


def judge(data, storing=OWN_SIZE):
    return judge_picture(data, max_pixels=1_000_000, min_side=8, storing=storing)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_its_colours(name):
    data, changes, colors = KINDS[name]
    picture = judge(data)
    assert picture.changes == changes
    assert (picture.encoded is None) == (not changes)
    image = Image.open(io.BytesIO(picture.encoded or data))
    assert image.format == "JPEG"
    pixels = np.asarray(image.convert("RGB"), int)
    assert np.abs(pixels[LEFT] - colors[0]).max() <= 5
    assert np.abs(pixels[LEFT[0], -5] - colors[1]).max() <= 5


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_its_colours_when_resized(name):
    data, changes, colors = KINDS[name]
    picture = judge(data, RAW)
    assert picture.changes == changes
    assert picture.is_resized == (name != "arithmetic jpeg")
    assert (picture.height, picture.width) == (16, 16)
    pixels = np.frombuffer(picture.encoded, np.uint8).reshape(16, 16, 3).astype(int)
    assert np.abs(pixels[8, 3] - colors[0]).max() <= 5
    assert np.abs(pixels[8, -4] - colors[1]).max() <= 5


def decoded_by_tensorflow(picture, data):
    import tensorflow as tf

    stored = data if picture.encoded is None else picture.encoded
    pixels = tf.io.decode_jpeg(stored, channels=3, dct_method="INTEGER_ACCURATE")
    return pixels.numpy()


def test_tensorflow_decodes_what_is_stored_of_every_kind():
    for data, _, _ in KINDS.values():
        for storing in (OWN_SIZE, *RESIZED):
            picture = judge(data, storing)
            pixels = decoded_by_tensorflow(picture, data)
            assert pixels.shape == (picture.height, picture.width, 3)
            stored = Image.open(io.BytesIO(picture.encoded or data)).convert("RGB")
            np.testing.assert_array_equal(pixels, stored)


def damaged(data, random):
    """Overwrite, cut out, put in or cut off some bytes."""
    data = bytearray(data)
    place, length = random.integers(len(data)), random.integers(1, 30)
    match random.integers(5):
        case 0:
            del data[place : place + length]
        case 1:
            data[place:place] = random.bytes(length)
        case 2:  # in the header
            data[place % 200 % len(data)] = random.choice([0, 1, 127, 128, 254, 255])
        case _:
            for at in random.integers(0, len(data), random.integers(1, 6)):
                data[at] = random.integers(256)
    if random.random() < 0.3:
        data = data[: random.integers(1, len(data) + 1)]
    return bytes(data)


@pytest.mark.timeout(120)
def test_damaged_pictures_decode_in_tensorflow_or_have_a_reason():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (60, 70, 3), np.uint8)
    large = [save(noise, "JPEG", quality=60, progressive=p) for p in (False, True)]
    sources = [*large, *(data for data, _, _ in KINDS.values())]
    passed = changed = rejected = 0
    for number in range(1500):
        data = damaged(sources[number % len(sources)], random)
        storing = (OWN_SIZE, *RESIZED, RAW)[random.integers(5)]
        try:
            picture = judge(data, storing)
        except RejectedPictureError as error:
            assert error.reason
            rejected += 1
            continue
        shape = (picture.height, picture.width, 3)
        if storing is RAW:
            assert len(picture.encoded) == np.prod(shape)
            continue
        assert decoded_by_tensorflow(picture, data).shape == shape
        passed += picture.encoded is None
        changed += picture.encoded is not None
    assert min(passed, changed, rejected) > 20
