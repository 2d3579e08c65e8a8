"""The first batch of a pass has all cores, and memory is lent and given back."""

import threading
import time

import numpy as np
import pytest

from tfpipe.data.streaming import loader as loaders
from tfpipe.data.streaming.buffers import ScratchPool
from tfpipe.data.streaming.decoding import Decoding
from tfpipe.data.streaming.loader import Loader
from tfpipe.data.streaming.source import Source


@pytest.fixture
def loader(records_dir):
    return Loader(Source(records_dir).store, Decoding(image_size=8))


def in_background(call):
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_others_wait_until_the_first_batch_of_a_pass_is_loaded(loader, monkeypatch):
    monkeypatch.setattr(loaders, "MOST_HELD_SECONDS", 60)
    loader.begin_pass()
    done = []
    other = in_background(lambda: done.append(loader.load(np.arange(4, 8))))
    time.sleep(0.2)
    assert not done
    loader.load(np.arange(4), is_urgent=True)
    other.join(timeout=30)
    assert len(done) == 1


def test_a_first_batch_that_fails_holds_nobody_up(loader, monkeypatch):
    monkeypatch.setattr(loaders, "MOST_HELD_SECONDS", 60)
    loader.begin_pass()
    with pytest.raises(IndexError):
        loader.load(np.array([10**6]), is_urgent=True)
    start = time.monotonic()
    loader.load(np.arange(4))
    assert time.monotonic() - start < 30


def test_a_pass_broken_off_holds_up_another_once(loader, monkeypatch):
    monkeypatch.setattr(loaders, "MOST_HELD_SECONDS", 0.3)
    loader.begin_pass()
    start = time.monotonic()
    loader.load(np.arange(4))
    assert time.monotonic() - start >= 0.3
    assert loader._is_free.is_set()


def test_scratches_are_lent_to_one_at_a_time_and_used_again():
    pool = ScratchPool()
    with pool.lend() as one, pool.lend() as other:
        assert one is not other
        large, small = one.take((40, 3)), one.take((2, 3))
        assert np.shares_memory(large, small)
        assert not np.shares_memory(other.take((5,)), large)
    with pool.lend() as again:
        assert again in (one, other)


def test_what_cannot_be_read_is_named(records_dir, monkeypatch):
    source = Source(records_dir, fetch="file")

    def broken(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.preadv", broken)
    monkeypatch.setattr("os.pread", broken)
    loader = Loader(source.store, Decoding(image_size=8))
    with pytest.raises(ValueError, match=r"record 0 of .*Input/output error"):
        loader.load(np.arange(4))


def test_a_shard_removed_since_is_named(records_dir, tmp_path):
    import shutil

    folder = tmp_path / "records"
    shutil.copytree(records_dir, folder)
    source = Source(folder, fetch="memory")
    for shard in folder.glob("*-train.tfrecord-*"):
        shard.unlink()
    loader = Loader(source.store, Decoding(image_size=8))
    with pytest.raises(ValueError, match=r"record 0 of .*got 0; the file is cut off"):
        loader.load(np.arange(4))
