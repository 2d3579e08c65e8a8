"""The notebook of examples/ tells what happens when its cells are run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfpipe.training import run_folder

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "examples" / "compare_optimizers.ipynb"


def code_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def test_it_is_committed_without_outputs():
    for cell in code_cells():
        assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]


@pytest.mark.slow
def test_its_cells_run_in_order(tmp_path):
    # Plain Python, no magics: one process does what a kernel would, without Jupyter.
    script = "\n".join("".join(cell["source"]) for cell in code_cells())
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    alone = re.findall(r"^epoch (\d): (0\.\d{4})$", result.stdout, re.MULTILINE)
    assert [epoch for epoch, _ in alone] == ["1", "2", "3", "4", "5"]
    assert "adam-lr0.001-image_size32-modelsmall_cnn-s0: done before" in result.stdout
    finals = {
        record.name.partition("-image")[0]: record.evaluations[-1]["val_accuracy"]
        for folder in (tmp_path / "demo" / "runs").iterdir()
        if run_folder.is_run_folder(folder)
        for record in [run_folder.read_run(folder)]
    }
    assert f"{finals['adam-lr0.001']:.4f}" == alone[-1][1]
    assert re.search(r"^\| adam 1e-3 +\|", result.stdout, re.MULTILINE)
    # What its last cell says.
    slower = [finals[f"{name}-lr0.0001"] for name in ("adam", "rmsprop")]
    assert 0.6 < min(slower) < max(slower) < finals["adam-lr0.001"]
    assert finals["adam-lr0.001"] > 0.9
    assert finals["sgd-lr0.0001"] < 0.55
