"""What the README tells people to type works."""

import re
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tfpipe import cli
from tfpipe.base import named_values
from tfpipe.comparison import study_file
from tfpipe.training.optimizers import OPTIMIZERS
from tfpipe.training.schedules import SCHEDULES

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh.md")
POSITIONAL = {"tfpipe.predict": ("model", "pictures"), "tfpipe.report": ("runs_dir",)}


def code_blocks(readme, language):
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(readme):
    lines = "".join(code_blocks(readme, "console")).splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def config_class(words):
    if words[1] == "-m":
        name, rest = words[2], words[3:]
    else:
        name, rest = "tfpipe." + Path(words[1]).stem, words[2:]
    from tfpipe.comparison.study import CompareConfig
    from tfpipe.data.checks.verify import VerifyConfig
    from tfpipe.data.conversion.config import ConvertConfig
    from tfpipe.data.demo.demo_set import DemoConfig
    from tfpipe.report import ReportConfig
    from tfpipe.training.config import RunConfig
    from tfpipe.training.prediction_config import PredictConfig
    from tfpipe.training.range_config import FindConfig

    classes = {
        "tfpipe.train": RunConfig,
        "tfpipe.compare": CompareConfig,
        "tfpipe.make_records": ConvertConfig,
        "tfpipe.verify_records": VerifyConfig,
        "tfpipe.make_demo_images": DemoConfig,
        "tfpipe.predict": PredictConfig,
        "tfpipe.find_lr": FindConfig,
        "tfpipe.report": ReportConfig,
    }
    return classes[name], rest


@pytest.mark.parametrize("readme", READMES)
def test_every_command_parses(readme):
    parsed = 0
    for command in commands(readme):
        words = shlex.split(command)
        is_ours = words[0] == "python" and words[1:3] != ["-m", "pip"]
        if is_ours and "--optimizer=adm" not in words:
            kind, rest = config_class(words)
            cli.parse_flags(kind, rest, POSITIONAL.get(" ".join(words[2:3]), ()))
            parsed += 1
    assert parsed >= 5


@pytest.mark.parametrize("readme", READMES)
def test_the_study_file_is_one(readme, tmp_path):
    [line] = [line for line in commands(readme) if line.startswith("echo ")]
    words = shlex.split(line)
    (tmp_path / words[3]).write_text(words[1])
    assert len(study_file.read_file(str(tmp_path / words[3]))) == 8


@pytest.mark.parametrize("readme", READMES)
def test_the_error_shown_is_the_error_given(readme):
    block = next(b for b in code_blocks(readme, "console") if "=adm" in b)
    command, expected = block.strip().split("\n")
    words = [sys.executable, *shlex.split(command.removeprefix("$ "))[1:]]
    result = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert (result.returncode, result.stderr.strip()) == (2, expected)


def test_both_languages_show_the_same_commands():
    english, chinese = (commands(readme) for readme in READMES)
    assert english == chinese


def rows_of(readme, first):
    """The rows of a table by their first cell; `first` heads that column."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    found = re.search(
        rf"^\| ({first}) \|.*\n\|[ -|]*\n((?:\|.*\n)*)", text, re.MULTILINE
    )
    rows = [line.strip("| ").split(" | ") for line in found[2].splitlines()]
    return {row[0].strip(): [cell.strip(" |") for cell in row[1:]] for row in rows}


@pytest.mark.parametrize("readme", READMES)
def test_the_tables_of_optimizers_and_schedules_are_the_programs(readme):
    shown = rows_of(readme, "optimizer|优化器")
    usable = {n: row for n, row in OPTIMIZERS.items() if not row.refused}
    assert list(shown) == list(usable)
    for name, row in usable.items():
        own = [written(key, row.arguments[key]) for key in row.own]
        assert shown[name][0] == " ".join(own), name
        assert (shown[name][2] in ("yes", "有")) == row.is_checked
    shown = rows_of(readme, "schedule")
    assert list(shown) == list(SCHEDULES)
    for name, row in SCHEDULES.items():
        own = [written(key, argument) for key, argument in row.arguments.items()]
        assert shown[name][0] in (" ".join(own), "(`--decay`)"), name


def written(name, argument):
    """An argument as the tables have it."""
    if argument.default is named_values.REQUIRED:
        return name
    value = argument.default
    if isinstance(value, float):
        return f"{name}={value:g}"
    return f"{name}={str(value).lower()}"


@pytest.mark.parametrize("readme", READMES)
def test_links_lead_somewhere(readme):
    text = (ROOT / readme).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


@pytest.mark.slow
def test_the_demo_runs_as_the_readme_says(tmp_path):
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = ["make", "-o", "setup", "demo", f"BIN={Path(sys.executable).parent}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "tensorboard --logdir demo/runs" in result.stdout
    rows = re.findall(r"^\| (\w+ 1e-\d) +\| (0\.\d+)", result.stdout, re.MULTILINE)
    finals = {run: float(accuracy) for run, accuracy in rows}
    assert len(finals) == 4
    assert max(finals.values()) > 0.9
    assert min(finals.values()) < 0.6
    for name in ("report.html", "figures/comparison.png", "report.md", "results.csv"):
        assert (tmp_path / "demo/runs/report" / name).stat().st_size > 500
    # Kilobytes on Linux, bytes on macOS; of the largest process.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    assert peak < 3e9


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_first_answer_is_that_of_the_committed_report(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    report = ROOT / "docs/results/vgg16-32px-8-seeds/report/report.md"
    said = report.read_text(encoding="utf-8")
    answer = re.search(r"```\n(Train with .*?)```", text, re.DOTALL)
    assert " ".join(answer[1].split()) in said
    whole = {row["configuration"]: row for row in read_table(said, "configuration")}
    rows = read_table(text, "configuration")
    assert {row["configuration"] for row in rows} == set(whole)
    for row in rows:
        found = whole[row["configuration"]]
        assert row.pop("mean accuracy after 2 epochs") == found["final of all"]
        assert row.items() <= found.items()


def read_table(text, first):
    """Return the rows of the first Markdown table whose first column is `first`."""
    table = re.search(rf"^\| {first} .*\n(?:\|.*\n)+", text, re.MULTILINE)[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
    ]
    return [dict(zip(head, row, strict=True)) for row in rows]
