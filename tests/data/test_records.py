import dataclasses

import pytest

from tfpipe.data.records import (
    EXAMPLE_KEYS,
    Record,
    frame_record,
    read_index,
    unframe_record,
)

RECORD = Record(
    encoded=b"\xff\xd8 bytes",
    format="jpeg",
    height=3,
    width=400,
    label=1,
    class_text="猫",
    file_name="猫/a b.jpg",
    sha256="0" * 64,
    source_id=2**40,
    group="g",
)


def test_frame_of_a_letter_is_the_one_tensorflow_writes():
    # tf.io.TFRecordWriter(path).write(b"a"), as hexadecimal digits
    expected = "0100000000000000" + "031db3dd" + "61" + "fe6cf6ab"
    block = frame_record(b"a")
    assert block[:8].hex() == expected[:16]
    assert len(block) == 17
    assert unframe_record(block) == b"a"


def test_every_flipped_byte_of_a_frame_is_seen():
    block = frame_record(b"abc")
    for place in range(len(block)):
        damaged = bytearray(block)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match=r"must match (its|their) checksum"):
            unframe_record(bytes(damaged))


@pytest.mark.parametrize("size", [0, 15, 18])
def test_a_cut_frame_is_refused(size):
    with pytest.raises(ValueError, match="bytes long, got"):
        unframe_record(frame_record(b"abc")[:size])


def test_a_record_reads_back_and_equal_records_give_equal_bytes():
    assert Record.from_bytes(RECORD.to_bytes()) == RECORD
    assert dataclasses.replace(RECORD).to_bytes() == RECORD.to_bytes()


@pytest.mark.parametrize("payload", [b"a", b"\xff" * 20])
def test_bytes_that_are_no_example_are_refused(payload):
    with pytest.raises(ValueError, match=r"must be a tf\.train\.Example"):
        Record.from_bytes(payload)


def test_a_missing_field_is_named():
    with pytest.raises(ValueError, match="one value of image/encoded, got 0"):
        Record.from_bytes(b"")


def test_tensorflow_reads_what_we_write(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "one"
    path.write_bytes(frame_record(RECORD.to_bytes()))
    payload = next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
    types = {
        EXAMPLE_KEYS[field.name]: tf.io.FixedLenFeature(
            [], tf.int64 if field.type is int else tf.string
        )
        for field in dataclasses.fields(Record)
    }
    parsed = tf.io.parse_single_example(payload, types)
    for name, key in EXAMPLE_KEYS.items():
        value = getattr(RECORD, name)
        expected = value.encode() if isinstance(value, str) else value
        assert parsed[key].numpy() == expected
    example = tf.train.Example.FromString(payload)
    assert example.SerializeToString(deterministic=True) == payload


def test_an_index_gives_offsets_and_sizes(tmp_path):
    path = tmp_path / "a.idx"
    path.write_text("0 17\n17 18\n")
    offsets, sizes = read_index(path)
    assert offsets.tolist() == [0, 17]
    assert sizes.tolist() == [17, 18]
    assert offsets.dtype == sizes.dtype == "int64"


@pytest.mark.parametrize("text", ["0 17\n17\n", "zero 17\n"])
def test_a_damaged_index_is_refused(tmp_path, text):
    path = tmp_path / "a.idx"
    path.write_text(text)
    with pytest.raises(ValueError, match="lines of 'offset size'"):
        read_index(path)
