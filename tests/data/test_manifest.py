import json

import pytest

from tfpipe.data.manifest import Shard, read_manifest


@pytest.fixture
def records_dir(flat, lay, make_records):
    return make_records(lay(flat)).records_dir


def change_metadata(records_dir, change):
    path = records_dir / "metadata.json"
    metadata = json.loads(path.read_text())
    change(metadata)
    path.write_text(json.dumps(metadata))


def test_what_was_written_is_read(flat, lay, make_records):
    manifest = make_records(lay(flat))
    assert read_manifest(manifest.records_dir) == manifest
    assert read_manifest(str(manifest.records_dir)) == manifest
    assert manifest.dataset_name == "dogs_vs_cats"
    assert manifest.class_names == ("dog", "cat")
    assert list(manifest.split_sizes.items()) == [("train", 15), ("validation", 5)]
    assert [shard.file_name for shard in manifest.shards] == [
        "dogs_vs_cats-train.tfrecord-00000-of-00001",
        "dogs_vs_cats-validation.tfrecord-00000-of-00001",
    ]
    assert isinstance(manifest.shards[0], Shard)


def test_the_layout_is_tfds(records_dir):
    info = json.loads((records_dir / "dataset_info.json").read_text())
    assert set(info) == {
        *("description", "fileFormat", "name", "splits", "supervisedKeys", "version")
    }
    assert [(s["name"], s["shardLengths"]) for s in info["splits"]] == [
        ("train", ["15"]),
        ("validation", ["5"]),
    ]
    features = json.loads((records_dir / "features.json").read_text())
    assert len(features["featuresDict"]["features"]) == 9
    labels = (records_dir / "image.class.label.labels.txt").read_text()
    assert labels == "dog\ncat\n"


def test_an_absent_folder_says_what_to_type(tmp_path):
    with pytest.raises(
        ValueError, match=r"got no folder there: .*make_records"
    ) as error:
        read_manifest(tmp_path / "none")
    assert f"--records_dir={tmp_path / 'none'}" in str(error.value)


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="got an empty folder"):
        read_manifest(tmp_path)


def test_a_half_written_folder_says_the_command_that_goes_on(tmp_path):
    (tmp_path / ".partial").mkdir()
    identity = {"command": "python tools/make_records.py --image_dir=x"}
    (tmp_path / ".partial/identity.json").write_text(json.dumps(identity))
    with pytest.raises(
        ValueError, match=r"unfinished .* continue it with: python tool"
    ):
        read_manifest(tmp_path)


def test_a_newer_format_is_refused(records_dir):
    change_metadata(records_dir, lambda m: m.update(format_version=2))
    with pytest.raises(ValueError, match="must be at most 1, got 2"):
        read_manifest(records_dir)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", "", 3])
def test_a_shard_outside_the_folder_is_refused(records_dir, name):
    change_metadata(records_dir, lambda m: m["shards"][0].update(file_name=name))
    with pytest.raises(ValueError, match="shard names must be plain file names"):
        read_manifest(records_dir)


@pytest.mark.parametrize("text", ["", "{}", "[]", None])
def test_metadata_that_is_not_ours_is_refused(records_dir, text):
    (records_dir / "metadata.json").unlink()
    if text is not None:
        (records_dir / "metadata.json").write_text(text)
    with pytest.raises(ValueError, match="must be what make_records wrote"):
        read_manifest(records_dir)


def test_a_missing_or_cut_shard_is_refused(records_dir):
    shard = records_dir / "dogs_vs_cats-train.tfrecord-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"bytes long, got .*rebuilds"):
        read_manifest(records_dir)
    shard.unlink()
    with pytest.raises(ValueError, match="got no such file"):
        read_manifest(records_dir)
