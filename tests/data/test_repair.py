import pytest

from tfpipe.data.conversion import scan
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
    assert f"1 of 4 shards are damaged: writing {manifest.shards[1].file_name}" in out


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
