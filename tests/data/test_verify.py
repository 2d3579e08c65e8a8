"""A folder of seven tiny pictures, whole at first, then wrong in one way each."""

import collections
import dataclasses
import hashlib
import io
import json
import os
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tfpipe.data import manifest as manifests
from tfpipe.data.checks import faults
from tfpipe.data.checks.faults import Fault, Faults, shown
from tfpipe.data.checks.record_check import Stored
from tfpipe.data.checks.shard_check import CheckJob, check_shard
from tfpipe.data.checks.verify import VerifyConfig, verify
from tfpipe.data.conversion.shards import dataset_fingerprint
from tfpipe.data.manifest import Manifest, Shard
from tfpipe.data.records import Record, frame_record

CLASSES = ("dog", "cat")
SIZES = {"train": 4, "validation": 3}
TRAIN, VALIDATION = (
    "pets-train.tfrecord-00000-of-00001",
    ("pets-validation.tfrecord-00000-of-00001"),
)
SETTINGS = {"dataset_name": "pets", "class_names": list(CLASSES), "max_pixels": 10_000}


def jpeg(seed, side=8):
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=30)
    return buffer.getvalue()


def make_record(number, **changes):
    encoded = jpeg(number)
    values = {
        "encoded": encoded,
        "format": "jpeg",
        "height": 8,
        "width": 8,
        "label": number % 2,
        "class_text": CLASSES[number % 2],
        "file_name": f"{CLASSES[number % 2]}.{number}.jpg",
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "source_id": number,
    }
    return Record(**{**values, **changes})


