import hashlib
import io
import json

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from tfpipe.data.conversion import scan
from tfpipe.data.conversion.shards import ShardJob, write_shard
from tfpipe.data.inputs.labels import Source
from tfpipe.data.inputs.places import FilePlace
from tfpipe.data.manifest import read_manifest
from tfpipe.data.pictures.images import judge_picture
from tfpipe.data.pictures.resampling import resample
from tfpipe.data.records import Record
from tfpipe.data.storing import RESIZE_FILTERS, Storing

CROP = {"resize_mode": "crop", "resize_filter": "box", "encoding": "raw"}


def judge(data, **settings):
    return judge_picture(
        data, max_pixels=1_000_000, min_side=8, storing=Storing(**settings)
    )


def raw(picture):
    """The pixels of a picture stored raw."""
    shape = (picture.height, picture.width, 3)
    return np.frombuffer(picture.encoded, np.uint8).reshape(shape)


def opened(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


@pytest.mark.parametrize("name", RESIZE_FILTERS)
def test_a_stretched_picture_is_pillows_or_the_mean_over_the_area(encode, name):
    data = encode(size=(50, 37))
    if name == "area":
        expected = Image.fromarray(resample(np.asarray(opened(data)), 16))
    else:
        expected = opened(data).resize((16, 16), Image.Resampling[name.upper()])
    picture = judge(data, image_size=16, resize_filter=name, encoding="raw")
    assert picture.is_resized
    assert picture.changes == ()
    np.testing.assert_array_equal(raw(picture), expected)
    buffer = io.BytesIO()
    expected.save(buffer, "JPEG", quality=95, subsampling=0)
    stored = judge(data, image_size=16, resize_filter=name)
    assert stored.encoded == buffer.getvalue()
    assert (stored.height, stored.width, stored.is_resized) == (16, 16, True)


def test_every_filter_gives_other_pixels(encode):
    data = encode(size=(50, 37))
    found = {
        judge(data, image_size=16, resize_filter=name, encoding="raw").encoded
        for name in RESIZE_FILTERS
    }
    assert len(found) == len(RESIZE_FILTERS)


@pytest.mark.parametrize(
    ("size", "box"),
    [((50, 37), (6, 0, 43, 37)), ((37, 50), (0, 6, 37, 43)), ((8, 8), (0, 0, 8, 8))],
)
def test_a_crop_is_the_square_in_the_middle(encode, size, box):
    data = encode(size=size)
    picture = judge(data, image_size=16, **CROP)
    expected = opened(data).crop(box).resize((16, 16), Image.Resampling.BOX)
    np.testing.assert_array_equal(raw(picture), expected)


@pytest.mark.parametrize("name", ["area", "lanczos"])
def test_a_crop_without_scaling_moves_no_pixel(encode, name):
    data = encode(size=(21, 16))
    settings = {"resize_mode": "crop", "resize_filter": name, "encoding": "raw"}
    pixels = raw(judge(data, image_size=16, **settings))
    np.testing.assert_array_equal(pixels, np.asarray(opened(data))[:, 2:18])


@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
def test_gray_pictures_are_resized_as_gray_ones(mode):
    gray = Image.fromarray(np.arange(30 * 20, dtype=np.uint8).reshape(30, 20))
    for file_format in ("JPEG", "PNG"):  # decoded as pixels, and as an image
        buffer = io.BytesIO()
        gray.save(buffer, file_format)
        stored = judge(buffer.getvalue(), image_size=16, resize_mode=mode)
        assert Image.open(io.BytesIO(stored.encoded)).mode == "L"


@pytest.mark.parametrize(
    ("size", "top", "height"),
    [
        ((24, 13), 3, 9),  # 8.67: up
        ((32, 17), 3, 9),  # 8.5: a half, up
        ((32, 16), 4, 8),
        ((24, 11), 4, 7),  # 7.33: down; nine rows of black, the odd one below
        ((900, 10), 7, 1),  # 0.18: one at least
    ],
)
@pytest.mark.parametrize("is_upright", [False, True])
def test_a_padded_picture_keeps_its_aspect_on_black(size, top, height, is_upright):
    image = Image.new("RGB", size, (200, 100, 50))
    if is_upright:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    picture = judge(buffer.getvalue(), image_size=16, resize_mode="pad", encoding="raw")
    pixels = raw(picture).swapaxes(0, 1) if is_upright else raw(picture)
    expected = np.zeros((16, 16, 3), np.uint8)
    expected[top : top + height] = (200, 100, 50)
    np.testing.assert_array_equal(pixels, expected)


def test_a_turned_picture_is_resized_upright(encode):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(size=(50, 30), exif=exif)
    upright = opened(data).transpose(Image.Transpose.ROTATE_270)
    picture = judge(data, image_size=16, **CROP)
    assert picture.changes == ("turned",)
    box = (0, 10, 30, 40)
    expected = upright.resize((16, 16), Image.Resampling.BOX, box=box)
    np.testing.assert_array_equal(raw(picture), expected)


@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
def test_a_clean_jpeg_of_the_asked_size_passes_through(encode, mode):
    settings = {"image_size": 16, "resize_mode": mode}
    for options in ({}, {"mode": "L"}, {"progressive": True}):
        picture = judge(encode(size=(16, 16), **options), **settings)
        assert picture.encoded is None
        assert not picture.is_resized
    png = judge(encode(size=(16, 16), kind="PNG"), **settings)
    assert png.changes == ("png",)
    assert not png.is_resized


def test_raw_pixels_are_those_of_the_jpeg(encode):
    for mode in ("RGB", "L"):
        data = encode(size=(16, 16), mode=mode)
        picture = judge(data, image_size=16, encoding="raw")
        assert not picture.is_resized
        assert picture.changes == ()
        np.testing.assert_array_equal(raw(picture), opened(data))


def test_a_gray_picture_stays_gray(encode):
    data = encode(size=(50, 37), mode="L")
    image = Image.open(io.BytesIO(judge(data, image_size=16).encoded))
    assert image.mode == "L"
    pixels = raw(judge(data, image_size=16, encoding="raw"))
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("size", [0, 16])
def test_quality_and_subsampling_act(encode, size):
    data = encode(size=(50, 37), kind="PNG")
    for name, expected in (("444", "444"), ("422", "422"), ("420", "420")):
        stored = judge(data, image_size=size, jpeg_subsampling=name).encoded
        assert simplejpeg.decode_jpeg_header(stored)[3] == expected
        assert b"\xff\xc0" in stored  # baseline
    fine = Image.open(io.BytesIO(judge(data, image_size=size).encoded))
    coarse = Image.open(
        io.BytesIO(judge(data, image_size=size, jpeg_quality=50).encoded)
    )
    assert fine.quantization[0][0] == 2
    assert coarse.quantization[0][0] == 16


def test_pictures_that_are_too_long_to_be_resized_are_rejects(encode):
    long = Image.new("RGB", (65_536, 8))
    buffer = io.BytesIO()
    long.save(buffer, "PNG")
    with pytest.raises(ValueError, match=r"unreadable: .*sides must be at most 65,535"):
        judge(buffer.getvalue(), image_size=16)
    picture = judge(encode(size=(65_500, 8)), image_size=16, encoding="raw")
    assert picture.is_resized


def test_a_small_source_is_refused_whatever_the_asked_size(encode):
    with pytest.raises(ValueError, match="too_small: 20 x 7"):
        judge(encode(size=(20, 7)), image_size=16)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoding": "raw"}, "image_size must be given with encoding raw, got 0"),
        ({"image_size": 7}, "image_size must be 0 or at least 8, got 7"),
        ({"image_size": -1}, "image_size must be a whole number from 0 to 10000"),
        ({"resize_mode": "fit"}, "resize_mode must be one of stretch, crop, pad"),
        ({"resize_filter": "cubic"}, "resize_filter must be one of area, box, bil"),
        ({"encoding": "png"}, "encoding must be one of jpeg, raw, got 'png'"),
        ({"jpeg_quality": 101}, "jpeg_quality must be a whole number from 1 to 100"),
        ({"jpeg_subsampling": "4:4:4"}, "jpeg_subsampling must be one of 444, 422"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Storing(**settings)


def test_settings_that_cannot_act_are_said():
    assert Storing().notes == ()
    assert Storing(jpeg_quality=90, image_size=8, resize_mode="pad").notes == ()
    assert Storing(resize_mode="crop").notes == (
        "resize_mode crop cannot act: image_size 0 keeps every picture in its own size",
    )
    assert Storing(image_size=8, encoding="raw", jpeg_quality=90).notes == (
        "jpeg_quality 90 cannot act: raw pixels are no JPEG",
    )


def test_facts_are_read_back_and_absent_ones_are_defaults():
    storing = Storing(image_size=32, encoding="raw", resize_mode="pad")
    facts = json.loads(json.dumps({"min_side": 8, **storing.facts}))
    assert Storing.from_facts(facts) == storing
    assert Storing.from_facts({"min_side": 8}) == Storing()


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_a_scan_journal_keeps_what_was_stored(
    encode, lay, tmp_path, monkeypatch, encoding
):
    pictures = {
        "fits.jpg": encode(size=(16, 16)),
        "large.jpg": encode(size=(40, 30)),
        "large.png": encode(size=(40, 30), kind="PNG"),
    }
    folder = lay(pictures)
    sources = [
        Source(
            key=name,
            place=FilePlace(path=str(folder / name), size=len(data)),
            label=0,
        )
        for name, data in pictures.items()
    ]
    storing = Storing(image_size=16, encoding=encoding)
    (tmp_path / "scan").mkdir()
    monkeypatch.setattr(scan, "LEAST_BLOCKS", 1)
    (block,) = scan.make_blocks(sources, tmp_path / "scan", 10_000, 8, storing)
    assert scan.scan_block(block).num_written == 3
    rows = scan.read_journal(block)
    assert [row.is_resized for row in rows] == [False, True, True]
    assert [row.changes for row in rows] == [(), (), ("png",)]
    assert {(row.height, row.width, row.encoding) for row in rows} == {
        (16, 16, encoding)
    }
    job = ShardJob(
        file_name="shard",
        split="train",
        first_id=0,
        rows=tuple(rows),
        class_names=("cat",),
        shard_dir=str(tmp_path),
    )
    assert len(write_shard(job)[1].record_sha256) == 3
    content = (tmp_path / "shard").read_bytes()
    lines = (tmp_path / "shard.idx").read_text().split("\n")[:-1]
    for row, line, data in zip(rows, lines, pictures.values(), strict=True):
        offset, size = map(int, line.split())
        record = Record.from_bytes(content[offset + 12 : offset + size - 4])
        picture = judge(data, image_size=16, encoding=encoding)
        assert record.format == encoding
        assert record.encoded == (picture.encoded or data)
        assert hashlib.sha256(record.encoded).hexdigest() == row.stored_sha256


@pytest.mark.parametrize(
    ("settings", "kind", "shape"),
    [
        ({}, "image", ["-1", "-1", "3"]),
        ({"image_size": 16}, "image", ["16", "16", "3"]),
        ({"image_size": 16, "encoding": "raw"}, "tensor", ["16", "16", "3"]),
    ],
)
def test_tfds_is_told_shape_and_encoding(
    flat, lay, make_records, settings, kind, shape
):
    records_dir = make_records(lay(flat), **settings).records_dir
    facts = read_manifest(records_dir).settings
    assert Storing.from_facts(facts) == Storing(**settings)
    tree = json.loads((records_dir / "features.json").read_text())
    feature = tree["featuresDict"]["features"]["image/encoded"]
    assert feature[kind]["shape"] == {"dimensions": shape}
    assert feature[kind]["dtype"] == "uint8"
    encoding = {"image": ("encodingFormat", "jpeg"), "tensor": ("encoding", "bytes")}
    name, value = encoding[kind]
    assert feature[kind][name] == value
    assert feature["pythonClassName"].endswith(f".{kind.capitalize()}")
