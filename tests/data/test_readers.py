"""What others read from a records folder, by their own code and the README's."""

import io
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfpipe.data.pictures.resampling import resample
from tfpipe.data.records import (
    EXAMPLE_KEYS,
    FRAME_BYTES,
    HEADER_BYTES,
    Record,
    read_index,
)

ROOT = Path(__file__).parents[2]
READMES = (ROOT / "README.md", ROOT / "README.zh.md")
READERS = ("TFDS", "TensorFlow", "PyTorch", "DALI")


def snippets(readme, reader):
    """The Python blocks below the heading that names `reader`."""
    text = readme.read_text(encoding="utf-8")
    section = re.search(rf"^### {reader}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    assert section, f"{readme.name} has no section {reader}"
    return re.findall(r"```python\n(.*?)```", section[1], re.DOTALL)


def read_ours(manifest, split):
    """The records of a split in global order, read by our own code."""
    found = []
    for shard in manifest.shards:
        if shard.split == split:
            data = (manifest.records_dir / shard.file_name).read_bytes()
            index = manifest.records_dir / "index" / f"{shard.file_name}.idx"
            for offset, size in zip(*read_index(index), strict=True):
                start, end = offset + HEADER_BYTES, offset + size - 4
                assert size == end - start + FRAME_BYTES
                found.append(Record.from_bytes(data[start:end]))
    return found


def by_pillow(record):
    return np.asarray(Image.open(io.BytesIO(record.encoded)).convert("RGB"))


def assert_same(delivered, records, bound=0):
    """Pictures and labels are those of the records, pixels within `bound` of 255."""
    assert [int(label) for _, label in delivered] == [r.label for r in records]
    for (picture, _), record in zip(delivered, records, strict=True):
        expected = by_pillow(record)
        assert picture.shape == expected.shape == (record.height, record.width, 3)
        assert np.max(np.abs(np.int16(picture) - np.int16(expected))) <= bound


@pytest.fixture
def pictures(encode):
    """12 dogs and 8 cats as cameras and programs leave them, of many sizes."""
    looks = (
        {"size": (40, 30), "subsampling": "4:2:0"},
        {"size": (33, 47), "subsampling": "4:2:2", "progressive": True},
        {"size": (16, 16), "subsampling": "4:4:4", "quality": 98},
        {"size": (25, 9), "mode": "L"},
        {"size": (20, 20), "kind": "PNG"},
    )
    names = [f"dog.{i}.jpg" for i in range(12)] + [f"cat.{i}.jpg" for i in range(8)]
    return {n: encode(i, **looks[i % len(looks)]) for i, n in enumerate(names)}


@pytest.fixture
def manifest(pictures, lay, make_records):
    """The records of these pictures, 15 train and 5 validation, in four shards."""
    return make_records(lay(pictures), num_shards=4)


@pytest.fixture
def tfds():
    import tensorflow_datasets

    return tensorflow_datasets


@pytest.fixture
def from_tfds(tfds):
    """A reader of a split by TFDS: dicts of numpy values, in the files' order."""

    def read(builder, split):
        config = tfds.ReadConfig(
            try_autocache=False, interleave_cycle_length=1, shuffle_seed=None
        )
        return list(builder.as_dataset(split, read_config=config).as_numpy_iterator())

    return read


def test_tfds_finds_splits_classes_and_shards(tfds, manifest):
    builder = tfds.builder_from_directory(manifest.records_dir)
    info = builder.info
    assert (info.name, str(info.version)) == ("dogs_vs_cats", "1.0.0")
    assert {n: s.num_examples for n, s in info.splits.items()} == manifest.split_sizes
    assert info.features["image/class/label"].names == ["dog", "cat"]
    found = [path for split in info.splits.values() for path in split.filepaths]
    ours = [manifest.records_dir / shard.file_name for shard in manifest.shards]
    assert sorted(map(str, found)) == sorted(map(str, ours))
    assert all(path.exists() for path in found)


def test_tfds_reads_every_record_as_it_was_written(tfds, from_tfds, manifest):
    import tensorflow as tf

    builder = tfds.builder_from_directory(manifest.records_dir)
    for split, size in manifest.split_sizes.items():
        records = read_ours(manifest, split)
        values = from_tfds(builder, split)
        assert len(values) == len(records) == size
        for value, record in zip(values, records, strict=True):
            picture = tf.io.decode_image(record.encoded, channels=3).numpy()
            np.testing.assert_array_equal(value["image/encoded"], picture)
            assert value["image/class/label"] == record.label
            assert value["image/class/text"] == record.class_text.encode()
            assert value["image/filename"] == record.file_name.encode()
            assert value["image/format"] == record.format.encode()
            assert value["image/height"] == record.height == picture.shape[0]
            assert value["image/width"] == record.width == picture.shape[1]
            assert value["image/key/sha256"] == record.sha256.encode()
            assert value["image/source_id"] == record.source_id
            assert len(value) == 9


def test_tfds_loads_by_name_where_the_folder_is_laid_out_for_it(
    tfds, pictures, lay, make_records
):
    manifest = make_records(lay(pictures), "sets/dogs_vs_cats/1.0.0")
    data_dir = manifest.records_dir.parents[1]
    train, info = tfds.load(
        "dogs_vs_cats",
        data_dir=data_dir,
        split="train",
        as_supervised=True,
        with_info=True,
    )
    assert info.splits["train"].num_examples == int(train.cardinality()) == 15
    picture, label = next(iter(train))
    assert picture.shape[-1] == 3
    assert info.features["image/class/label"].int2str(label) in ("dog", "cat")


def test_tfds_reads_other_alphabets_and_a_test_split(
    tfds, from_tfds, encode, lay, make_records
):
    names = [f"{word}/{n} 号.jpg" for word in ("狗", "猫") for n in range(10)]
    image_dir = lay({name: encode(seed) for seed, name in enumerate(names)})
    manifest = make_records(image_dir, test_split=0.2)
    builder = tfds.builder_from_directory(manifest.records_dir)
    sizes = {"train": 11, "validation": 5, "test": 4}
    assert {n: s.num_examples for n, s in builder.info.splits.items()} == sizes
    label = builder.info.features["image/class/label"]
    assert sorted(label.names) == sorted(("狗", "猫"))
    seen = []
    for split in sizes:
        for value in from_tfds(builder, split):
            word = label.int2str(value["image/class/label"])
            assert value["image/class/text"].decode() == word
            assert value["image/filename"].decode().startswith(f"{word}/")
            seen.append(value["image/filename"].decode())
    assert sorted(seen) == sorted(names)


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_tfds_reads_squares(tfds, from_tfds, pictures, lay, make_records, encoding):
    manifest = make_records(lay(pictures), image_size=32, encoding=encoding)
    builder = tfds.builder_from_directory(manifest.records_dir)
    assert builder.info.features["image/encoded"].shape == (32, 32, 3)
    dataset = builder.as_dataset(split="train", as_supervised=True)
    assert dataset.element_spec[0].shape == (32, 32, 3)
    for split in manifest.split_sizes:
        values = from_tfds(builder, split)
        records = read_ours(manifest, split)
        for value, record in zip(values, records, strict=True):
            stored = value["image/encoded"]
            if encoding == "raw":
                raw = np.frombuffer(record.encoded, np.uint8).reshape(32, 32, 3)
                np.testing.assert_array_equal(stored, raw)
            source = Image.open(io.BytesIO(pictures[record.file_name]))
            square = resample(np.asarray(source.convert("RGB")), 32)
            error = np.abs(np.int16(stored) - np.int16(square))
            assert np.mean(error) <= (0 if encoding == "raw" else 4)
            assert value["image/format"].decode() == encoding
            assert value["image/class/label"] == record.label


def write_by_tfds(tfds, manifest, data_dir):
    """Let TFDS's own writer make a dataset of the same records."""
    from tensorflow_datasets.core import dataset_info

    text, whole = tfds.features.Text(), tfds.features.Scalar(np.int64)
    features = {
        "image/encoded": tfds.features.Image(encoding_format="jpeg"),
        "image/class/label": tfds.features.ClassLabel(names=manifest.class_names),
        "image/class/text": text,
        "image/filename": text,
        "image/format": text,
        "image/height": whole,
        "image/key/sha256": text,
        "image/source_id": whole,
        "image/width": whole,
    }
    info = dataset_info.DatasetInfo(
        builder=dataset_info.DatasetIdentity(
            name="dogs_vs_cats",
            version=tfds.core.Version("1.0.0"),
            data_dir=str(data_dir),
            module_name="",
        ),
        features=tfds.features.FeaturesDict(features),
        supervised_keys=("image/encoded", "image/class/label"),
    )
    data_dir.mkdir()
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=100)
    writer.initialize_splits(list(manifest.split_sizes))
    for split in manifest.split_sizes:
        examples = []
        for record in read_ours(manifest, split):
            values = {key: getattr(record, name) for name, key in EXAMPLE_KEYS.items()}
            # A group is the one thing that a record need not have.
            examples.append({k: v for k, v in values.items() if v is not None})
        writer.add_examples({split: examples})
    writer.close_all()