def build(folder, records, settings=SETTINGS, **changes):
    """Write a records folder whose sums are right whatever the records are."""
    (folder / "index").mkdir(parents=True)
    shards, digests, by_split, start = [], [], {}, 0
    for split, size in SIZES.items():
        payloads = [record.to_bytes() for record in records[start : start + size]]
        name = manifests.shard_name("pets", split, 0, 1)
        write_shard(folder, name, payloads)
        data = (folder / name).read_bytes()
        shards.append(
            Shard(
                file_name=name,
                split=split,
                num_examples=size,
                num_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
        digests += [hashlib.sha256(payload).hexdigest() for payload in payloads]
        labels = [r.label for r in records[start : start + size]]
        by_split[split] = {c: labels.count(i) for i, c in enumerate(CLASSES)}
        start += size
    changed = [hashlib.sha256(r.encoded).hexdigest() != r.sha256 for r in records]
    (folder / "rejects.jsonl").write_text(
        '{"key": "a", "reason": "empty", "detail": "0 bytes"}\n'
    )
    counts = {
        "found": 8,
        "written": 7,
        "rejected": 1,
        "rejected_by_reason": {"empty": 1},
        "normalised": sum(changed),
        "by_split": by_split,
    }
    manifest = Manifest(
        records_dir=folder,
        dataset_name="pets",
        class_names=CLASSES,
        split_sizes=SIZES,
        shards=tuple(shards),
        fingerprint=dataset_fingerprint(CLASSES, SIZES, digests),
        settings=settings,
        counts=counts,
    )
    manifest = dataclasses.replace(manifest, **changes)
    manifests.write_manifest(manifest, versions={})
    return manifest


def write_shard(folder, name, payloads):
    blocks = [frame_record(payload) for payload in payloads]
    (folder / name).write_bytes(b"".join(blocks))
    write_index(folder, name, list(map(len, blocks)))


def write_index(folder, name, sizes):
    lines = [f"{sum(sizes[:i])} {size}\n" for i, size in enumerate(sizes)]
    (folder / "index" / f"{name}.idx").write_text("".join(lines))


def read_offsets(folder, name=TRAIN):
    lines = (folder / "index" / f"{name}.idx").read_text().splitlines()
    return [int(line.split()[0]) for line in lines]


@pytest.fixture
def pets(tmp_path):
    build(tmp_path / "records", [make_record(number) for number in range(7)])
    return tmp_path / "records"


@pytest.fixture
def check(pets, capsys):
    """Return a checker: (fault lines, error) of the folder as it is then."""

    def run(folder=pets, decode=False):
        config = VerifyConfig(records_dir=str(folder), decode=decode, num_workers=1)
        with pytest.raises(ValueError) as error:
            verify(config)
        return capsys.readouterr().out.splitlines(), str(error.value)

    return run


def change_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def job_of(manifest, number=0):
    first_id = sum(shard.num_examples for shard in manifest.shards[:number])
    return CheckJob(
        index=number,
        records_dir=str(manifest.records_dir),
        shard=manifest.shards[number],
        first_id=first_id,
        class_names=manifest.class_names,
        stored=Stored.of(manifest),
    )


# Sound records


@pytest.mark.parametrize("num_workers", [1, 2])
def test_records_that_make_records_wrote_are_sound(records_dir, num_workers):
    config = VerifyConfig(
        records_dir=str(records_dir), decode=False, num_workers=num_workers
    )
    line = verify(config)
    assert line.startswith("52 records in 4 shards are sound: ")
    assert "no key or content is in two splits" in line
    assert line.endswith("decoding was not checked (--nodecode)")


def test_records_that_make_records_wrote_decode(records_dir, capsys):
    line = verify(VerifyConfig(records_dir=str(records_dir), num_workers=2))
    assert line.endswith("every picture decodes in TensorFlow")
    assert capsys.readouterr().out == ""


def test_normalised_and_rejected_pictures_leave_sound_records(
    flat, encode, lay, make_records
):
    more = {"dog.98.jpg": encode(98, kind="PNG"), "dog.99.jpg": b""}
    manifest = make_records(lay(flat | more))
    assert manifest.counts["normalised"] == manifest.counts["rejected"] == 1
    folder = str(manifest.records_dir)
    verify(VerifyConfig(records_dir=folder, decode=False, num_workers=1))


def test_nothing_is_written(pets, contents):
    before = contents(pets)
    times = {path: path.stat().st_mtime_ns for path in pets.rglob("*")}
    verify(VerifyConfig(records_dir=str(pets), decode=False, num_workers=1))
    assert contents(pets) == before
    assert {path: path.stat().st_mtime_ns for path in pets.rglob("*")} == times


def test_raw_pixels_are_sound_and_need_no_decoding(tmp_path):
    settings = {**SETTINGS, "encoding": "raw", "image_size": 8}
    raw = {"format": "raw", "height": 8, "width": 8, "encoded": bytes(192)}
    records = [make_record(n, **raw, sha256=f"{n:064x}") for n in range(7)]
    build(tmp_path / "records", records, settings)
    line = verify(VerifyConfig(records_dir=str(tmp_path / "records"), num_workers=1))
    assert line.endswith("the bytes of its pixels, nothing to decode")


# Damaged files


def test_every_flipped_byte_of_a_shard_is_found_and_named(pets):
    manifest = manifests.read_manifest(pets)
    job, path = job_of(manifest), pets / TRAIN
    whole, offsets = path.read_bytes(), read_offsets(pets)
    assert 2000 < len(whole) < 3000
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x24
        path.write_bytes(damaged)
        report = check_shard(job)
        number = sum(offset <= place for offset in offsets) - 1
        named = [(f.record, f.offset) for f in report.faults.first if f.record >= 0]
        assert named == [(number, offsets[number])], place
        assert report.faults.first[0].what.startswith("sha256 must be")
        assert report.is_damaged
        assert report.rows["number"].tolist() == [n for n in range(4) if n != number]


def test_every_flipped_byte_of_an_index_is_found(pets):
    job = job_of(manifests.read_manifest(pets))
    path = pets / "index" / f"{TRAIN}.idx"
    whole = path.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        path.write_bytes(damaged)
        report = check_shard(job)
        assert [fault.what[:10] for fault in report.faults.first] == ["index must"]
        assert report.is_damaged
        assert len(report.rows) == 4


def test_a_flipped_byte_is_told_with_its_place_and_what_to_do(pets, check):
    offset = read_offsets(pets)[2]
    data = bytearray((pets / TRAIN).read_bytes())
    data[offset + 200] ^= 1
    (pets / TRAIN).write_bytes(data)
    lines, error = check()
    assert lines[1] == (
        f"record 2 of {TRAIN} at offset {offset}, key 'dog.2.jpg': record's bytes must "
        "match their checksum, got another; it is damaged"
    )
    assert error == (
        "records must be sound, got 2 faults in 1 shard; the same make_records command "
        f"rebuilds the shards that are damaged, alone: {TRAIN}"
    )


def test_behind_a_broken_length_the_index_finds_the_rest(pets, check):
    offset = read_offsets(pets)[1]
    data = bytearray((pets / TRAIN).read_bytes())
    data[offset] ^= 1
    data[-1] ^= 1
    (pets / TRAIN).write_bytes(data)
    lines, _ = check()
    assert len(lines) == 3
    assert "record 1 of" in lines[1]
    assert "key 'cat.1.jpg': record's length must match" in lines[1]
    assert "record 3 of" in lines[2]


def test_without_an_index_a_broken_length_ends_the_walk(pets, check):
    data = bytearray((pets / TRAIN).read_bytes())
    data[read_offsets(pets)[1]] ^= 1
    (pets / TRAIN).write_bytes(data)
    (pets / "index" / f"{TRAIN}.idx").unlink()
    lines, _ = check()
    assert len(lines) == 3
    assert "record 1 of" in lines[1]
    assert lines[1].endswith("it is damaged; 2 behind it can't be found")
    assert lines[2].endswith(f"{TRAIN}.idx must be there, got no such file")


@pytest.mark.parametrize("record", range(4))
@pytest.mark.parametrize("rest", [0, 5, 14, 100])
def test_a_cut_shard_is_found(pets, record, rest):
    job = job_of(manifests.read_manifest(pets))
    data = (pets / TRAIN).read_bytes()
    (pets / TRAIN).write_bytes(data[: read_offsets(pets)[record] + rest])
    report = check_shard(job)
    whats = [fault.what for fault in report.faults.first]
    assert whats[0].startswith(f"file must be {len(data):,} bytes long, got")
    if rest:
        assert report.faults.first[1].record == record
        assert record == 3 or whats[1].endswith(
            f"; {3 - record} behind it can't be found"
        )
    else:
        assert whats[1] == f"records must be 4, got {record}"
    assert len(whats) == 2
    assert report.rows["number"].tolist() == list(range(record))


def test_a_missing_shard_leaves_the_others_checked(pets, check):
    (pets / TRAIN).unlink()
    data = bytearray((pets / VALIDATION).read_bytes())
    data[100] ^= 1
    (pets / VALIDATION).write_bytes(data)
    lines, error = check()
    assert lines[0] == (
        f"{TRAIN}: {TRAIN} must be there, got no such file; its records are unknown"
    )
    assert f"record 0 of {VALIDATION}" in lines[2]
    assert error.endswith(f"alone: {TRAIN}, {VALIDATION}")


def test_swapped_records_are_found(pets, check):
    records = [make_record(number) for number in (0, 2, 1, 3)]
    write_shard(pets, TRAIN, [record.to_bytes() for record in records])
    lines, _ = check()
    assert "record 1 of" in lines[1]
    assert lines[1].endswith(
        "source id must be 1, its place in the global order, got 2"
    )
    assert "record 2 of" in lines[2]
    assert "fingerprint must be" in lines[-1]


def test_a_shard_of_other_contents_is_found(pets, check):
    records = [make_record(n) for n in range(4)]
    # The last byte of the pixels: still a whole JPEG, of the same length.
    others = [r.encoded[:-3] + b"\x55" + r.encoded[-2:] for r in records]
    records = [make_record(n, encoded=other) for n, other in enumerate(others)]
    write_shard(pets, TRAIN, [record.to_bytes() for record in records])
    lines, error = check()
    assert any(line.startswith(f"{TRAIN}: sha256 must be") for line in lines)
    assert any("counts.normalised must be 4" in line for line in lines)
    assert any("fingerprint must be" in line for line in lines)
    assert TRAIN in error


def test_records_beyond_the_counted_are_found(pets, check):
    with open(pets / TRAIN, "ab") as file:
        file.write(frame_record(make_record(4).to_bytes()))
    lines, _ = check()
    assert f"{TRAIN}: records must be 4, got 5" in lines


# Wrong records in whole files


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"class_text": "cat"}, "class text must be 'dog', the name of label 0"),
        ({"label": 2}, "label must be from 0 to 1, got 2"),
        ({"label": -1}, "label must be from 0 to 1, got -1"),
        ({"source_id": 7}, "source id must be 2, its place in the global order, got 7"),
        ({"file_name": ""}, "key must name the source, got an empty one"),
        ({"sha256": "0" * 63}, "sha256 must be 64 hexadecimal digits"),
        ({"format": "png"}, "format must be jpeg, got 'png'"),
        ({"height": 9}, "picture must be 9 x 8 as its record says, got 8 x 8"),
        ({"width": 0}, "picture must have from 1 to 10,000 pixels, got 8 x 0"),
        ({"height": 2**62}, "picture must have from 1 to 10,000 pixels"),
        ({"encoded": b"GIF89a"}, "picture must begin as a JPEG, got b'GIF89a'"),
        ({"encoded": jpeg(2)[:-2]}, "picture must be a whole 8-bit Huffman-coded"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, check, changes, what):
    records = [make_record(number) for number in range(7)]
    records[2] = make_record(2, **changes)
    manifest = build(tmp_path / "wrong", records)
    lines, error = check(manifest.records_dir)
    named = [line for line in lines if what in line]
    offset = read_offsets(manifest.records_dir)[2]
    assert named[0].startswith(f"record 2 of {TRAIN} at offset {offset}")
    assert "the shards are as they were written" in error


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"a", "record must be a tf.train.Example"),
        (b"", "record must have one value of image/encoded, got 0"),
        (make_record(2).to_bytes().replace(b"dog.2", b"dog.\xff"), "must be UTF-8"),
    ],
)
def test_bytes_that_are_no_record_are_named(pets, check, payload, what):
    payloads = [make_record(number).to_bytes() for number in range(4)]
    payloads[2] = payload
    write_shard(pets, TRAIN, payloads)
    lines, _ = check()
    assert f"record 2 of {TRAIN}" in lines[1]
    assert what in lines[1]


