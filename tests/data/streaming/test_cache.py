import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfpipe.data.streaming import cache
from tfpipe.data.streaming.cache import PictureCache, should_cache

IDS = np.array([10, 70, 30, 20, 50, 60])
NUMBERS = np.array([50, 10, 30])
LABELS = np.array([1, 0, 300])


def open_table(facts, ids=IDS):
    return PictureCache(cache.table_path(facts, ids, 8), ids, 8)


def pictures(count, size=8):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, size, size, 3), np.uint8)


def get(table, numbers):
    out = np.zeros((len(numbers), 8, 8, 3), np.uint8)
    labels, found = np.zeros((2, len(numbers)), np.int64)
    missing = table.get(numbers, out, labels, found)
    is_there = np.isin(np.arange(len(numbers)), missing, invert=True)
    np.testing.assert_array_equal(found[is_there], numbers[is_there])
    return missing, out, labels


def test_what_was_put_is_found_by_its_number():
    table, kept = open_table({"a": 1}), pictures(3)
    missing, _, _ = get(table, NUMBERS)
    assert missing.tolist() == [0, 1, 2]
    table.put(NUMBERS, kept, LABELS)
    missing, out, labels = get(table, NUMBERS)
    assert missing.tolist() == []
    np.testing.assert_array_equal(out, kept)
    np.testing.assert_array_equal(labels, LABELS)
    missing, out, labels = get(table, np.array([20, 30, 50]))
    assert missing.tolist() == [0]
    np.testing.assert_array_equal(out[1:], kept[[2, 0]])
    assert labels[1:].tolist() == [300, 1]


def test_tables_of_equal_facts_are_one_and_of_others_are_not(shared_dir):
    one, kept = open_table({"a": 1}), pictures(3)
    same, other = open_table({"a": 1}), open_table({"a": 2})
    assert one.is_shared
    one.put(NUMBERS, kept, LABELS)
    assert get(same, NUMBERS)[0].tolist() == []
    assert get(other, NUMBERS)[0].tolist() == [0, 1, 2]
    assert len(list(shared_dir.iterdir())) == 2


def put_elsewhere(folder, kept):
    cache.SHARED_DIR = folder
    open_table({"a": 1}).put(NUMBERS, kept, LABELS)


def test_another_process_finds_them(shared_dir):
    table, kept = open_table({"a": 1}), pictures(3)
    process = multiprocessing.get_context("spawn").Process(
        target=put_elsewhere, args=(shared_dir, kept)
    )
    process.start()
    process.join()
    missing, out, _ = get(table, NUMBERS)
    assert missing.tolist() == []
    np.testing.assert_array_equal(out, kept)


def test_the_last_to_close_removes_the_table(shared_dir):
    one, other = open_table({}), open_table({})
    one.close()
    one.close()
    assert one.path.exists()
    other.put(NUMBERS, pictures(3), LABELS)
    other.close()
    assert list(shared_dir.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(shared_dir):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from tfpipe.data.streaming import cache\n"
        f"cache.SHARED_DIR = Path({os.fspath(shared_dir)!r})\n"
        "path = cache.table_path({'of': 'the killed'}, np.arange(6), 8)\n"
        "table = cache.PictureCache(path, np.arange(6), 8)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == -signal.SIGKILL
    assert len(list(shared_dir.iterdir())) == 1
    open_table({}).close()
    assert list(shared_dir.iterdir()) == []


def test_full_shared_memory_ends_the_keeping_and_nothing_else(monkeypatch):
    table, kept = open_table({}), pictures(3)

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    table.put(NUMBERS, kept, LABELS)
    assert get(table, NUMBERS)[0].tolist() == [0, 1, 2]
    monkeypatch.undo()
    table.put(NUMBERS, kept, LABELS)
    assert get(table, NUMBERS)[0].tolist() == [0, 1, 2]


@pytest.mark.parametrize("why", ["no folder", "no room", "not allowed", "foreign"])
def test_without_shared_memory_it_is_this_process_own(shared_dir, monkeypatch, why):
    if why == "no folder":
        monkeypatch.setattr(cache, "SHARED_DIR", Path("/nowhere"))
    elif why == "no room":
        monkeypatch.setattr(cache, "_free_bytes", lambda: 100)
    elif why == "not allowed":
        monkeypatch.setattr(os, "open", refuse)
    else:
        uid = os.getuid()
        uids = iter([uid, uid, uid + 1])  # of the names, and of the file's owner
        monkeypatch.setattr(os, "getuid", lambda: next(uids, uid))
    table, kept = open_table({}), pictures(3)
    monkeypatch.undo()
    assert not table.is_shared
    table.put(NUMBERS, kept, LABELS)
    np.testing.assert_array_equal(get(table, NUMBERS)[1], kept)


def refuse(*_):
    raise PermissionError("not allowed")


def test_a_forked_child_leaves_its_parents_table(shared_dir):
    table = open_table({})
    child = os.fork()
    if not child:
        table.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert table.path.exists()
    table.close()
    assert not table.path.exists()


def test_a_table_that_was_made_since_is_not_removed(shared_dir):
    old = open_table({})
    old.path.unlink()
    new = open_table({})
    old.close()
    assert new.path.exists()


def test_there_is_room_for_what_is_asked_for_alone(shared_dir):
    few = open_table({}, np.array([1_000_000_007, 5]))
    few.put(np.array([1_000_000_007]), pictures(1), np.array([3]))
    missing, _, labels = get(few, np.array([5, 1_000_000_007]))
    assert (missing.tolist(), labels[1]) == ([0], 3)
    assert few.path.stat().st_size < 1000
    assert few.path != open_table({}, np.array([5, 6])).path


def test_whether_to_keep_pictures(monkeypatch, tmp_path):
    monkeypatch.setattr(cache.machine, "usable_memory_bytes", lambda: 6000)
    path = tmp_path / "table"
    assert should_cache("auto", 2, 10, "", path)
    assert should_cache("memory", 10, 10, "", path)
    assert not should_cache("none", 10, 10, "", path)
    assert not should_cache("auto", 3, 10, "", path)
    assert not should_cache("auto", 1, 10, "it is raw", path)
    with pytest.raises(ValueError, match=r"got memory: 11 pictures of 10 pixels take"):
        should_cache("memory", 11, 10, "", path)
    with pytest.raises(ValueError, match="got memory: it is raw; records made with"):
        should_cache("memory", 1, 10, "it is raw", path)
    with pytest.raises(ValueError, match="cache must be one of auto, memory, none"):
        should_cache("disk", 1, 10, "", path)
    # What another run has put there is no longer free, and costs nothing.
    path.write_bytes(b"x" * 8192)
    assert should_cache("memory", 11, 10, "", path)
    assert should_cache("auto", 5, 10, "", path)
