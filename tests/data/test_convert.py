import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tfpipe.base import files
from tfpipe.data.conversion import publish, scan, shards, workplace
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import default_dataset_name
from tfpipe.data.conversion.shards import dataset_fingerprint
from tfpipe.data.inputs.labels import Source
from tfpipe.data.inputs.places import FilePlace
from tfpipe.data.manifest import index_path, read_manifest
from tfpipe.data.pictures import resampling
from tfpipe.data.records import Record, read_index, unframe_record


def read_records(manifest):
    """Return every record of a dataset, by its index, in global order."""
    records = []
    for shard in manifest.shards:
        data = (manifest.records_dir / shard.file_name).read_bytes()
        offsets, sizes = read_index(index_path(manifest.records_dir, shard.file_name))
        for offset, size in zip(offsets, sizes, strict=True):
            block = data[offset : offset + size]
            records.append(Record.from_bytes(unframe_record(block)))
    return records


def test_every_picture_is_one_record_in_global_order(flat, lay, make_records):
    manifest = make_records(lay(flat))
    records = read_records(manifest)
    assert [record.source_id for record in records] == list(range(20))
    assert {record.file_name: record.encoded for record in records} == flat
    for record in records:
        assert record.class_text in record.file_name
        assert record.class_text == manifest.class_names[record.label]
        assert record.sha256 == hashlib.sha256(record.encoded).hexdigest()
        assert (record.height, record.width, record.format) == (16, 20, "jpeg")
    assert manifest.counts["by_split"] == {
        "train": {"dog": 9, "cat": 6},
        "validation": {"dog": 3, "cat": 2},
    }
    digests = [hashlib.sha256(record.to_bytes()).hexdigest() for record in records]
    assert manifest.fingerprint == dataset_fingerprint(
        manifest.class_names, manifest.split_sizes, digests
    )
    for shard in manifest.shards:
        path = manifest.records_dir / shard.file_name
        assert files.file_sha256(path) == shard.sha256


def test_folder_zip_workers_and_kaggles_zip_give_the_same_bytes(
    flat, lay, pack, make_records, contents, monkeypatch
):
    monkeypatch.setattr(scan, "BLOCK_SIZE", 8)
    nested = {"train.zip": pack(flat, "in.zip").read_bytes(), "test1.zip": b""}
    deflated = pack(nested, "out.zip", zipfile.ZIP_DEFLATED)
    results = [
        make_records(lay(flat), "a"),
        make_records(lay(flat), "b", num_workers=2),
        make_records(pack({f"x/y/{name}": data for name, data in flat.items()}), "c"),
        make_records(deflated, "d"),
    ]
    first = contents(results[0].records_dir)
    for result in results[1:]:
        assert contents(result.records_dir) == first


def test_the_number_of_shards_changes_no_fingerprint(flat, lay, make_records):
    folder = lay(flat)
    one, many = make_records(folder, "a"), make_records(folder, "b", num_shards=7)
    assert len(many.shards) == 7
    assert one.fingerprint == many.fingerprint
    assert read_records(one) == read_records(many)


def test_a_set_is_told_from_another(flat, lay, encode, make_records):
    folder = lay(flat)
    one = make_records(folder, "a")
    (folder / "cat.0.jpg").write_bytes(encode(99))
    assert make_records(folder, "b").fingerprint != one.fingerprint
    lengths = {"test_split": 0.1, "validation_split": 0.2}
    assert make_records(folder, "c", **lengths).split_sizes == {
        "train": 14,
        "validation": 4,
        "test": 2,
    }


def test_rejects_and_changes_are_on_record(flat, lay, encode, make_records, capsys):
    bad = {
        "cat.dog.jpg": encode(1),
        "bird.jpg": encode(2),
        "cat.empty.jpg": b"",
        "cat.page.jpg": b"<html>",
        "cat.cut.jpg": encode(3)[:-200],
        "cat.tiny.jpg": encode(4, size=(4, 40)),
        "cat.huge.jpg": encode(5, size=(300, 300)),
        "cat.png.jpg": encode(6, kind="PNG"),
    }
    manifest = make_records(lay({**flat, **bad}), max_pixels=80_000)
    counts = manifest.counts
    assert (counts["found"], counts["written"], counts["rejected"]) == (28, 21, 7)
    assert counts["normalised_by_reason"] == {"png": 1}
    lines = files.read_json_lines(manifest.records_dir / "rejects.jsonl")
    assert {line["key"]: line["reason"] for line in lines} == {
        "bird.jpg": "unlabelled",
        "cat.cut.jpg": "truncated",
        "cat.dog.jpg": "ambiguous",
        "cat.empty.jpg": "empty",
        "cat.huge.jpg": "too_many_pixels",
        "cat.page.jpg": "not_a_picture",
        "cat.tiny.jpg": "too_small",
    }
    assert all(line["detail"] for line in lines)
    record = next(r for r in read_records(manifest) if r.file_name == "cat.png.jpg")
    assert record.encoded.startswith(b"\xff\xd8")
    assert record.sha256 == hashlib.sha256(bad["cat.png.jpg"]).hexdigest()
    out = capsys.readouterr().out
    assert "wrote 21 of 28 pictures" in out
    assert f"fingerprint {manifest.fingerprint}" in out
    assert "next: python -m tfpipe.train --records_dir=" in out