def test_pictures_of_another_size_than_the_settings_are_named(tmp_path, check):
    records = [make_record(number) for number in range(7)]
    build(tmp_path / "wrong", records, {**SETTINGS, "image_size": 16})
    lines, _ = check(tmp_path / "wrong")
    assert len(lines) == 7
    assert lines[0].endswith("picture must be 16 x 16, got 8 x 8")


def test_raw_pixels_of_another_length_are_named(tmp_path, check):
    settings = {**SETTINGS, "encoding": "raw", "image_size": 8}
    raw = {"format": "raw", "height": 8, "width": 8, "encoded": bytes(191)}
    records = [make_record(n, **raw, sha256=f"{n:064x}") for n in range(7)]
    build(tmp_path / "wrong", records, settings)
    lines, _ = check(tmp_path / "wrong")
    assert lines[0].endswith("picture must be 192 bytes for 8 x 8 x 3, got 191")


def test_a_picture_that_tensorflow_cannot_decode_is_named(tmp_path, check):
    encoded = jpeg(2)
    start = encoded.index(b"\xff\xdb")
    end = start + 2 + int.from_bytes(encoded[start + 2 : start + 4], "big")
    broken = encoded[:start] + encoded[end:]  # without its quantization table
    sha256 = hashlib.sha256(broken).hexdigest()
    records = [make_record(number) for number in range(7)]
    records[2] = make_record(2, encoded=broken, sha256=sha256)
    folder = build(tmp_path / "wrong", records).records_dir
    verify(VerifyConfig(records_dir=str(folder), decode=False, num_workers=1))
    lines, error = check(folder, decode=True)
    assert len(lines) == 1
    assert lines[0].startswith(
        f"record 2 of {TRAIN} at offset {read_offsets(folder)[2]}"
    )
    assert "key 'dog.2.jpg': picture must decode in TensorFlow, got: " in lines[0]
    assert "{{" not in lines[0]
    assert "got 1 fault in 1 shard" in error


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"file_name": "dog.2.jpg"}, "key must be in one split"),
        ({"sha256": make_record(2).sha256}, "content must be in one split"),
        ({"group": "Rex"}, "group 'Rex' must be in one split"),
    ],
)
def test_what_is_in_two_splits_is_named_in_both(tmp_path, check, changes, what):
    records = [make_record(number, group="") for number in range(7)]
    records[2] = make_record(2, group="Rex")
    records[5] = make_record(5, **{"group": "", **changes})
    folder = build(tmp_path / "wrong", records).records_dir
    lines, _ = check(folder)
    assert len(lines) == 1
    assert lines[0].startswith(f"record 1 of {VALIDATION}")
    assert f"{what}, got it in validation and in train: record 2 of {TRAIN}" in lines[0]
    assert lines[0].endswith("key 'dog.2.jpg'")


