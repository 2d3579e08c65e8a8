import base64
import dataclasses
import html.parser
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.inputs.places import FilePlace
from tfpipe.data.manifest import Manifest
from tfpipe.data.overview import numbers as overview_numbers
from tfpipe.data.overview import pictures as overview_pictures
from tfpipe.data.overview import reasons as overview_reasons
from tfpipe.data.overview.charts import count_bins, histogram, round_step
from tfpipe.data.overview.page import REPORT, write_overview
from tfpipe.data.overview.parts import plural, safe, share, thumbnail
from tfpipe.data.records import Record

VOID = {"meta", "img", "line"}
TAGS = VOID | {
    *("html", "head", "title", "style", "body", "nav", "section", "div", "figure"),
    *("figcaption", "h1", "h2", "h3", "small", "p", "ul", "li", "a", "b", "bdi"),
    *("span", "table", "thead", "tbody", "tr", "th", "td", "svg", "text", "rect"),
}
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "\" onload='alert(1)' x=\"",
    "&lt;script&gt;alert(1)&amp;",
    "evil\u202egpj.exe",
    "two\nlines\x1b[31m\x00",
    "狗的照片 🐕 شکل",
    "long" * 60,
]


class Page(html.parser.HTMLParser):
    """A page as a browser takes it: its tags, its words, what it would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._part_words(tag)
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        self._part_words(tag)
        assert self._open.pop() == tag

    def _part_words(self, tag):
        if tag not in ("a", "bdi"):
            self.words.append(" ")

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]


@pytest.fixture
def look(lay, make_records):
    """Return a maker of pages: look({path: bytes}, name, ...) through make_records."""

    def make(sources, name="data", **settings) -> Page:
        manifest = make_records(lay(sources, name), f"{name}.records", **settings)
        return read_page(manifest)

    return make


def read_page(manifest: Manifest) -> Page:
    data = (manifest.records_dir / REPORT).read_bytes()
    assert len(data) < 3_000_000
    return Page(data.decode())


def assert_nothing_acts(page: Page) -> None:
    assert set(page.tags) <= TAGS
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert all(src.startswith("data:image/jpeg;base64,") for src in values(page, "src"))
    assert all(href.startswith("#") for href in values(page, "href"))


def values(page: Page, name: str) -> list[str]:
    return [value for _, found, value in page.attributes if found == name]


def a_manifest(folder: Path, *, sizes, counts, names=("dog", "cat")) -> Manifest:
    return Manifest(
        records_dir=folder,
        dataset_name="pets",
        class_names=tuple(names),
        split_sizes=dict(sizes),
        shards=(),
        fingerprint="0" * 64,
        settings={
            "validation_split": 0.25,
            "test_split": 0.0,
            "split_like": "",
            "has_given_splits": False,
        },
        counts={
            "found": sum(sizes.values()),
            "written": sum(sizes.values()),
            "rejected": 0,
            "normalised": 0,
            "normalised_by_reason": {},
            "duplicate_groups": [],
            "named_groups": 0,
            "by_split": counts,
        },
    )


def a_row(key: str, label: int = 0, **values) -> Scanned:
    place = FilePlace(path="", size=values.pop("size", 1000))
    return Scanned(
        key=key, label=label, stored=place, **{"height": 30, "width": 40, **values}
    )


def numbered_rows(manifest: Manifest) -> list[Scanned]:
    """Return a row for each picture that a manifest counts, split after split."""
    return [
        a_row(f"{split}.{name}.{number}.jpg", manifest.class_names.index(name))
        for split, by_class in manifest.counts["by_split"].items()
        for name, count in by_class.items()
        for number in range(count)
    ]


def write(manifest: Manifest, rows=None, rejects=(), num_pictures=0) -> Page:
    write_overview(
        manifest,
        numbered_rows(manifest) if rows is None else rows,
        rejects=rejects,
        versions={"pillow": "1"},
        num_pictures=num_pictures,
    )
    return read_page(manifest)


def test_make_records_leaves_a_page_that_needs_nothing_beside_it(flat, look):
    page = look(flat)
    assert_nothing_acts(page)
    assert "dogs_vs_cats: the data" in page.text
    for words in ("20 found", "20 written, 100.0 %", "0 rejected, 0.0 %"):
        assert words in page.text
    assert "0 dog 9 60.0 % 3 60.0 % 12 60.0 %" in page.text
    assert "all 15 75.0 % 5 25.0 % 20" in page.text
    assert "Always answering dog is right for 60.0 % of validation" in page.text
    assert values(page, "href") == [
        *("#classes", "#sizes", "#normalised", "#rejected"),
        *("#duplicates", "#pictures", "#settings"),
    ]
    assert set(page.values("h2", "id")) == {href[1:] for href in values(page, "href")}


def test_the_page_forbids_itself_to_load_anything(flat, look):
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert policy in look(flat).values("meta", "content")


def test_equal_records_give_an_equal_page_wherever_they_are_made(
    flat, lay, pack, make_records
):
    flat["dog.cut.jpg"] = b"\xff\xd8\xff"
    made = [
        make_records(lay(flat), "one"),
        make_records(pack(flat), "deep/down/two", num_workers=2),
    ]
    one, two = [(m.records_dir / REPORT).read_bytes() for m in made]
    assert one == two
    assert str(made[0].records_dir.parent).encode() not in one


def test_without_pictures_there_is_no_picture(flat, look):
    flat["dog.twin.jpg"] = flat["dog.1.jpg"]
    page = look(flat, pictures=0)
    assert "img" not in page.tags
    assert "Pictures" not in page.text
    assert "dog.twin.jpg dog, train" in page.text


def test_pictures_are_spread_evenly_over_train(flat, lay, make_records):
    manifest = make_records(lay(flat), pictures=3)
    page = read_page(manifest)
    shown = page.values("img", "alt")
    assert len(shown) == 6
    assert "dog 3 of 9 in train" in page.text
    assert "cat 3 of 6 in train" in page.text
    text = (manifest.records_dir / manifest.shards[0].file_name).read_bytes()
    dogs = [name.decode() for name in re.findall(rb"dog\.\d+\.jpg", text)]
    assert shown[:3] == [f"dog: {dogs[place]}" for place in (0, 3, 6)]


def test_a_class_with_few_pictures_shows_all(flat, look):
    assert len(look(flat, pictures=50).values("img", "alt")) == 15


def test_thumbnails_are_small_and_of_the_pictures_shape(encode, look):
    pictures = {f"dog.{i}.jpg": encode(i, size=(400, 200)) for i in range(3)}
    pictures |= {f"cat.{i}.jpg": encode(9 + i, size=(20, 30)) for i in range(3)}
    page = look(pictures, validation_split=0)
    sizes = list(
        zip(page.values("img", "width"), page.values("img", "height"), strict=True)
    )
    assert sizes == [("96", "48")] * 3 + [("20", "30")] * 3
    for source, size in zip(values(page, "src"), sizes, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        assert image.format == "JPEG"
        assert image.size == tuple(map(int, size))


@pytest.mark.parametrize(
    ("encoding", "tolerance"), [("raw", 6), ("jpeg", 6)], ids=["raw", "jpeg"]
)
def test_a_thumbnail_shows_the_record(encoding, tolerance):
    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[:150, :, 0], pixels[150:, :, 2] = 200, 200
    data = pixels.tobytes()
    if encoding == "jpeg":
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=95, subsampling=0)
        data = buffer.getvalue()
    record = Record(
        encoded=data,
        format=encoding,
        height=300,
        width=500,
        label=0,
        class_text="dog",
        file_name="dog.jpg",
        sha256="",
        source_id=0,
    )
    source = Page(thumbnail(record, 'a "dog"')).values("img", "src")[0]
    image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert image.size == (96, 58)
    top, bottom = np.asarray(image)[10, 40], np.asarray(image)[45, 40]
    assert np.abs(top.astype(int) - (200, 0, 0)).max() <= tolerance
    assert np.abs(bottom.astype(int) - (0, 0, 200)).max() <= tolerance


def test_raw_records_are_shown(flat, look):
    page = look(flat, image_size=16, encoding="raw", pictures=2)
    assert page.values("img", "width") == ["16"] * 4
    assert "the same for all: 16 pixels" in page.text
    assert "20 were resized for them" in page.text


def test_a_damaged_record_is_named(flat, lay, make_records):
    manifest = make_records(lay(flat))
    shard = manifest.records_dir / manifest.shards[0].file_name
    data = bytearray(shard.read_bytes())
    data[200] ^= 1
    shard.write_bytes(data)
    rows = [a_row(f"{i}.jpg", i % 2) for i in range(20)]
    with pytest.raises(ValueError, match=r"record 0 of .*-00000-of-00001 at offset 0"):
        write(manifest, rows, num_pictures=1)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_shown_and_does_nothing(name, encode, look, tmp_path):
    file_name = name.replace("/", "").replace("\0", "")[:200]
    pictures = {f"dog/{file_name}.jpg": encode(1), f"cat/{file_name}.jpg": b"<html>"}
    pictures |= {
        f"{kind}/{i}.jpg": encode(i) for i in (2, 3) for kind in ("dog", "cat")
    }
    pictures[f"dog/{file_name}.png"] = encode(4, kind="PNG")
    page = look(pictures, validation_split=0)
    assert_nothing_acts(page)
    shown = html.unescape(safe(f"dog/{file_name}.jpg"))
    assert shown in page.values("figure", "title")
    assert f"dog: {shown}" in page.values("img", "alt")
    assert " ".join(html.unescape(safe(f"cat/{file_name}.jpg")).split()) in page.text


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_class_setting_or_detail_does_nothing(name, tmp_path):
    sizes, counts = {"train": 2, "validation": 1}, {"train": {name: 1, "cat": 1}}
    manifest = a_manifest(
        tmp_path,
        sizes=sizes,
        counts={**counts, "validation": {name: 1}},
        names=[name, "cat"],
    )
    manifest.settings[name] = name
    manifest.counts["duplicate_groups"] = [[name, "b"]]
    manifest.counts["normalised_by_reason"] = {name: 1}
    manifest = dataclasses.replace(manifest, dataset_name=name)
    rows = [a_row(name, changes=(name,)), a_row("b", 1), a_row("c")]
    rejects = [{"key": name, "reason": name, "detail": name}] * 2
    page = write(manifest, rows, rejects)
    assert_nothing_acts(page)
    words = " ".join(html.unescape(safe(name)).split())
    assert page.text.count(words) >= 12
    for hidden in "\u202e\x1b\x00":
        assert hidden not in (tmp_path / REPORT).read_text()


def test_text_is_escaped_spelt_out_and_cut_in_its_middle():
    assert safe("<a href='x'>&\"") == "&lt;a href=&#x27;x&#x27;&gt;&amp;&quot;"
    assert safe("a\u202eb\nc\x00\udcff") == r"a\u202eb\nc\x00\udcff"
    assert safe("می\u200cشود 狗") == "می\u200cشود 狗"
    assert safe("abcdefghij", 7) == "abc…hij"


def test_the_same_picture_under_two_classes_comes_first_and_loud(flat, look):
    flat |= {f"cat.a{i}.jpg": flat["cat.0.jpg"] for i in range(3)}
    flat["dog.wrong.jpg"] = flat["cat.5.jpg"]
    page = look(flat)
    assert_nothing_acts(page)
    assert "1 picture under more than one class: at most one of the" in page.text
    groups = page.text.index("6 pictures in 2 groups")
    wrong = page.text.index("The same bytes under two classes")
    assert groups < wrong < page.text.index("cat.a0.jpg", groups)
    assert "cat.5.jpg cat, train dog.wrong.jpg dog, train" in page.text
    kinds = [value for value in values(page, "class") if value.startswith("group")]
    assert kinds == ["group flagged", "group"]
    alts = page.values("img", "alt")
    assert alts[:2] == ["2 pictures such as cat.5.jpg", "4 pictures such as cat.0.jpg"]


def test_the_same_picture_in_two_splits_is_flagged(tmp_path):
    manifest = a_manifest(
        tmp_path,
        sizes={"train": 2, "validation": 1},
        counts={"train": {"dog": 1, "cat": 1}, "validation": {"dog": 1, "cat": 0}},
    )
    manifest.counts["duplicate_groups"] = [["a", "c"]]
    page = write(manifest, [a_row("a"), a_row("b", 1), a_row("c")])
    assert "1 picture in more than one split: what was trained on is" in page.text
    assert "The same bytes in two splits a dog, train c dog, validation" in page.text


def test_many_duplicates_are_cut_to_a_count(tmp_path, monkeypatch):
    monkeypatch.setattr(overview_pictures, "MAX_GROUPS", 2)
    monkeypatch.setattr(overview_pictures, "MAX_MEMBERS", 3)
    counts = {"train": {"dog": 19, "cat": 1}, "validation": {}}
    sizes = {"train": 20, "validation": 0}
    manifest = a_manifest(tmp_path, sizes=sizes, counts=counts)
    rows = numbered_rows(manifest)
    keys = [row.key for row in rows]
    manifest.counts["duplicate_groups"] = [keys[:5], keys[5:7], keys[7:9], keys[9:11]]
    page = write(manifest, rows)
    assert "11 pictures in 4 groups" in page.text
    assert page.text.count("and 2 more ") == 2
    assert "and 2 more groups, listed in metadata.json under" in page.text
    assert keys[4] not in page.text and keys[7] not in page.text


def test_rejects_are_told_by_reason_with_the_first_keys(tmp_path):
    sizes = {"train": 2, "validation": 0}
    counts = {"train": {"dog": 1, "cat": 1}, "validation": {}}
    manifest = a_manifest(tmp_path, sizes=sizes, counts=counts)
    manifest.counts.update(found=32, rejected=30)
    rejects = [
        {"key": f"dog.{i:02}.jpg", "reason": "truncated", "detail": f"{i} bytes left"}
        for i in range(23)
    ]
    rejects += [
        {"key": f"x.{i}", "reason": "empty", "detail": "0 bytes"} for i in (1, 2)
    ]
    rejects += [{"key": "w", "reason": "whimsical", "detail": "why not"}]
    rejects += [
        {"key": "z", "reason": "unreadable", "detail": "[Errno 2] gone: '/home/me/z'"}
    ]
    page = write(manifest, rejects=rejects)
    assert "93.8 % of the pictures are rejected: see why" in page.text
    assert "27 pictures could not be written" in page.text
    assert (
        "truncated 23 pictures The picture breaks off, or bytes within it are damaged "
        "or missing." in page.text
    )
    assert "dog.19.jpg 19 bytes left and 3 more, listed in rejects.jsonl" in page.text
    assert "dog.20.jpg" not in page.text
    assert "The file has 0 bytes. Each: 0 bytes x.1 x.2" in page.text
    assert "whimsical 1 picture key detail w why not" in page.text
    assert "z [Errno 2] gone: '…" in page.text
    assert "/home" not in page.text


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("links to /home/me/x.jpg, not there", "links to …"),
        (
            "[Errno 13] Permission denied: '/tmp/a b'",
            "[Errno 13] Permission denied: '…",
        ),
        (r"can't open C:\Users\me", "can't open …"),
        ("/only", "…"),
        ("links to a/b.jpg, 1 / 2 of it", "links to a/b.jpg, 1 / 2 of it"),
        ("4 x 40 has a side below 8 pixels", "4 x 40 has a side below 8 pixels"),
    ],
)
def test_a_place_on_the_machine_is_cut_off(detail, shown):
    assert overview_reasons.without_places(detail) == shown


def test_what_make_records_can_say_is_explained(encode, look):
    pictures = {f"cat.{i}.jpg": encode(i) for i in range(4)}
    pictures |= {f"dog.{i}.jpg": encode(9 + i) for i in range(4)}
    pictures |= {
        "cat.png": encode(20, kind="PNG"),
        "cat.gif": encode(21, kind="GIF"),
        "cat.alpha.png": encode(22, kind="PNG", mode="RGBA"),
        "dog.ink.jpg": encode(23, mode="CMYK"),
        "dog.empty.jpg": b"",
        "dog.cut.jpg": encode(24)[:-200],
        "dog.page.jpg": b"<html>",
        "dog.tiny.jpg": encode(25, size=(4, 40)),
        "cat and dog.jpg": encode(26),
        "bird.jpg": encode(27),
    }
    page = look(pictures)
    assert "4 pictures decoded without being a clean JPEG" in page.text
    assert "png 2 PNG, whatever the name says. Such as cat.alpha.png" in page.text
    assert "alpha 1 Transparent in places: laid on white. Such as" in page.text
    for word in ("cmyk", "gif"):
        assert f"{word} 1 {overview_reasons.CHANGES[word]} Such as" in page.text
    words = ("ambiguous", "empty", "not_a_picture", "too_small", "truncated")
    for word in (*words, "unlabelled"):
        assert f"{word} 1 picture {overview_reasons.REASONS[word]}" in page.text


def test_clean_pictures_have_nothing_to_tell(flat, look):
    page = look(flat)
    assert "None: every picture written was a clean JPEG already." in page.text
    assert "Rejected None." in page.text
    assert "None: no two pictures have the same bytes." in page.text
    assert "warning" not in values(page, "class")


def test_uneven_and_empty_classes_are_warned_of(tmp_path):
    names = [f"kind{i}" for i in range(14)]
    counts = {
        "train": dict.fromkeys(names, 2) | {"kind0": 25},
        "validation": {"kind0": 6, "kind1": 1},
    }
    sizes = {"train": 51, "validation": 7}
    manifest = a_manifest(tmp_path, sizes=sizes, counts=counts, names=names)
    page = write(manifest)
    assert "different size: kind0 has 31 pictures, kind13 has 2." in page.text
    assert "without a picture in validation: kind2, kind3" in page.text
    assert "kind11, 2 more" in page.text
    assert page.text.count("without a picture in") == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "Asked for: validation 0.25 and test 0. What is left is train."),
        (
            {"has_given_splits": True},
            "Asked for: splits that the input gives are kept; of the rest, validation",
        ),
        (
            {"has_given_splits": True, "split_like": "ab"},
            "Asked for: pictures of the earlier records keep their split; of all, val",
        ),
    ],
)
def test_it_says_how_the_splits_came(settings, words, tmp_path):
    sizes = {"train": 2, "validation": 0}
    counts = {"train": {"dog": 1, "cat": 1}, "validation": {}}
    manifest = a_manifest(tmp_path, sizes=sizes, counts=counts)
    manifest.settings.update(settings)
    manifest.counts["named_groups"] = 3
    page = write(manifest)
    assert words in page.text
    assert "3 named groups of two pictures or more: none is parted" in page.text
    assert "of validation." not in page.text
    assert "without a picture in" not in page.text


def test_of_very_many_classes_the_largest_and_the_smallest_are_listed(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(overview_numbers, "MAX_CLASSES", 4)
    names = [f"kind{i}" for i in range(9)]
    counts = {"train": {n: 10 + i for i, n in enumerate(names)}, "validation": {}}
    sizes = {"train": sum(counts["train"].values()), "validation": 0}
    manifest = a_manifest(tmp_path, sizes=sizes, counts=counts, names=names)
    page = write(manifest)
    assert re.findall(r"\d (kind\d) \d\d ", page.text) == [
        *("kind0", "kind1", "kind7", "kind8")
    ]
    assert "the 2 largest and the 2 smallest of 9 classes" in page.text


def test_many_classes_show_fewer_pictures_each(encode, look, monkeypatch):
    monkeypatch.setattr(overview_pictures, "MAX_PICTURES", 7)
    pictures = {
        f"{kind}/{i}.jpg": encode(i) for kind in ("a", "b", "c") for i in range(9)
    }
    assert len(look(pictures, "three", pictures=4).values("figure", "title")) == 6
    pictures = {f"{kind}/{i}.jpg": encode(i) for kind in "abcdefghi" for i in range(2)}
    page = look(pictures, "nine", validation_split=0)
    assert len(page.values("figure", "title")) == 7
    assert "and 2 more classes" in page.text


def test_the_pictures_of_the_fullest_page_stay_below_3_mb():
    noise = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    record = Record(
        encoded=noise.tobytes(),
        format="raw",
        height=96,
        width=96,
        label=0,
        class_text="",
        file_name="",
        sha256="",
        source_id=0,
    )
    smooth = dataclasses.replace(record, encoded=(noise // 8 + 100).tobytes())
    num = overview_pictures.MAX_PICTURES + overview_pictures.MAX_GROUPS
    # Grain all over is far more than photographs have; pure noise hardly passes.
    assert num * len(thumbnail(smooth, "")) < 2_500_000
    assert num * len(thumbnail(record, "")) < 3_000_000


def test_sizes_that_training_would_enlarge_are_counted(tmp_path):
    sizes = {"train": 4, "validation": 0}
    counts = {"train": {"dog": 3, "cat": 1}, "validation": {}}
    shapes = [(500, 100), (299, 299), (200, 400), (600, 600)]
    rows = [a_row(f"{i}", i // 3, height=h, width=w) for i, (h, w) in enumerate(shapes)]
    page = write(a_manifest(tmp_path, sizes=sizes, counts=counts), rows)
    table = "side smaller pictures share 128 1 25.0 % 160 1 25.0 % 224 2 50.0 % "
    assert table + "299 2 50.0 % 384 3 75.0 % 512 3 75.0 %" in page.text
    assert "Shorter side smallest 100, median 200, largest 600 pixels" in page.text
    assert "Stored size the same for all: 1 kB" in page.text


def bars(text: str) -> list[str]:
    return re.findall("<title>(.*?)</title>", text)


def test_a_histogram_counts_every_value_once():
    values = np.array([100, 101, 119, 120, 300, 300, 539], np.int64)
    text = histogram(values, "width", "pixels")
    Page(text)
    assert bars(text) == [
        "from 100 to below 120 pixels: 3",
        "from 120 to below 140 pixels: 1",
        "from 300 to below 320 pixels: 2",
        "from 520 to below 540 pixels: 1",
    ]
    assert "smallest 100, median 120, largest 539 pixels" in text
    assert ">width in pixels</text>" in text and ">pictures</text>" in text


def test_a_histogram_has_one_bar_for_what_is_far_above():
    values = np.array([*range(100, 200), 9_000], np.int64)
    text = histogram(values, "width", "pixels")
    assert bars(text)[-2:] == ["from 195 to below 200 pixels: 5", "from 200 pixels: 1"]
    assert ">more</text>" in text


def test_a_histogram_of_bytes_is_in_its_unit():
    values = np.array([1_500, 6_500, 12_000], np.int64)
    text = histogram(values, "stored size", "kB", divisor=1000)
    assert bars(text)[0] == "from 1.5 to below 2 kB: 1"
    assert "smallest 1.5, median 6.5, largest 12 kB" in text


@pytest.mark.parametrize("seed", range(20))
def test_bins_are_few_round_and_complete(seed):
    random = np.random.default_rng(seed)
    values = random.integers(1, random.integers(2, 10**6), random.integers(1, 500))
    bins = count_bins(values)
    assert bins.counts.sum() == len(values)
    assert len(bins.counts) <= 25
    assert bins.start <= values.min()
    assert str(bins.step).rstrip("0") in {"1", "2", "5"}


@pytest.mark.parametrize(
    ("span", "num_steps", "step"),
    [(1, 5, 1), (5, 5, 1), (6, 5, 2), (24, 5, 5), (26, 5, 10), (10_001, 1, 20_000)],
)
def test_steps_are_round(span, num_steps, step):
    assert round_step(span, num_steps) == step


def test_shares_and_plurals():
    assert (share(1, 3), share(0, 0)) == ("33.3\u00a0%", "0.0\u00a0%")
    assert (plural(1, "group"), plural(1200, "group")) == ("1 group", "1,200 groups")


def test_settings_and_versions_are_listed(flat, lay, make_records):
    manifest = make_records(lay(flat), min_side=9)
    page = read_page(manifest)
    metadata = json.loads((manifest.records_dir / "metadata.json").read_bytes())
    assert manifest.fingerprint in page.text
    assert "min_side 9" in page.text
    assert "class_names dog, cat" in page.text
    for library, version in metadata["versions"].items():
        assert f"{library} {version}" in page.text
