"""The binary as people start it: help, mistakes, a conversion with two workers."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def image_dir(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for i in range(140):
        pixels = rng.integers(0, 255, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"data/{('cat', 'dog')[i % 2]}.{i}.jpg")
    return tmp_path / "data"


def run(folder, *arguments, start=("tools/make_records.py",)):
    command = [sys.executable, *start, *arguments]
    if start[0] != "-m":
        command[1] = str(ROOT / start[0])
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT) if start[0] == "-m" else ""},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_opens_with_the_command(tmp_path):
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("python tools/make_records.py")
    assert "--validation_split=0.25" in done.stdout


@pytest.mark.parametrize(
    "start", [("tools/make_records.py",), ("-m", "tfpipe.make_records")]
)
def test_defaults_then_nothing_to_do(image_dir, start):
    folder = image_dir.parent
    done = run(folder, "--num_workers=2", start=start)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "wrote 140 of 140 pictures to records" in done.stdout
    assert "train            105: dog 53, cat 52" in done.stdout
    assert done.stdout.endswith("next: python -m tfpipe.train\n")
    again = run(folder, start=start)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--image_dir=none"], "image_dir must be a folder"),
        (["--num_shards=900"], "num_shards must be from 2"),
        (["--validation_split=2"], "validation_split must be a number from 0 to 0.99"),
        (["--class_names=red,blue"], "every class must have a picture"),
        (["--imagedir=x"], "did you mean --image_dir?"),
        (["stray"], "got 'stray'"),
    ],
)
def test_a_mistake_is_told_in_one_go(image_dir, arguments, words):
    done = run(image_dir.parent, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