def test_a_key_that_comes_twice_in_a_split_is_named(tmp_path, check):
    records = [make_record(number) for number in range(7)]
    records[3] = make_record(3, file_name="dog.0.jpg")
    lines, _ = check(build(tmp_path / "wrong", records).records_dir)
    assert len(lines) == 1
    assert "record 3 of" in lines[0]
    assert f"key must be one record's, got it also for record 0 of {TRAIN}" in lines[0]


def test_equal_contents_and_groups_within_a_split_are_sound(tmp_path):
    records = [make_record(number, group="") for number in range(7)]
    same = {"encoded": records[0].encoded, "sha256": records[0].sha256}
    records[2] = make_record(2, **same)
    records[5:] = [make_record(number, group="Rex") for number in (5, 6)]
    folder = build(tmp_path / "twins", records).records_dir
    line = verify(VerifyConfig(records_dir=str(folder), decode=False, num_workers=1))
    assert "no key, content or group is in two splits" in line


# What stands beside the shards


@pytest.mark.parametrize(
    "name",
    [
        "dataset_info.json",
        "features.json",
        "image.class.label.labels.txt",
        "rejects.jsonl",
        f"index/{TRAIN}.idx",
    ],
)
def test_a_missing_file_is_named(pets, check, name):
    (pets / name).unlink()
    lines, _ = check()
    assert len(lines) == 1
    assert f"{name.rpartition('/')[2]} must be there, got no such file" in lines[0]


