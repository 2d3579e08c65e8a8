import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tfpipe import cli
from tfpipe.training.config import RunConfig


def compare(*words):
    """Run the binary as a person does; return its exit code, output and errors."""
    result = subprocess.run(
        [sys.executable, "-m", "tfpipe.compare", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return result.returncode, result.stdout, result.stderr


def test_help_opens_with_the_command_and_shows_the_study_first():
    code, output, _ = compare("--help")
    assert code == 0
    assert output.startswith("python -m tfpipe.compare\n")
    front = output.partition("Flags that matter most:")[2]
    assert front.split()[0] == "--optimizers="


def test_nothing_heavy_is_imported():
    heavy = "{'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, tfpipe.compare; sys.exit(str({heavy} or ''))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.stderr.strip() == ""


def test_a_dry_run_prints_commands_that_mean_the_runs(tmp_path, records_dir):
    runs_dir = tmp_path / "runs"
    flags = [f"--runs_dir={runs_dir}", f"--records_dir={records_dir}"]
    code, output, _ = compare("--dry_run", "--image_size=64", *flags)
    assert code == 0
    lines = output.splitlines()
    assert lines[6] == "run 4 of 4: adam-lr0.001-image_size64-s0: to train"
    words = shlex.split(lines[7])
    assert words[1:3] == ["-m", "tfpipe.train"]
    assert cli.parse_flags(RunConfig, words[3:]) == RunConfig.of(
        optimizer="adam",
        learning_rate=1e-3,
        image_size=64,
        early_stopping="off",
        runs_dir=str(runs_dir),
        records_dir=str(records_dir),
    )
    assert not runs_dir.exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--optimizers=rmsprop,adm", "did you mean adam?"),
        ("--replicates=none", "replicates must be a whole number"),
        ("--records_dir=/nowhere", "/nowhere"),
    ],
)
def test_bad_input_is_one_line(tmp_path, flag, message):
    code, output, errors = compare(flag, f"--runs_dir={tmp_path / 'runs'}")
    assert (code, output) == (2, "")
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_a_comparison_that_is_done_is_only_drawn(notebook_runs):
    runs_dir = Path(notebook_runs[0].run.runs_dir)
    words = (f"--runs_dir={runs_dir}", "--records_dir=/nowhere")
    code, output, errors = compare(*words)
    assert (code, errors) == (0, "")
    assert (
        "run 2 of 4: adam-lr0.0001-s0: done before, at epoch 5, not trained again"
        in output
    )
    assert "| adam 1e-4    | 0.6858" in output
    assert str(runs_dir / "report" / "report.html") in output
    assert f"tensorboard --logdir {runs_dir} " in output
    assert "set Smoothing to 0" in output
    page = (runs_dir / "report" / "report.html").read_text()
    assert "No pictures: no run that left its start has stored predictions" in page


def test_a_diverged_run_is_reported_and_gives_3(write_run):
    run = write_run([], optimizer="sgd", status="diverged", reason="loss is nan")
    code, output, _ = compare("--optimizers=sgd", f"--runs_dir={run.run.runs_dir}")
    assert code == 3
    assert "diverged: loss is nan" in output


# The binary with a trainer that takes no time and no records.
HARNESS = """
import sys
from tfpipe import cli, compare
trainer, folder, *words = sys.argv[1:]
def command(run):
    name = run.optimizer.optimizer
    return [sys.executable, trainer, name, f"{folder}/{name}"]
compare.train_command = command
compare.study.check_records = lambda runs: None
cli.run_binary(compare.__doc__, compare.CompareConfig, compare.work, words)
"""


@pytest.mark.parametrize(
    ("optimizers", "code", "word"),
    [
        ("rmsprop,lion", 0, "tensorboard --logdir"),
        ("rmsprop,adamw", 3, "refused its input"),
        ("sgd,lion", 3, "diverged; going on"),
        ("adamw", 2, "refused its input"),
        ("adam,lion", 130, "stopped; the same command continues"),
        ("adamax,lion", 143, "stopped; the same command continues"),
    ],
)
def test_exit_codes_say_what_became_of_the_runs(
    tmp_path, fake_trainer, optimizers, code, word
):
    script = fake_trainer(RunConfig())[1]
    flags = [f"--optimizers={optimizers}", f"--runs_dir={tmp_path / 'runs'}"]
    result = subprocess.run(
        [sys.executable, "-c", HARNESS, script, str(tmp_path), *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (code, "")
    assert word in result.stdout
    if code > 100:
        assert (tmp_path / optimizers.partition(",")[0]).read_text() == "saved"
        assert not (tmp_path / "lion").exists()


def test_several_workers_are_told_to_save_and_waited_for(tmp_path, fake_trainer):
    script = fake_trainer(RunConfig())[1]
    flags = ["--optimizers=adamax,lion", "--workers=2", "--train_examples=10"]
    flags += [f"--runs_dir={tmp_path / 'runs'}"]
    result = subprocess.run(
        [sys.executable, "-c", HARNESS, script, str(tmp_path), *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (143, "")
    assert "2 runs at a time" in result.stdout
    assert "stopped; the same command continues" in result.stdout
    assert (tmp_path / "adamax").read_text() == "saved"
