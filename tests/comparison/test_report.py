import html
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tfpipe.training import run_folder


def report(*words):
    """Run the binary as a person does; return its exit code, output and errors."""
    result = subprocess.run(
        [sys.executable, "-m", "tfpipe.report", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return result.returncode, result.stdout, result.stderr


def test_a_folder_of_runs_becomes_a_report(notebook_runs, tmp_path):
    runs_dir = Path(notebook_runs[0].run.runs_dir)
    damaged = run_folder.run_folder(notebook_runs[3])
    (damaged / "config.json").write_text("{")
    code, output, errors = report(runs_dir, "--pictures=0")
    assert (code, errors) == (0, "")
    page = runs_dir / "report" / "report.html"
    assert f"written:\n  {page}\n" in output
    line = f"left out {damaged}, which can't be read: "
    assert line in output
    assert html.escape(line) in page.read_text()
    assert "| rmsprop 1e-4" in output
    # Elsewhere the same runs give the same bytes.
    assert report(runs_dir, f"--out={tmp_path / 'again'}", "--pictures=0")[0] == 0
    for path in (runs_dir / "report").rglob("*.*"):
        other = tmp_path / "again" / path.relative_to(runs_dir / "report")
        assert other.read_bytes() == path.read_bytes(), path


def test_help_opens_with_the_command():
    code, output, _ = report("--help")
    assert code == 0
    assert output.startswith("python -m tfpipe.report runs\n")
    assert "--pictures=20" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("/nowhere",), "runs folder must exist, got /nowhere"),
        (("a", "b"), "arguments must be flags behind runs_dir, got 'b'"),
        (("--pictures=-1",), "pictures must be a whole number of at least 0"),
    ],
)
def test_bad_input_is_one_line(words, message):
    code, output, errors = report(*words)
    assert (code, output) == (2, "")
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1


ROOT = Path(__file__).resolve().parents[2]
RESULTS, CONSTRAINTS = ROOT / "docs" / "results", ROOT / "constraints.txt"


@pytest.mark.parametrize(
    "name", [p.parent.parent.name for p in RESULTS.glob("*/report/report.md")]
)
def test_committed_reports_are_what_their_runs_say(name, tmp_path):
    """All of them, byte for byte; pixels where the same matplotlib drew them."""
    assert report(RESULTS / name, f"--out={tmp_path}", "--pictures=0")[0] == 0
    committed = RESULTS / name / "report"
    for file in ("report.html", "report.md", "table.tex", "results.csv"):
        ours, theirs = (
            re.sub('data:image/png;base64,[^"]*', "", (folder / file).read_text())
            for folder in (tmp_path, committed)
        )
        assert ours == theirs, file
    names = {path.name for path in (committed / "figures").iterdir()}
    assert {path.name for path in (tmp_path / "figures").iterdir()} == names
    pinned = f"matplotlib=={metadata.version('matplotlib')}\n"
    if pinned in CONSTRAINTS.read_text() and platform.machine() == "x86_64":
        for file in ("report.html", *(f"figures/{name}" for name in names)):
            ours, theirs = (tmp_path / file, committed / file)
            assert ours.read_bytes() == theirs.read_bytes(), file
