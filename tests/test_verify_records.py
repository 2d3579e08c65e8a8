"""The binary as people start it: help, sound records, damaged ones."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def own_records(records_dir, tmp_path):
    shutil.copytree(records_dir, tmp_path / "records")
    return tmp_path / "records"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/verify_records.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_help_opens_with_the_command(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("python tools/verify_records.py")
    for flag in ("--records_dir=records", "--[no]decode", "--num_workers=0"):
        assert flag in done.stdout


def test_sound_records_are_told_in_one_line(own_records):
    done = run(own_records.parent)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("52 records in 4 shards are sound: ")
    assert done.stdout.endswith("every picture decodes in TensorFlow\n")
    assert done.stdout.count("\n") == 1


def test_faults_are_lines_and_the_code_is_2(own_records):
    shard = sorted(own_records.glob("*-train*"))[1]
    data = bytearray(shard.read_bytes())
    data[1000] ^= 1
    shard.write_bytes(data)
    done = run(own_records.parent, "--records_dir=records", "--nodecode")
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"record 0 of {shard.name} at offset 0, key '")
    assert done.stderr.startswith(
        "error: records must be sound, got 2 faults in 1 shar"
    )
    assert done.stderr.endswith(f"alone: {shard.name}\n")


def test_a_wrong_folder_is_one_line(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: records_dir must hold finished records, got")
    assert done.stderr.count("\n") == 1
