"""Real kills of the real command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tfpipe.base import files
from tfpipe.training import run_folder

ROOT = Path(__file__).parents[2]


def start(records_dir, runs_dir):
    words = [
        "--model=small_cnn",
        "--image_size=16",
        "--batch_size=2",
        "--epochs=3",
        "--run_name=killed",
        "--checkpoint_minutes=0.01",
        "--augment=flip,color",
        "--optimizer_args=momentum=0.5",
        "--schedule=cosine",
        f"--records_dir={records_dir}",
        f"--runs_dir={runs_dir}",
    ]
    command = [sys.executable, "-m", "tfpipe.train", *words]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def outcome(folder):
    """All that isn't a clock."""
    lines = [
        {k: v for k, v in line.items() if not k.endswith("_seconds")}
        for name in (run_folder.METRICS, run_folder.STEPS)
        for line in files.read_json_lines(folder / name)
    ]
    with np.load(max((folder / "checkpoint").glob("*.npz"))) as arrays:
        state = [arrays[name].tobytes() for name in arrays.files]
    return lines, state


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)],
)
def test_a_killed_command_given_again_ends_as_if_unbroken(
    records_dir, tmp_path, number, code
):
    whole = start(records_dir, tmp_path / "whole")
    whole.communicate()
    assert whole.returncode == 0
    folder = tmp_path / "runs" / "killed"
    for steps in (1, 17, 45):
        process = start(records_dir, tmp_path / "runs")
        deadline = time.monotonic() + 120
        while len(files.read_json_lines(folder / run_folder.STEPS)) < steps:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        os.kill(process.pid, number)
        process.communicate()
        assert process.returncode == code
        assert run_folder.read_run(folder).status["status"] == "interrupted"
    last = start(records_dir, tmp_path / "runs")
    text, _ = last.communicate()
    assert last.returncode == 0, text
    assert outcome(folder) == outcome(tmp_path / "whole" / "killed")