def test_everything_written_decodes_in_tensorflow(flat, lay, encode, make_records):
    tf = pytest.importorskip("tensorflow")
    more = {
        f"cat.{mode}.{kind}": encode(7, mode=mode, kind=kind)
        for mode, kind in [
            ("RGBA", "png"),
            ("L", "bmp"),
            ("CMYK", "jpeg"),
            ("P", "gif"),
        ]
    }
    for record in read_records(make_records(lay({**flat, **more}))):
        image = tf.io.decode_jpeg(record.encoded, channels=3)
        assert image.shape == (record.height, record.width, 3)


def test_identical_pictures_stay_in_one_split(flat, lay, make_records, capsys):
    twins = {"cat.twin.jpg": flat["cat.3.jpg"], "dog.liar.jpg": flat["cat.0.jpg"]}
    manifest = make_records(lay({**flat, **twins}))
    assert manifest.counts["duplicate_groups"] == [
        ["cat.0.jpg", "dog.liar.jpg"],
        ["cat.3.jpg", "cat.twin.jpg"],
    ]
    head = {record.file_name for record in read_records(manifest)[:4]}
    assert head == {"cat.0.jpg", "dog.liar.jpg", "cat.3.jpg", "cat.twin.jpg"}
    out = capsys.readouterr().out
    assert "WARNING: the same bytes under two classes: cat.0.jpg (cat), dog.liar" in out


@pytest.mark.parametrize(
    ("limit", "is_borne"), [("2", True), ("0.1", True), ("1", False), ("0.01", False)]
)
def test_too_many_rejects_fail_before_publishing(
    flat, lay, make_records, limit, is_borne
):
    folder = lay({**flat, "cat.x.jpg": b"", "cat.y.jpg": b""})
    if is_borne:
        assert make_records(folder, max_rejects=limit).counts["rejected"] == 2
        return
    with pytest.raises(ValueError, match=r"rejects must be at most .* got 2"):
        make_records(folder, max_rejects=limit)
    with pytest.raises(ValueError, match="unfinished conversion"):
        read_manifest(folder.parent / "records")
    assert make_records(folder).counts["rejected"] == 2


def test_finished_work_is_left_alone(flat, lay, make_records, capsys):
    folder = lay(flat)
    first = make_records(folder)
    times = {p: p.stat().st_mtime_ns for p in first.records_dir.glob("*.tfrecord*")}
    assert make_records(folder) == first
    assert "nothing to do" in capsys.readouterr().out
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_other_settings_are_refused_and_overwrite_replaces(
    flat, lay, make_records, contents
):
    folder = lay(flat)
    old = make_records(folder, num_shards=6)
    (old.records_dir / "mine.txt").write_text("a person's own")
    with pytest.raises(ValueError, match=r"got validation_split 0\.5 instead of 0\.25"):
        make_records(folder, num_shards=6, validation_split=0.5)
    with pytest.raises(ValueError, match="got num_pictures 19 instead of 20"):
        (folder / "dog.0.jpg").unlink()
        make_records(folder, num_shards=6)
    new = make_records(folder, validation_split=0.5, overwrite=True)
    assert read_manifest(old.records_dir) == new
    left = set(contents(new.records_dir)) - {"mine.txt"}
    fresh = make_records(folder, "fresh", validation_split=0.5)
    assert left == set(contents(fresh.records_dir))
    assert (old.records_dir / "mine.txt").read_text() == "a person's own"


def test_a_foreign_folder_is_refused(flat, lay, tmp_path, make_records):
    (tmp_path / "records").mkdir()
    (tmp_path / "records/thesis.txt").write_text("")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"empty or hold our records, got thesis"):
            make_records(lay(flat), overwrite=overwrite)