def test_a_missing_index_folder_is_named(pets, check):
    for path in (pets / "index").iterdir():
        path.unlink()
    (pets / "index").rmdir()
    assert "index must be a folder, got No such file or directory" in check()[0]


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        (
            "dataset_info.json",
            lambda v: v["splits"][0].update(filepathTemplate="/etc/{SPLIT}"),
            "dataset_info.json: splits[0]: filepathTemplate must be '{DATASET}-",
        ),
        (
            "dataset_info.json",
            lambda v: v["splits"][1].update(shardLengths=["4"]),
            "dataset_info.json: splits[1]: shardLengths[0] must be '3', got '4'",
        ),
        (
            "dataset_info.json",
            lambda v: v.update(surprise=1),
            "dataset_info.json: surprise must be None, got 1",
        ),
        (
            "features.json",
            lambda v: v["featuresDict"]["features"].pop("image/width"),
            "features.json: featuresDict: features: image/width must be {",
        ),
        (
            "metadata.json",
            lambda v: v.update(fingerprint="0" * 64),
            "metadata.json: fingerprint must be '",
        ),
        (
            "metadata.json",
            lambda v: v["counts"]["by_split"]["train"].update(dog=3),
            "metadata.json: counts.by_split.train must be {'cat': 2, 'dog': 2}",
        ),
        (
            "metadata.json",
            lambda v: v["counts"].update(normalised=1),
            "metadata.json: counts.normalised must be 0 as the records are, got 1",
        ),
        (
            "metadata.json",
            lambda v: v["counts"].update(written=6),
            "metadata.json: counts.written must be 7, got 6",
        ),
        (
            "metadata.json",
            lambda v: v["counts"].update(found=9),
            "metadata.json: counts.found must be written + rejected, 7 + 1, got 9",
        ),
        (
            "metadata.json",
            lambda v: v["counts"].update(rejected=2, found=9),
            "rejects.jsonl must list 2 sources",
        ),
        (
            "metadata.json",
            lambda v: v["counts"].update(rejected_by_reason={"too_small": 1}),
            "rejects.jsonl must list 1 sources, by reason {'too_small': 1}, got 1",
        ),
        (
            "metadata.json",
            lambda v: v["settings"].update(class_names=["cat", "dog"]),
            "settings.class_names must be ['dog', 'cat'], got ['cat', 'dog']",
        ),
        (
            "metadata.json",
            lambda v: v.update(split_sizes=[["validation", 3], ["train", 4]]),
            "split_sizes must be of train, validation, test, got ['validation', ",
        ),
        (
            "metadata.json",
            lambda v: v.update(split_sizes=[["train", 5], ["validation", 3]]),
            "split_sizes must be {'train': 4, 'validation': 3} as its shards, got",
        ),
        (
            "metadata.json",
            lambda v: v.update(class_names=["dog", "dog"]),
            "class_names must be two or more, got ('dog', 'dog')",
        ),
    ],
)
def test_a_file_that_differs_from_the_records_is_named(pets, check, name, change, what):
    change_json(pets / name, change)
    lines, error = check()
    assert any(what in line for line in lines), lines
    assert "--overwrite" in error


