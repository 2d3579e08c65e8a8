import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tfpipe import cli
from tfpipe.training import run_folder
from tfpipe.training.config import RunConfig


def run_python(*words, timeout=60):
    """Run Python; return its exit code, output and errors."""
    result = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    return result.returncode, result.stdout, result.stderr


def compare(*words):
    """Run the binary as a person does."""
    return run_python("-m", "tfpipe.compare", *words)


def test_help_opens_with_the_command_and_shows_the_study_first():
    code, output, _ = compare("--help")
    assert code == 0
    assert output.startswith("python -m tfpipe.compare\n")
    front = output.partition("Flags that matter most:")[2]
    assert front.split()[0] == "--optimizers="


def test_nothing_heavy_is_imported():
    heavy = "{'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, tfpipe.compare; print(*{heavy})"
    assert run_python("-c", code) == (0, "\n", "")


def test_a_dry_run_prints_commands_that_mean_the_runs(tmp_path, records_dir):
    runs_dir = tmp_path / "runs"
    flags = [f"--runs_dir={runs_dir}", f"--records_dir={records_dir}"]
    flags += ["--image_size=16", "--model=small_cnn"]
    code, output, _ = compare("--dry_run", *flags)
    assert code == 0
    first, *lines = output.splitlines()
    assert first.endswith("yet: timing steps of small_cnn at 16 pixels")
    name = "adam-lr0.001-image_size16-modelsmall_cnn-s0"
    assert lines[6].startswith(f"run 4 of 4: {name}: to train, about ")
    assert lines[8].startswith("left: 4 runs: about ")
    words = shlex.split(lines[7])
    assert words[1:3] == ["-m", "tfpipe.train"]
    assert cli.parse_flags(RunConfig, words[3:]) == RunConfig.of(
        optimizer="adam",
        learning_rate=1e-3,
        image_size=16,
        model="small_cnn",
        early_stopping="off",
        runs_dir=str(runs_dir),
        records_dir=str(records_dir),
    )
    assert lines[-1] == (
        "1 replicate and 6 pairs: nothing can be significant; 8 replicates are needed"
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


def test_replicates_have_their_median_in_tensorboard(write_run):
    runs = [write_run([0.5, 0.6], seed=seed) for seed in (0, 1)]
    runs_dir = Path(runs[0].run.runs_dir)
    words = ("--optimizers=rmsprop", "--replicates=2", "--epochs=2")
    code, output, _ = compare(*words, f"--runs_dir={runs_dir}")
    assert code == 0
    assert f"\n  {runs_dir / 'aggregate'}\n" in output
    [written] = (runs_dir / "aggregate" / "rmsprop_1e-4" / "validation").iterdir()
    assert written.name.startswith("events.out.tfevents.")


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
    found, output, errors = run_python("-c", HARNESS, script, str(tmp_path), *flags)
    assert (found, errors) == (code, "")
    assert word in output
    if code > 100:
        assert (tmp_path / optimizers.partition(",")[0]).read_text() == "saved"
        assert not (tmp_path / "lion").exists()


DECLARED = """
import json, sys
from pathlib import Path
marker = Path(sys.argv[2])
study = json.loads((marker.parent / "runs" / "study.json").read_text())
marker.write_text(str(study["runs_begun_before"]))
"""


def test_a_study_is_declared_before_its_first_run(tmp_path):
    trainer = tmp_path / "trainer.py"
    trainer.write_text(DECLARED)
    flags = ["--optimizers=rmsprop,lion", f"--runs_dir={tmp_path / 'runs'}"]
    run_python("-c", HARNESS, str(trainer), str(tmp_path), *flags)
    seen = [(tmp_path / name).read_text() for name in ("rmsprop", "lion")]
    assert seen == ["0", "0"]


@pytest.mark.parametrize("damage", ["", "{", "{}", "[]"])
def test_a_damaged_run_is_refused_and_the_others_are_trained(write_run, damage):
    runs = [write_run([0.6], optimizer=name) for name in ("rmsprop", "lion")]
    runs_dir = Path(runs[0].run.runs_dir)
    damaged = run_folder.run_folder(runs[0])
    (damaged / "config.json").write_text(damage)
    other = run_folder.run_folder(runs[1])
    facts = json.loads((other / "config.json").read_text())
    del facts["steps_per_epoch"]
    (other / "config.json").write_text(json.dumps(facts))
    flags = ["--optimizers=rmsprop,lion,adamw", f"--runs_dir={runs_dir}"]
    trainer = runs_dir.parent / "trainer.py"
    trainer.write_text(REFUSING)
    code, output, errors = run_python(
        "-c", HARNESS, str(trainer), str(runs_dir.parent), *flags
    )
    assert (code, errors) == (3, "")
    assert (runs_dir.parent / "adamw").read_text() == "trained"
    assert f"left out {damaged}, which can't be read: " in output


REFUSING = """
import sys
from pathlib import Path
if sys.argv[1] != "adamw":
    sys.exit(2)
Path(sys.argv[2]).write_text("trained")
"""

# The binary with trainers that write their folder at once, as many as it is told.
SEARCH = """
import sys
sys.path.insert(0, {tests!r})
from conftest import write_folder
from tfpipe import cli, compare
from tfpipe.training.naming import run_name
BEST = dict(sgd=0.3, adam=0.001)
left, *words = sys.argv[1:]
left = int(left)
def train(runs, command, *_, **__):
    global left
    for run in runs:
        if compare.study.find_finished(run):
            continue
        if not left:
            raise KeyboardInterrupt
        left -= 1
        print("trains", run_name(run))
        rate, best = run.optimizer.learning_rate, BEST[run.optimizer.optimizer]
        far = abs(rate - best) / (rate + best)
        write_folder(run, [0.5] * 4 + [0.9 - 0.3 * far])
    return [0 for run in runs]
compare.execution.train_runs = train
compare.study.check_records = lambda runs: None
compare.study.dataset_fingerprint = lambda runs: "d" * 64
cli.run_binary(compare.__doc__, compare.CompareConfig, compare.work, words)
"""


@pytest.fixture
def search(tmp_path):
    """Give a function that searches rates, killed after some runs."""

    def run(*words, most=99, folder="runs"):
        code = SEARCH.format(tests=str(Path(__file__).parent))
        flags = ["--optimizers=sgd,adam", f"--runs_dir={tmp_path / folder}", *words]
        return run_python("-c", code, str(most), *flags, timeout=120)

    return run


def trained(output):
    lines = [line.split() for line in output.splitlines()]
    return [words[1] for words in lines if words[:1] == ["trains"]]


def test_a_search_goes_on_by_its_results_and_after_a_kill(search, tmp_path):
    words = ("--learning_rates=auto", "--tune", "--replicates=2")
    code, whole, errors = search(*words, folder="whole")
    assert (code, errors) == (0, "")
    names = trained(whole)
    assert len(names) == 10 + 4 + 4
    assert "1 pair: nothing can be significant; 6 replicates are needed" in whole
    lines = whole.splitlines()
    told = [
        line for line in lines if line.startswith(("sgd:", "adam:", "trained again"))
    ]
    assert told == [
        "sgd: the best of 5 rates of 1e-3 to 0.1 is 0.1 (0.7500), the highest; tried "
        "next: 0.3, 1",
        "adam: the best of 5 rates of 1e-4 to 0.01 is 1e-3 (0.9000); tried next: 1e-5, "
        "3e-5, for as many trials as the others",
        "sgd: the best of 7 rates of 1e-3 to 1 is 0.3 (0.9000)",
        "adam: the best of 7 rates of 1e-5 to 0.01 is 1e-3 (0.9000)",
        "trained again with fresh seeds, and compared: sgd 0.3, adam 1e-3; "
        "seeds 1 to 2",
    ]
    assert lines.index(told[0]) < lines.index("trains sgd-lr0.3-s0")
    assert "| sgd 0.3 seed=1 " in whole
    assert "| tuning: sgd 0.3 " in whole

    first = ""
    for most in (3, 14):
        code, output, errors = search(*words, most=most)
        assert (code, errors) == (130, "")
        first += output
    assert trained(first) == names[:17]
    code, output, _ = search(*words)
    assert (code, trained(output)) == (0, names[17:])
    code, again, _ = search(*words)
    assert trained(again) == []
    assert [line for line in again.splitlines() if line in told] == told
    study = json.loads((tmp_path / "runs" / "study.json").read_text())
    assert (study["changes"], study["runs_begun_before"]) == ([], 0)
    assert study["declared"]["seeds"] == [1, 2]


def test_overwriting_a_search_starts_it_again(search):
    words = ("--learning_rates=1e-3,1e-2", "--tune")
    names = trained(search(*words)[1])
    assert len(names) == 4 + 2
    assert trained(search(*words, "--overwrite")[1]) == names


def test_a_dry_run_of_a_search_says_that_more_follows(search, tmp_path):
    code, output, _ = search("--learning_rates=auto", "--dry_run")
    assert code == 0
    assert "run 10 of 10: adam-lr0.01-s0: to train" in output
    assert "what comes next follows from their results: more rates where" in output
    assert not (tmp_path / "runs").exists()


def test_runs_without_a_result_leave_rates_unchosen(tmp_path, fake_trainer):
    script = fake_trainer(RunConfig())[1]
    flags = ["--optimizers=sgd", "--learning_rates=0.1,1", "--tune"]
    flags.append(f"--runs_dir={tmp_path / 'runs'}")
    found, output, errors = run_python("-c", HARNESS, script, str(tmp_path), *flags)
    assert (found, errors) == (3, "")
    assert "rates can't be chosen while runs are left without a result" in output
    assert "| tuning: sgd 0.1 | " in output


def test_several_workers_are_told_to_save_and_waited_for(tmp_path, fake_trainer):
    script = fake_trainer(RunConfig())[1]
    flags = ["--optimizers=adamax,lion", "--workers=2", "--train_examples=10"]
    flags += [f"--runs_dir={tmp_path / 'runs'}"]
    found, output, errors = run_python("-c", HARNESS, script, str(tmp_path), *flags)
    assert (found, errors) == (143, "")
    assert "2 runs at a time" in output
    assert "stopped; the same command continues" in output
    assert (tmp_path / "adamax").read_text() == "saved"
