import subprocess
import sys

import pytest

from tfpipe.base import files


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    files.write_bytes(path, b"old")
    with pytest.raises(RuntimeError), files.open_aside(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_json_lines_drop_a_half_written_last_line(tmp_path):
    path = tmp_path / "lines.jsonl"
    assert files.read_json_lines(path) == []
    files.append_json_line(path, {"step": 1, "name": "猫"})
    files.append_json_line(path, {"step": 2})
    with open(path, "ab") as file:
        file.write(b'{"step": 3')
    assert files.read_json_lines(path) == [{"step": 1, "name": "猫"}, {"step": 2}]


def test_sha256(tmp_path):
    files.write_bytes(tmp_path / "a", b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.file_sha256(tmp_path / "a") == expected


def test_a_second_writer_is_refused_and_a_dead_one_frees_the_folder(tmp_path):
    code = (
        "import sys, pathlib; from tfpipe.base.files import FolderLock\n"
        "with FolderLock(pathlib.Path(sys.argv[1])): print('held', flush=True); input()"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout.readline() == b"held\n"
    assert files.FolderLock.is_held(tmp_path)
    with (
        pytest.raises(BlockingIOError, match="must have one writer, got a second"),
        files.FolderLock(tmp_path),
    ):
        pass
    writer.kill()
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()
    assert not files.FolderLock.is_held(tmp_path)
    with files.FolderLock(tmp_path):
        pass


def test_too_little_space_is_said_before_writing(tmp_path):
    with pytest.raises(OSError, match=r"free disk space at .* must be at least"):
        files.check_free_space(tmp_path / "not" / "there", 10**18)
