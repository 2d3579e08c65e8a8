import pytest

from tfpipe.data.conversion import repair, scan
from tfpipe.data.manifest import read_manifest
from tfpipe.data.pictures import images


@pytest.fixture
def made(flat, lay, encode, make_records):
    """Return a folder of pictures, one of them broken, one a PNG, and its records."""
    more = {"cat.empty.jpg": b"", "cat.png.jpg": encode(70, kind="PNG")}
    folder = lay({**flat, **more})
    return folder, make_records(folder, num_shards=4)


def damage(manifest, kind):
    """Damage the second shard; return the names of the files that are wrong now."""
    name = manifest.shards[1].file_name
    path = manifest.records_dir / name
    index = manifest.records_dir / "index" / f"{name}.idx"
    if kind == "flipped":
        data = bytearray(path.read_bytes())
        data[200] ^= 1
        path.write_bytes(data)
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-5])
    elif kind == "absent":
        path.unlink()
        index.unlink()
    elif kind == "index":
        index.write_text("0 10\n")


@pytest.mark.parametrize("kind", ["flipped", "cut", "absent", "index"])
def test_a_damaged_shard_is_written_again_alone(
    made, contents, make_records, monkeypatch, capsys, kind
):
    folder, manifest = made
    before = contents(manifest.records_dir)
    times = {p: p.stat().st_mtime_ns for p in manifest.records_dir.glob("*.tfrecord*")}
    damage(manifest, kind)
    judged = []
    judge = images.judge_picture

    def count(data, **options):
        judged.append(len(data))
        return judge(data, **options)

    monkeypatch.setattr(scan, "judge_picture", count)
    make_records(folder, num_shards=4)
    assert contents(manifest.records_dir) == before
    changed = {p.name for p, t in times.items() if p.stat().st_mtime_ns != t}
    assert changed == {manifest.shards[1].file_name}
    assert len(judged) == manifest.shards[1].num_examples
    out = capsys.readouterr().out
    name = manifest.shards[1].file_name
    assert f"1 of 4 shards, or their index, are damaged: writing {name} again" in out


def test_all_shards_at_once(made, contents, make_records):
    folder, manifest = made
    before = contents(manifest.records_dir)
    for shard in manifest.shards:
        (manifest.records_dir / shard.file_name).write_bytes(b"")
    make_records(folder, num_shards=4)
    assert contents(manifest.records_dir) == before


def test_another_codec_is_no_way_to_the_old_shard(made, make_records, monkeypatch):
    folder, manifest = made
    for shard in manifest.shards:  # one of them holds the PNG, encoded anew
        (manifest.records_dir / shard.file_name).write_bytes(b"")
    judge = images.judge_picture

    def other_codec(data, **options):
        picture = judge(data, **options)
        if picture.encoded is None:
            return picture
        return images.dataclasses.replace(picture, encoded=picture.encoded + b"\0")

    monkeypatch.setattr(scan, "judge_picture", other_codec)
    with pytest.raises(OSError, match="pictures and codecs must be those that"):
        make_records(folder, num_shards=4)
    with pytest.raises(ValueError, match="bytes long, got 0"):
        read_manifest(manifest.records_dir)


def test_what_tfds_reads_is_written_again(made, contents, make_records, capsys):
    folder, manifest = made
    before = contents(manifest.records_dir)
    (manifest.records_dir / "image.class.label.labels.txt").write_text("cow\nsheep\n")
    (manifest.records_dir / "features.json").unlink()
    (manifest.records_dir / "report.html").unlink()
    make_records(folder, num_shards=4)
    report = before.pop("report.html")
    assert contents(manifest.records_dir) == before
    out = capsys.readouterr().out
    assert "wrote features.json, image.class.label.labels.txt again" in out
    assert "WARNING: report.html is missing" in out
    make_records(folder, num_shards=4, overwrite=True)
    assert contents(manifest.records_dir) == {**before, "report.html": report}


def test_what_a_stopped_mending_left_decides_nothing(
    made, make_records, contents, monkeypatch
):
    folder, manifest = made
    for shard in manifest.shards:
        (manifest.records_dir / shard.file_name).write_bytes(b"")

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(repair, "rewrite", stop)
        with pytest.raises(KeyboardInterrupt):
            make_records(folder, num_shards=4)
    small = {"num_shards": 4, "image_size": 16, "overwrite": True}
    make_records(folder, **small)
    assert contents(manifest.records_dir) == contents(
        make_records(folder, "fresh", **small).records_dir
    )