def test_a_second_writer_is_refused(flat, lay, tmp_path, make_records):
    (tmp_path / "records").mkdir()
    with (
        files.FolderLock(tmp_path / "records"),
        pytest.raises(BlockingIOError, match="one writer"),
    ):
        make_records(lay(flat))


def test_a_wrong_input_leaves_no_folder_behind(tmp_path, make_records):
    (tmp_path / "data").mkdir()
    with pytest.raises(ValueError, match="image_dir must be"):
        make_records(tmp_path / "data")
    assert not (tmp_path / "records").exists()


class Killed(BaseException):
    pass


def test_interrupted_anywhere_it_goes_on_to_the_same_bytes(
    flat, lay, encode, make_records, contents, monkeypatch
):
    """Stop at the n-th file renamed into place, then give the same command again."""
    monkeypatch.setattr(scan, "BLOCK_SIZE", 8)
    folder = lay({**flat, "cat.new.png": encode(50, kind="PNG")})
    whole = contents(make_records(folder, "whole").records_dir)
    replace, num_stops = os.replace, 0

    def stop_at(left):
        def count_down(source, target):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            replace(source, target)

        return count_down

    for number in itertools.count():
        monkeypatch.setattr(os, "replace", stop_at(number))
        try:
            make_records(folder, f"records{number}")
            break
        except Killed:
            num_stops += 1
        monkeypatch.setattr(os, "replace", replace)
        records_dir = folder.parent / f"records{number}"
        with pytest.raises(ValueError, match="must hold finished records"):
            read_manifest(records_dir)
        assert contents(make_records(folder, records_dir.name).records_dir) == whole
    assert num_stops > 15


def test_interrupted_while_overwriting(flat, lay, make_records, contents, monkeypatch):
    folder = lay(flat)
    whole = contents(make_records(folder, "whole", num_shards=5).records_dir)
    make_records(folder)

    def stop(*arguments):
        raise Killed

    for name in ("move", "clear_old"):  # once before and once after clearing
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(workplace, name, stop)
            make_records(folder, num_shards=5, overwrite=True)
    again = make_records(folder, num_shards=5, overwrite=True)
    assert contents(again.records_dir) == whole


def test_stopped_in_publishing_it_can_start_again_with_other_settings(
    flat, lay, make_records, contents, monkeypatch
):
    folder = lay(flat)
    whole = contents(make_records(folder, "whole", num_shards=5).records_dir)

    def stop(*arguments, **words):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(publish.manifests, "write_manifest", stop)
        make_records(folder)
    with pytest.raises(ValueError, match="start again with --overwrite"):
        make_records(folder, num_shards=5)
    again = make_records(folder, num_shards=5, overwrite=True)
    assert contents(again.records_dir) == whole


def test_finished_blocks_are_not_scanned_again(flat, lay, make_records, monkeypatch):
    folder = lay({**flat, "cat.x.jpg": b""})
    with pytest.raises(ValueError, match="rejects must be at most"):
        make_records(folder, max_rejects="0")
    monkeypatch.setattr(scan, "scan_block", None)
    assert make_records(folder).counts["written"] == 20


def test_a_shard_with_other_bytes_is_written_again(
    flat, lay, make_records, contents, monkeypatch
):
    folder = lay(flat)
    whole = contents(make_records(folder, "whole").records_dir)
    with monkeypatch.context() as patch, pytest.raises(TypeError):
        patch.setattr(publish.workplace, "clear_old", None)
        make_records(folder)
    shard = next((folder.parent / "records/.partial/shards").glob("*-00001"))
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    assert contents(make_records(folder).records_dir) == whole


def test_unfinished_work_of_other_settings(flat, lay, make_records):
    folder = lay({**flat, "cat.x.jpg": b""})
    with pytest.raises(ValueError, match="rejects must be"):
        make_records(folder, max_rejects="0")
    with pytest.raises(
        ValueError, match=r"unfinished work .* got min_side 9 instead of 8"
    ):
        make_records(folder, min_side=9)
    manifest = make_records(folder, min_side=9, overwrite=True)
    assert manifest.settings["min_side"] == 9


def test_a_picture_that_changes_meanwhile_is_scanned_again(
    flat, lay, encode, make_records, monkeypatch
):
    folder = lay(flat)
    write_all = shards.write_all

    def change_first(*arguments):
        data = encode(77, size=(20, 16))
        size = (folder / "cat.0.jpg").stat().st_size
        (folder / "cat.0.jpg").write_bytes(data[:size].ljust(size, b"\0"))
        return write_all(*arguments)

    monkeypatch.setattr(shards, "write_all", change_first)
    with pytest.raises(OSError, match=r"got other bytes for cat\.0\.jpg"):
        make_records(folder)
    monkeypatch.setattr(shards, "write_all", write_all)
    records = read_records(make_records(folder))
    changed = next(r for r in records if r.file_name == "cat.0.jpg")
    assert changed.encoded == (folder / "cat.0.jpg").read_bytes()