def test_other_label_names_are_named(pets, check):
    (pets / "image.class.label.labels.txt").write_text("cat\ndog\n")
    lines, _ = check()
    assert lines == [
        "image.class.label.labels.txt must hold ('dog', 'cat'), a line each, got "
        "b'cat\\ndog\\n'"
    ]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_a_damaged_json_file_is_named(pets, check, text):
    (pets / "features.json").write_text(text)
    lines, _ = check()
    assert len(lines) == 1
    assert "features.json must be JSON, got b'" in lines[0]


@pytest.mark.parametrize(
    "line", ["{}", "[]", "3", '{"key": 1, "reason": "", "detail": ""}', "[" * 50_000]
)
def test_a_reject_of_another_form_is_named(pets, check, line):
    with open(pets / "rejects.jsonl", "a") as file:
        file.write(line + "\n")
    lines, _ = check()
    assert len(lines) == 1
    assert "key, reason, detail in every line, got b'" in lines[0]
    assert lines[0].endswith("as line 2")


@pytest.mark.parametrize(
    "name", ["pets-train.tfrecord-00000-of-00002", f"index/{TRAIN}.idx.old"]
)
def test_a_shard_that_nothing_lists_is_named(pets, check, name):
    (pets / name).touch()
    lines, _ = check()
    assert lines == [
        f"shards must be those of metadata.json, got also '{name}'; move it elsewhere"
    ]


# Folders that are none


def test_an_absent_or_unfinished_folder_says_what_to_type(pets, check, tmp_path):
    assert "got no folder there" in check(tmp_path / "none")[1]
    (pets / "dataset_info.json").unlink()
    (pets / ".partial").mkdir()
    command = "python tools/make_records.py --image_dir=pets"
    for found, told in (
        (command, command),
        ("rm -r pets", "python tools/make_records.py ... --overwrite"),
        (f"{command}\x1b[2J", "python tools/make_records.py ... --overwrite"),
    ):
        identity = json.dumps({"command": found})
        (pets / ".partial/identity.json").write_text(identity)
        assert check()[1].endswith(f"continue it with: {told}")
    (pets / ".partial/identity.json").write_text("{")
    assert check()[1].endswith("make_records.py ... --overwrite")


def test_a_folder_being_written_is_refused(pets, check):
    with manifests.files.FolderLock(pets):
        assert "must be finished, got one being written" in check()[1]


# Manifests that lie


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../x",
        "/etc/passwd",
        "a/b",
        "",
        "..\\x",
        f"{TRAIN}\0",
        VALIDATION,
        None,
        3,
        [TRAIN],
    ],
)
def test_a_shard_of_another_name_is_refused(pets, check, name):
    change_json(pets / "metadata.json", lambda v: v["shards"][0].update(file_name=name))
    lines, error = check()
    assert lines == []
    assert "this manifest was forged or damaged: don't use it" in error


@pytest.mark.parametrize("name", ["..", "a/b", "a\\b", "a\0", "a\nb", ""])
def test_a_dataset_of_a_strange_name_is_refused(pets, check, name):
    def rename(value):
        value["dataset_name"] = name
        for shard in value["shards"]:
            shard["file_name"] = manifests.shard_name(name, shard["split"], 0, 1)

    change_json(pets / "metadata.json", rename)
    lines, error = check()
    assert error
    assert not any(line.startswith("record") for line in lines)


