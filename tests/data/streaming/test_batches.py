import ctypes
import dataclasses
import mmap

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfpipe.data.order import epoch_order
from tfpipe.data.records import Record, frame_record, read_sample, unframe_record
from tfpipe.data.streaming import batches
from tfpipe.data.streaming.batches import find_samples, scale
from tfpipe.data.streaming.source import Source

RECORD = Record(
    encoded=b"\xff\xd8 bytes " * 40,
    format="jpeg",
    height=3,
    width=400,
    label=299,
    class_text="猫",
    file_name="猫/image/encoded.jpg",
    sha256="0" * 64,
    source_id=2**40,
    group="g",
)
BLOCK = frame_record(RECORD.to_bytes())
LEFT_TO_PYTHON = [-1, -1, -1, -1]


def find(*blocks):
    """Look at blocks that end where memory ends: a byte read behind is a crash."""
    found = []
    for block in blocks:
        pages = -(-max(len(block), 1) // mmap.PAGESIZE)
        memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
        view = np.frombuffer(memory, np.uint8)
        start = pages * mmap.PAGESIZE - len(block)
        view[start : start + len(block)] = np.frombuffer(block, np.uint8)
        address = view.ctypes.data
        libc = ctypes.CDLL(None, use_errno=True)
        behind = ctypes.c_void_p(address + pages * mmap.PAGESIZE)
        assert libc.mprotect(behind, mmap.PAGESIZE, 0) == 0
        rows = find_samples(np.array([address + start]), np.array([len(block)]))
        found += rows.tolist()
    return found


needs_compiled = pytest.mark.skipif(
    find(BLOCK) == [LEFT_TO_PYTHON], reason="no compiled library, or no CRC instruction"
)


def as_python_reads(block):
    encoded, label, source_id = read_sample(unframe_record(block))
    return [block.index(encoded), len(encoded), label, source_id]


@needs_compiled
def test_a_record_is_found_as_python_reads_it():
    empty = dataclasses.replace(RECORD, encoded=b"", label=0, source_id=0, group=None)
    large = dataclasses.replace(RECORD, encoded=bytes(range(256)) * 700)
    blocks = [frame_record(one.to_bytes()) for one in (large, empty, RECORD)]
    found = find(*blocks)
    assert found[0] == as_python_reads(blocks[0])
    assert found[1][1:] == [0, 0, 0]
    assert found[2] == as_python_reads(BLOCK)
    none = find_samples(np.array([], np.int64), np.array([], np.int64))
    assert none.shape == (0, 4)


@needs_compiled
def test_every_flipped_byte_and_every_cut_is_left_to_python():
    for place in range(len(BLOCK)):
        damaged = bytearray(BLOCK)
        damaged[place] ^= 16
        assert find(bytes(damaged), BLOCK[:place]) == [LEFT_TO_PYTHON] * 2


@needs_compiled
@settings(deadline=None, max_examples=150)
@given(st.data())
def test_payloads_of_any_bytes_are_read_as_python_reads_them_or_left(data):
    payload = bytearray(RECORD.to_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload) - 1))
        if data.draw(st.booleans()):
            payload[place] = data.draw(st.integers(0, 255))
        else:
            del payload[place : place + data.draw(st.integers(1, 40))]
    block = frame_record(bytes(payload))
    (found,) = find(block)
    if found != LEFT_TO_PYTHON:
        try:
            encoded, label, source_id = read_sample(unframe_record(block))
        except ValueError:
            return  # Python looks at all fields, C at those that it needs.
        assert block[found[0] : found[0] + found[1]] == encoded
        assert found[2:] == [label, source_id]


@needs_compiled
def test_forms_of_other_writers_are_read_or_left():
    feature = tf.train.Feature
    features = {
        "image/encoded": feature(bytes_list=tf.train.BytesList(value=[b"picture"])),
        "image/class/label": feature(int64_list=tf.train.Int64List(value=[7])),
        "image/source_id": feature(int64_list=tf.train.Int64List(value=[-5])),
    }

    def block(features):
        example = tf.train.Example(features=tf.train.Features(feature=features))
        return frame_record(example.SerializeToString())

    whole = block(features)
    assert find(whole) == [as_python_reads(whole)]
    two = feature(int64_list=tf.train.Int64List(value=[7, 8]))
    lacking = {k: v for k, v in features.items() if k != "image/source_id"}
    for changed in (lacking, features | {"image/class/label": two}):
        assert find(block(changed)) == [LEFT_TO_PYTHON]
    # Protobuf takes the last of two equal keys; that is left to it.
    payload = unframe_record(whole)
    assert find(frame_record(payload + payload)) == [LEFT_TO_PYTHON]


@pytest.mark.parametrize("fetch", ["memory", "file"])
def test_samples_are_the_same_without_the_compiled_function(
    records_dir, fetch, monkeypatch
):
    source = Source(records_dir, fetch=fetch)
    ids = epoch_order(source.split_ids("train"), 0, 0)

    def read():
        encoded, labels, found = source.store.samples(ids)
        return [bytes(one) for one in encoded], labels.tolist(), found.tolist()

    compiled = read()
    monkeypatch.setattr(batches, "_samples_function", lambda: None)
    assert read() == compiled
    encoded, labels, found = compiled
    for position, source_id in enumerate(ids.tolist()):
        record = source.store.record(source_id)
        assert found[position] == record.source_id == source_id
        assert labels[position] == record.label
        assert encoded[position] == record.encoded


@pytest.mark.parametrize("is_compiled", [True, False])
def test_every_value_is_scaled_to_its_nearest_float(is_compiled, monkeypatch):
    if not is_compiled:
        monkeypatch.setattr(batches, "_scale_function", lambda: None)
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(2, 8, 16, 3)
    scaled = np.empty(pixels.shape, np.float32)
    scale(pixels, scaled)
    exact = pixels.astype(np.float64) / 255
    np.testing.assert_array_equal(scaled, exact.astype(np.float32))