def test_a_full_disk_is_seen_before_writing(flat, lay, make_records, monkeypatch):
    monkeypatch.setattr(files, "free_bytes", lambda path: 1000)
    with pytest.raises(OSError, match="free disk space"):
        make_records(lay(flat))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_rejects": "many"}, "max_rejects must be a count"),
        ({"validation_split": 0.6, "test_split": 0.4}, "must leave pictures for train"),
        ({"dataset_name": "1st"}, "dataset_name must be up to 100 letters"),
        ({"num_shards": -1}, "num_shards must be a whole number of at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        ConvertConfig(**settings)


def test_no_picture_that_decodes(lay, make_records):
    with pytest.raises(ValueError, match="pictures must decode, got none"):
        make_records(lay({"cat.jpg": b"", "dog.jpg": b""}))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("dog", "cat"), "dogs_vs_cats"),
        (("red fox", "wolf"), "red_fox_vs_wolf"),
        (tuple("abcd"), "pictures_of_4_classes"),
        (("猫", "狗"), "pictures_of_2_classes"),
        (("1", "2"), "pictures_of_2_classes"),
    ],
)
def test_dataset_names(names, expected):
    assert default_dataset_name(names) == expected


def test_unfinished_work_of_other_settings_beside_finished_records(
    flat, lay, make_records, contents, monkeypatch
):
    folder = lay(flat)
    manifest = make_records(folder)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_all", stop)
        with pytest.raises(KeyboardInterrupt):
            make_records(folder, image_size=16, overwrite=True)
    begun = contents(manifest.records_dir)
    with pytest.raises(
        ValueError, match=r"unfinished work .* image_size 0 instead of 16"
    ):
        make_records(folder)
    assert contents(manifest.records_dir) == begun
    assert (
        make_records(folder, image_size=16, overwrite=True).settings["image_size"] == 16
    )


def test_ctrl_c_says_how_to_go_on(flat, lay, make_records, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards, "write_all", stop)
    with pytest.raises(KeyboardInterrupt):
        make_records(lay(flat))
    assert capsys.readouterr().err == "stopped; the same command goes on\n"