@pytest.mark.parametrize(
    "value", [-1, 2**63, 1.5, "4", None, True, [4], float("nan"), float("inf")]
)
@pytest.mark.parametrize("field", ["num_bytes", "num_examples"])
def test_a_number_that_is_none_is_refused(pets, check, field, value):
    change_json(pets / "metadata.json", lambda v: v["shards"][0].update({field: value}))
    assert f"shards[0].{field} must be a whole number from 0, got" in check()[1]


@pytest.mark.parametrize("field", ["num_bytes", "num_examples"])
@pytest.mark.parametrize("value", [0, 3, 5, 2**40, 2**62])
def test_a_wrong_number_is_a_fault(pets, check, field, value):
    change_json(pets / "metadata.json", lambda v: v["shards"][0].update({field: value}))
    word = "records" if field == "num_examples" else "file"
    lines, _ = check()
    assert any(line.startswith(f"{TRAIN}: {word} must be {value:,}") for line in lines)
    assert any("dataset_info.json: splits[0]" in line for line in lines)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("counts"), "must be an object with counts"),
        (lambda v: v.update(counts=[]), "counts must be an object, got []"),
        (lambda v: v.update(settings=3), "settings must be an object, got 3"),
        (
            lambda v: v.update(class_names="dog"),
            "class_names must be a list, got 'dog'",
        ),
        (
            lambda v: v.update(class_names=["dog", 1]),
            "class_names[1] must be text, got 1",
        ),
        (
            lambda v: v.update(class_names=["dog", "\ud800"]),
            "class_names[1] must be text",
        ),
        (
            lambda v: v.update(split_sizes=[["train"]]),
            "split_sizes[0] must be a list of 2",
        ),
        (lambda v: v.update(shards=[]), "shards must be of the splits"),
        (lambda v: v.update(shards={}), "shards must be a list, got {}"),
        (
            lambda v: v.update(split_sizes=[["train", 7]]),
            "shards must be of the splits",
        ),
        (lambda v: v.update(fingerprint=None), "fingerprint must be text, got None"),
        (
            lambda v: v.update(format_version="1"),
            "format_version must be a whole number",
        ),
        (lambda v: v.update(format_version=2), "must be at most 1, got 2"),
        (lambda v: v.update(format_version=[]), "must be what make_records wrote"),
        (
            lambda v: v["shards"][0].pop("sha256"),
            "shards[0] must be an object with sha256",
        ),
        (
            lambda v: v["counts"].update(by_split={"train": 3}),
            "by_split.train must be an",
        ),
        (lambda v: v["settings"].update(image_size=-1), "image_size must be"),
        (lambda v: v["settings"].update(max_pixels="many"), "max_pixels in"),
        (
            lambda v: v["settings"].update(encoding="png"),
            "encoding must be one of jpeg,",
        ),
    ],
)
def test_a_manifest_of_another_form_is_refused(pets, check, change, words):
    change_json(pets / "metadata.json", change)
    lines, error = check()
    assert lines == []
    assert words in error


@pytest.mark.parametrize("text", ["", "{}", "null", "[" * 100_000, '{"a":' * 100_000])
def test_metadata_that_is_none_is_refused(pets, check, text):
    (pets / "metadata.json").write_text(text)
    assert "must be what make_records wrote" in check()[1]


def test_settings_nested_deeply_are_borne(pets, check):
    deep = json.loads("[" * 300 + "]" * 300)
    change_json(
        pets / "metadata.json", lambda v: v["settings"].update(class_names=deep)
    )
    assert "settings.class_names must be ['dog', 'cat'], got [[[" in check()[0][0]


@pytest.mark.parametrize("name", [TRAIN, "features.json", f"index/{TRAIN}.idx"])
def test_a_link_is_not_followed(pets, check, tmp_path, name):
    (pets / name).rename(tmp_path / "outside")
    (pets / name).symlink_to(tmp_path / "outside")
    lines, _ = check()
    assert "must be a plain file, got a symbolic link" in lines[0]