def test_tfds_writes_the_same_records_and_descriptions(tfds, manifest, tmp_path):
    import tensorflow as tf
    from google.protobuf import json_format
    from tensorflow_datasets.core.proto import dataset_info_pb2, feature_pb2

    ours, theirs = manifest.records_dir, tmp_path / "theirs"
    write_by_tfds(tfds, manifest, theirs)

    def parsed(name, kind):
        texts = [(folder / name).read_text() for folder in (ours, theirs)]
        return [json_format.Parse(text, kind()) for text in texts]

    def examples(folder, split):
        shards = sorted(map(str, folder.glob(f"*-{split}.tfrecord-*")))
        raw = tf.data.TFRecordDataset(shards).as_numpy_iterator()
        return [tf.train.Example.FromString(record) for record in raw]

    for split, size in manifest.split_sizes.items():
        assert len(examples(ours, split)) == size
        assert examples(ours, split) == examples(theirs, split)
    names = "image.class.label.labels.txt"
    assert (ours / names).read_bytes() == (theirs / names).read_bytes()
    features = parsed("features.json", feature_pb2.Feature)
    assert features[0] == features[1]
    infos = parsed("dataset_info.json", dataset_info_pb2.DatasetInfo)
    assert [split.name for split in infos[0].splits] == ["train", "validation"]
    assert infos[0].description == "20 labelled pictures: dog, cat"
    for info in infos:
        # Free text, and an empty licence: none is the data's.
        for field in ("description", "location", "redistribution_info"):
            info.ClearField(field)
        for split in info.splits:
            # How many shards hold a split is each writer's own choice; this one of
            # theirs can't know it when it names the first.
            split.shard_lengths[:] = [sum(split.shard_lengths)]
            split.ClearField("filepath_template")
    assert infos[0] == infos[1]