def test_a_wrong_archive_leaves_nothing_unpacked(tmp_path, make_records):
    with tarfile.open(tmp_path / "none.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("notes.txt"))
    with pytest.raises(ValueError, match="got no picture below"):
        make_records(tmp_path / "none.tar.gz")
    assert not (tmp_path / "records").exists()


def test_large_pictures_are_cut_into_small_blocks(tmp_path):
    sources = [
        Source(key=f"{i}", place=FilePlace(path="x", size=3_000_000), label=0)
        for i in range(100)
    ]
    blocks = scan.make_blocks(sources, tmp_path, 10, 8)
    assert {len(block.sources) for block in blocks} == {2}
    few = scan.make_blocks(sources[:20], tmp_path, 10, 8)
    assert len(few) == 20
    assert [s for block in blocks for s in block.sources] == sources


def test_a_giant_file_is_refused_unread(tmp_path):
    place = FilePlace(path="nowhere", size=scan.MAX_SOURCE_BYTES + 1)
    source = Source(key="a", place=place, label=0)
    (block,) = scan.make_blocks([source], tmp_path, 10, 8)
    scan.scan_block(block)
    (row,) = scan.read_journal(block)
    assert row.reason == "too_many_bytes"


@pytest.mark.real
def test_real_originals_pass_through(real_originals, lay, make_records):
    names = sorted(path.name for path in real_originals.iterdir())[::40]
    pictures = {name: (real_originals / name).read_bytes() for name in names}
    manifest = make_records(lay(pictures))
    assert manifest.counts["normalised"] == manifest.counts["rejected"] == 0
    assert {r.file_name: r.encoded for r in read_records(manifest)} == pictures


@pytest.mark.real
def test_real_identical_pictures_are_grouped(real_zip, pack, make_records):
    groups = [
        ["cat.10360.jpg", "cat.3345.jpg"],
        ["cat.12408.jpg", "cat.2339.jpg"],
        ["cat.6143.jpg", "cat.6204.jpg"],
        ["dog.10401.jpg", "dog.10797.jpg", "dog.2877.jpg"],
        ["dog.2027.jpg", "dog.3082.jpg"],
    ]
    names = {name for group in groups for name in group}
    names |= {f"{kind}.{i}.jpg" for kind in ("cat", "dog") for i in range(100)}
    with zipfile.ZipFile(real_zip) as archive:
        pictures = {f"train/{name}": archive.read(f"train/{name}") for name in names}
    manifest = make_records(pack(pictures))
    assert sorted(manifest.counts["duplicate_groups"]) == groups
    train = read_records(manifest)[: manifest.split_sizes["train"]]
    assert {name for group in groups for name in group} <= {r.file_name for r in train}


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_byte_identical(
    lay, encode, make_records, contents, tmp_path
):
    pictures = {
        f"{('cat', 'dog')[i % 2]}.{i}.{('jpg', 'png')[i % 7 == 0]}": encode(
            i, size=(200, 150), kind=("JPEG", "PNG")[i % 7 == 0]
        )
        for i in range(1500)
    }
    folder = lay(pictures)
    whole = contents(make_records(folder, "whole").records_dir)
    records_dir = tmp_path / "killed"
    tool = Path(__file__).resolve().parents[2] / "tools" / "make_records.py"
    command = [sys.executable, str(tool), f"--image_dir={folder}"]
    command += [f"--records_dir={records_dir}", "--num_workers=2"]
    rng, num_finished = np.random.default_rng(3), 0
    for _ in range(30):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            assert process.wait(rng.uniform(0.3, 3)) == 0
            num_finished += 1
            assert contents(records_dir) == whole
            shutil.rmtree(records_dir)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if not (records_dir / "dataset_info.json").exists():
                with pytest.raises(ValueError, match="must hold finished records"):
                    read_manifest(records_dir)
    assert subprocess.run(command, check=False).returncode == 0
    assert contents(records_dir) == whole
    assert num_finished < 25  # else hardly one was killed
    assert json.loads(whole["metadata.json"])["counts"]["written"] == 1500


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder that is a disk of 3 MB, and what makes it larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user may not mount a disk")
    grow = ["mount", "-o", "remount,size=30m", str(folder)]
    yield folder, lambda: subprocess.run(grow, check=True)
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("taken", "where"), [(2_200_000, "scan"), (0, "shards")])
def test_a_full_disk_loses_nothing(
    lay, encode, make_records, contents, small_disk, monkeypatch, taken, where
):
    pictures = {
        f"{('cat', 'dog')[i % 2]}.{i}.png": encode(i, size=(100, 100), kind="PNG")
        for i in range(60)
    }
    folder = lay(pictures)
    monkeypatch.setattr(scan, "BLOCK_SIZE", 8)
    whole = contents(make_records(folder, "whole").records_dir)
    with pytest.raises(OSError, match=r"free disk space at .* must be at least"):
        make_records(
            lay({**pictures, "cat.big.jpg": b"x" * 9_000_000}, "more"), "disk/records"
        )
    disk, grow = small_disk
    (disk / "filler").write_bytes(b"x" * taken)
    monkeypatch.setattr(files, "free_bytes", lambda path: 10**12)
    with pytest.raises(OSError, match="No space left on device"):
        make_records(folder, "disk/records")
    num_scanned = len(list((disk / "records/.partial/scan").glob("*.json")))
    assert (num_scanned < 16) == (where == "scan")
    with pytest.raises(ValueError, match="got an unfinished conversion"):
        read_manifest(disk / "records")
    grow()
    make_records(folder, "disk/records")
    assert contents(disk / "records") == whole


def test_slow_resizing_is_said(flat, lay, make_records, monkeypatch, capsys):
    monkeypatch.setattr(resampling, "is_compiled", lambda: False)
    folder = lay(flat)
    for name, is_said in (("area", True), ("box", False)):
        make_records(folder, name, image_size=16, resize_filter=name)
        assert (resampling.SLOW in capsys.readouterr().out) == is_said


@pytest.mark.parametrize("name", ["hex", "zlib", "undefined", "no such"])
def test_an_encoding_that_is_of_no_text_is_named(name):
    with pytest.raises(ValueError, match=f"zip_encoding must be .* got '{name}'"):
        ConvertConfig(zip_encoding=name)


def test_long_settings_that_differ_at_their_end_are_told_apart(flat, lay, make_records):
    regexes = [r"(?P<thing_of_a_long_name>\w+)", r"(?P<thing_of_a_long_other>\w+)"]
    folder = lay(flat)
    make_records(folder, group_regex=regexes[0])
    with pytest.raises(ValueError) as caught:
        make_records(folder, group_regex=regexes[1])
    assert all(regex in str(caught.value) for regex in regexes)