def test_links_and_pipes_in_place_of_metadata_are_refused(pets, check):
    (pets / "metadata.json").rename(pets / "other")
    (pets / "metadata.json").symlink_to(pets / "other")
    assert "metadata.json must be a plain file, got a symbolic link" in check()[1]
    (pets / "metadata.json").unlink()
    os.mkfifo(pets / "metadata.json")
    assert "metadata.json must be a plain file, got something else" in check()[1]


def test_an_index_folder_that_is_a_link_is_named(pets, check, tmp_path):
    (pets / "index").rename(tmp_path / "outside")
    (pets / "index").symlink_to(tmp_path / "outside")
    assert check()[0] == ["index must be a folder, got a symbolic link"]


@pytest.mark.parametrize(
    "text",
    ["0 -5\n", "-1 5\n", f"0 {2**70}\n", "0 5", "0  5\n", "\u0661 5\n", "\0" * 99],
)
def test_an_index_of_other_lines_is_named(pets, check, text):
    path = pets / "index" / f"{TRAIN}.idx"
    path.write_text(text)
    lines, _ = check()
    assert len(lines) == 1
    assert lines[0].startswith(
        f"{TRAIN}: index must hold 4 lines of 'offset size', got"
    )


def test_an_index_that_points_beyond_the_file_misleads_nobody(pets, check):
    data = bytearray((pets / TRAIN).read_bytes())
    data[read_offsets(pets)[1]] ^= 1
    (pets / TRAIN).write_bytes(data)
    path = pets / "index" / f"{TRAIN}.idx"
    lines = path.read_text().splitlines()
    lines[1] = f"{lines[1].split()[0]} {10**17}"
    lines[2] = f"{10**17} {10**17}"
    path.write_text("\n".join(lines) + "\n")
    faults, _ = check()
    assert "record 1 of" in faults[1]
    assert faults[1].endswith("; 1 behind it can't be found")
    assert len(faults) == 2


@pytest.mark.parametrize("length", [2**60, 2**63, 2**64 - 1, 2**31])
def test_a_length_that_lies_takes_no_memory(pets, length):
    job = job_of(manifests.read_manifest(pets))
    header = struct.pack("<Q", length)
    checksum = frame_record(header)[-4:]
    with open(pets / TRAIN, "r+b") as file:
        file.write(header + checksum)
        file.truncate(2**32)  # a hole: no disk is taken
    tracemalloc.start()
    report = check_shard(job)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
    assert f"record must be at most {2**30:,} bytes long here, got {length:,}" in (
        report.faults.first[1].what
    )
    assert report.rows["number"].tolist() == [1, 2, 3]


def test_many_faults_are_counted_and_the_first_shown(tmp_path, check, monkeypatch):
    monkeypatch.setitem(SIZES, "train", 30)
    monkeypatch.setattr(faults, "NUM_SHOWN", 20)
    records = [make_record(number, label=9) for number in range(33)]
    folder = build(tmp_path / "wrong", records).records_dir
    lines, error = check(folder)
    assert len(lines) == 21
    assert lines[-1].startswith("... and ")
    num = 20 + int(lines[-1].split()[2])
    assert num >= 33
    assert f"got {num} faults in 2 shards" in error


def test_faults_name_their_place_in_plain_text(monkeypatch):
    monkeypatch.setattr(faults, "NUM_SHOWN", 20)
    fault = Fault(
        what="x", shard="s", record=1, offset=2, key="a\x1b[31m\n" + "k" * 999
    )
    assert "\x1b" not in str(fault)
    assert "\n" not in str(fault)
    assert len(str(fault)) < 300
    assert shown(10**4000).count("0") < 50
    both, more = Faults(), Faults()
    for _ in range(15):
        more.add(fault)
    both.extend(more)
    both.extend(more)
    assert (len(both.first), both.num, both.shards) == (20, 30, {"s"})
    assert collections.Counter(map(str, both.first)) == {str(fault): 20}


def test_pictures_that_were_enlarged_beyond_the_limit_of_sources_are_sound(
    flat, lay, make_records
):
    manifest = make_records(lay(flat), image_size=64, max_pixels=400)
    config = VerifyConfig(records_dir=str(manifest.records_dir), decode=False)
    assert "sound" in verify(config)