@pytest.mark.parametrize("reader", READERS)
def test_both_languages_show_the_same_snippets(reader):
    english, chinese = (snippets(readme, reader) for readme in READMES)
    assert english == chinese
    assert english


@pytest.mark.parametrize("reader", READERS)
def test_no_snippet_needs_our_code(reader):
    code = "".join(snippets(READMES[0], reader))
    assert "import" in code
    assert not re.search(r"\btfpipe\b", code)


@pytest.fixture
def run_snippet(manifest, monkeypatch):
    """A runner of a README's block beside `records`: its names and values."""
    monkeypatch.chdir(manifest.records_dir.parent)

    def run(code):
        names = {}
        exec(compile(code, "README.md", "exec"), names)
        return names

    return run


def test_the_tfds_snippet(run_snippet, manifest, capsys, tfds):
    [code] = snippets(READMES[0], "TFDS")
    train = run_snippet(code)["train"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] in ("dog", "cat") for line in lines] == [True] * 3
    records = read_ours(manifest, "train")
    labels = sorted(int(label) for _, label in train)
    assert labels == sorted(record.label for record in records)


def test_the_tensorflow_snippet(run_snippet, manifest):
    [code] = snippets(READMES[0], "TensorFlow")
    delivered = [(x.numpy(), y) for x, y in run_snippet(code)["train"]]
    assert_same(delivered, read_ours(manifest, "train"))


def test_the_pytorch_snippet_without_pytorch(run_snippet, manifest):
    code, _ = snippets(READMES[0], "PyTorch")
    for split, size in manifest.split_sizes.items():
        dataset = run_snippet(code)["Records"]("records", split)
        assert len(dataset) == size
        assert_same(list(dataset), read_ours(manifest, split))
        with pytest.raises(IndexError):
            dataset[size]


def test_the_pytorch_snippet_reads_numbers_of_any_size(run_snippet):
    code, _ = snippets(READMES[0], "PyTorch")
    read_number = run_snippet(code)["read_number"]
    # From protobuf's page on its encoding; the rest is 2**63 - 1.
    assert read_number(b"\x96\x01") == (150, 2)
    assert read_number(b"\x00\x96\x01\x00", 1) == (150, 3)
    assert read_number(b"\x00") == (0, 1)
    assert read_number(b"\xff" * 8 + b"\x7f") == (2**63 - 1, 9)


def run_alone(code, manifest):
    """Run code beside `records` in a process of its own; return its `delivered`."""
    save = "import pickle; pickle.dump(delivered, open('delivered', 'wb'))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{save}\n"],
        cwd=manifest.records_dir.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return pickle.loads((manifest.records_dir.parent / "delivered").read_bytes())


@pytest.mark.slow
def test_the_pytorch_snippet_with_two_workers(manifest):
    pytest.importorskip("torch")
    tail = "delivered = [(picture.numpy(), label) for picture, label in loader]"
    delivered = run_alone("\n".join([*snippets(READMES[0], "PyTorch"), tail]), manifest)
    records = read_ours(manifest, "train")

    def place(pair):
        return next(
            record.source_id
            for record in records
            if np.array_equal(by_pillow(record), pair[0])
        )

    assert_same(sorted(delivered, key=place), records)


@pytest.mark.slow
def test_the_dali_snippet(manifest):
    pytest.importorskip("nvidia.dali")
    [code] = snippets(READMES[0], "DALI")
    tail = """
import numpy as np
delivered, size = [], pipeline.epoch_size("train")
while len(delivered) < size:
    for picture, label in zip(pictures, labels, strict=True):
        delivered.append((np.array(picture), int(np.array(label))))
    pictures, labels = pipeline.run()
"""
    delivered = run_alone(code + tail, manifest)
    records = read_ours(manifest, "train")
    assert len(delivered) == 32
    # The reader begins again behind the last record, to fill its batch.
    assert_same(delivered, [*records, *records, *records][:32], bound=1)
