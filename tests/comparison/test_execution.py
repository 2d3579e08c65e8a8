"""Runs of a study as processes: one at a time, and several that share the machine."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rich.console

from tfpipe.base import files, machine, settings, sharing
from tfpipe.comparison import board, execution, forecast, page, planning, results
from tfpipe.comparison.forecast import Pace
from tfpipe.comparison.study import CompareConfig
from tfpipe.training import run_folder
from tfpipe.training.config import RunConfig

ROOT = Path(__file__).parents[2]
needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores"
)


def plan(**values):
    design = planning.design_study(settings.build_config(CompareConfig, values))
    return list(planning.plan_study(design).runs)


def describe(runs, command, workers="1"):
    """What a dry run prints of a study where nothing is timed by a trial."""
    paces = forecast.measure_paces(runs, int(workers))
    return execution.describe_plan(runs, command, workers, paces)


# A trainer that does what a test says, in words of its own.
PRELUDE = """
import json, os, signal, sys, time
from pathlib import Path
name, folder = sys.argv[1], Path(sys.argv[2])
def leave(what, text=""):
    (folder / f"{name}.{what}").write_text(text)
def wait_for(other, what):
    deadline = time.monotonic() + 60
    while not (folder / f"{other}.{what}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
def save(*_):
    leave("saved")
    sys.exit(143)
"""


def trainer(folder, code, **codes):
    """The command of a trainer that runs `code`, or that of its optimizer."""

    def command(run):
        name = run.optimizer.optimizer
        text = PRELUDE + codes.get(name, code)
        return [sys.executable, "-c", text, name, str(folder)]

    return command


def test_each_run_is_trained_in_order_and_failures_stop_nothing(
    tmp_path, fake_trainer, capfd
):
    runs = plan(
        optimizers=("rmsprop", "sgd", "adamw", "adagrad", "nadam", "lion"),
        runs_dir=str(tmp_path / "runs"),
    )
    assert execution.train_runs(runs, fake_trainer) == [0, 3, 2, 1, -9, 0]
    output = capfd.readouterr().out
    assert "run 1 of 6: rmsprop-lr0.0001-s0\n" in output
    assert "run 2 of 6: sgd-lr0.0001-s0: diverged; going on" in output
    assert "adamw-lr0.0001-s0: refused its input" in output
    assert "adagrad-lr0.0001-s0: failed with exit code 1" in output
    assert "nadam-lr0.0001-s0: killed by signal 9" in output
    assert (tmp_path / "lion").read_text() == "trained"


def test_a_plan_says_which_run_will_be_refused(write_run, fake_trainer):
    damaged, other = write_run([0.6]), write_run([0.6], optimizer="lion")
    path = run_folder.run_folder(damaged) / "config.json"
    path.write_text("{")
    first, _, second, *_ = describe([damaged, other], fake_trainer).splitlines()
    assert f"will be refused: {path} must be the JSON that a training wrote" in first
    assert "lion-lr0.0001-s0: to train" in second


def test_runs_that_have_ended_are_skipped_with_a_line(
    tmp_path, write_run, fake_trainer, capfd
):
    runs = [
        write_run([0.6] * 5),
        write_run([0.6], optimizer="lion", status="stopped_early"),
        write_run([0.5], optimizer="sgd", status="diverged"),
        write_run([0.5], optimizer="ftrl", status="interrupted"),
    ]
    assert execution.train_runs(runs, fake_trainer) == [0, 0, 3, 0]
    output = capfd.readouterr().out
    assert "rmsprop-lr0.0001-s0: done before, at epoch 5, not trained again" in output
    assert "sgd-lr0.0001-s0: diverged before, at epoch 1, not trained again" in output
    trained = {path.name for path in tmp_path.iterdir()} - {"runs", "trainer.py"}
    assert trained == {"ftrl"}


def test_an_interrupt_lets_the_trainer_save_and_goes_on(tmp_path, fake_trainer):
    runs = plan(optimizers=("adam", "lion"), runs_dir=str(tmp_path / "runs"))
    with pytest.raises(KeyboardInterrupt):
        execution.train_runs(runs, fake_trainer)
    assert (tmp_path / "adam").read_text() == "saved"
    assert not (tmp_path / "lion").exists()


def test_the_plan_shows_state_and_command_of_each_run(write_run, fake_trainer):
    done = write_run([0.6] * 5)
    text = describe([done, done.replace(seed=1)], fake_trainer)
    assert "run 1 of 2: rmsprop-lr0.0001-s0: done before, at epoch 5\n" in text
    assert "run 2 of 2: rmsprop-lr0.0001-s1: to train, about 7 min 55 s\n" in text
    assert len(re.findall(r"^    .*trainer\.py rmsprop", text, re.MULTILINE)) == 2


def test_a_run_that_another_process_trains_stops_the_comparison(tmp_path):
    run = RunConfig.of(runs_dir=str(tmp_path))
    folder = run_folder.run_folder(run)
    folder.mkdir()
    with (
        files.FolderLock(folder),
        pytest.raises(ValueError, match="got another process that trains it now"),
    ):
        execution.train_runs([run], lambda run: ["false"])


def test_between_runs_the_time_left_of_the_study_is_said(
    tmp_path, write_run, fake_trainer, capfd
):
    write_run([0.6] * 5)
    runs = plan(optimizers=("rmsprop",), replicates=3, runs_dir=str(tmp_path / "runs"))
    execution.train_runs(runs, fake_trainer)
    output = capfd.readouterr().out
    assert output.count("left: ") == 1
    assert "left: 1 run: about 7 min 55 s\n" in output


def test_the_plan_says_where_runs_go_on_and_how_long_they_take(write_run, fake_trainer):
    done = write_run([0.6] * 5)
    half = write_run([0.6], status="interrupted", seed=1)
    folder = run_folder.run_folder(half) / run_folder.CHECKPOINT
    folder.mkdir()
    (folder / "step-00000586.json").write_text("{}")
    runs = [done, half, done.replace(seed=2), done.replace(seed=3, image_size=64)]
    text = describe(runs, fake_trainer)
    # 475 s are 5 epochs of one, 93 s the one epoch of the other.
    assert "-s1: goes on after step 586, about 6 min 16 s\n" in text
    assert "-s2: to train, about 7 min 50 s\n" in text
    assert "-image_size64-s3: to train\n" in text
    last = text.splitlines()[-1]
    assert last == "left: 3 runs: about 14 min 06 s, and 1 of unknown length"
    # Runs that trained alone say nothing of those that share the machine.
    last = describe(runs, fake_trainer, "2").splitlines()[-1]
    assert last == "left: 3 runs, 2 at a time: time is said after their first steps"


def test_runs_begin_replicate_by_replicate_the_longest_first():
    run = RunConfig.of(epochs=2, train_examples=10)
    changes = (
        {"optimizer": "adam", "epochs": 1},
        {"optimizer": "sgd", "epochs": 3},
        {"optimizer": "lion", "image_size": 448},
    )
    runs = [run.replace(seed=seed, **change) for seed in (0, 1) for change in changes]
    rules = [(r.optimizer.optimizer, r.run.seed) for r in runs]
    adam, sgd, lion, *_ = runs
    paces = []
    order = forecast.longest_first(runs, paces)
    assert [rules[runs.index(run)] for run in order] == [
        ("lion", 0),
        ("sgd", 0),
        ("adam", 0),
        ("lion", 1),
        ("sgd", 1),
        ("adam", 1),
    ]
    paces = [
        Pace(config=run, step_seconds=seconds, steps_per_epoch=1)
        for run, seconds in ((adam, 9.0), (sgd, 1.0), (lion, 1.0))
    ]
    order = forecast.longest_first(runs[:3], paces)
    assert order == [adam, sgd, lion]
    assert forecast.expect_seconds(sgd, paces) == 3.0
    other = sgd.replace(optimizer="nadam")  # the median of all of the same work
    assert forecast.expect_seconds(other, paces) == 15.0


def test_a_damaged_run_that_is_started_again_says_no_pace(write_run, fake_trainer):
    run = write_run([0.6] * 5).replace(overwrite=True)
    assert "to train, about 7 min 55 s\n" in describe([run], fake_trainer)
    (run_folder.run_folder(run) / run_folder.STATUS).unlink()
    assert "to train\n" in describe([run], fake_trainer)


def test_a_study_ends_with_its_last_worker():
    assert forecast.study_seconds([], [5, 4, 3], 2) == 7
    assert forecast.study_seconds([2], [5, 1], 2) == 5
    assert forecast.study_seconds([9, 1], [], 2) == 9


def test_several_train_at_once_and_each_knows_its_share(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(board, "LINE_SECONDS", 0.0)
    runs = plan(optimizers=("adam", "sgd"), runs_dir=str(tmp_path / "runs"))
    code = """
leave("here", json.dumps([sorted(os.sched_getaffinity(0)), dict(os.environ)]))
wait_for({"adam": "sgd", "sgd": "adam"}[name], "here")
print("says", name)
"""
    if not hasattr(os, "sched_getaffinity"):
        code = code.replace("sorted(os.sched_getaffinity(0))", "[]")
    command = trainer(tmp_path, code)
    before = sharing._affinity()
    runs = [run.replace(train_examples=10) for run in runs]
    assert execution.train_runs(runs, command, "2") == [0, 0]
    assert sharing._affinity() == before
    output = capfd.readouterr().out
    assert "2 runs at a time, each with " in output
    assert "run 2 of 2: sgd-lr0.0001-train_examples10-s0: starts, its log is" in output
    assert "run 1 of 2: adam-lr0.0001-train_examples10-s0: done" in output
    line = r"^0 of 2 runs ended; adam-\S+ starts; sgd-\S+ starts$"
    assert re.search(line, output, re.MULTILINE)
    assert "says" not in output
    for run in runs:
        text = execution.log_path(run).read_text()
        assert text == f"says {run.optimizer.optimizer}\n"
    both = [json.loads((tmp_path / f"{n}.here").read_text()) for n in ("adam", "sgd")]
    for _, environment in both:
        assert environment[machine.WORKERS] == "2"
        assert int(environment[machine.MEMORY_BYTES]) > 0
    if len(before) > 1:
        (one, _), (other, _) = both
        assert not set(one) & set(other)
        assert sorted(one + other) == before


@needs_affinity
def test_cores_memory_and_threads_are_divided(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {2, 3, 5, 7, 11})
    monkeypatch.setattr(machine, "usable_memory_bytes", lambda: 1000)
    monkeypatch.delenv(machine.THREADS, raising=False)
    one, other = sharing.divide(2, [])
    assert (one.cores, other.cores) == ({2, 3}, {5, 7, 11})
    assert one.environment == {
        machine.WORKERS: "2",
        machine.MEMORY_BYTES: "500",
        machine.ALL_CORES: "5",
        machine.THREADS: "5",  # sums are divided as a run alone divides them
    }
    seven = sharing.divide(7, [])
    assert {len(share.cores) for share in seven} == {1}
    assert frozenset().union(*(share.cores for share in seven)) == {2, 3, 5, 7, 11}


def test_a_share_is_what_a_process_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setenv(machine.WORKERS, "2")
    monkeypatch.setenv(machine.MEMORY_BYTES, "12345")
    assert machine.usable_memory_bytes() == 12345
    assert machine.usable_cores() == 8  # bound to them already
    monkeypatch.delenv(machine.THREADS, raising=False)
    assert machine.describe()["threads"] == 8
    monkeypatch.setenv(machine.THREADS, "3")
    assert machine.describe()["threads"] == 3
    assert machine.describe()["memory_bytes"] == 12345
    (tmp_path / "cpu.max").write_text("600000 100000\n")
    assert machine.usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert machine.usable_cores() == 2
    monkeypatch.setenv(machine.WORKERS, "none")
    with pytest.raises(ValueError, match="TFPIPE_WORKERS must be a whole number"):
        machine.num_workers()


def test_gpus_are_those_that_this_process_sees(two_gpus, monkeypatch):
    assert machine.visible_gpus() == ["0", "1"]
    for given, seen in (
        ("1", ["1"]),
        ("1,0", ["1", "0"]),
        ("GPU-bb02", ["GPU-bb02"]),
        ("0,-1,1", ["0"]),
        ("-1", []),
        ("", []),
        ("7", []),
    ):
        monkeypatch.setenv(machine.CUDA_DEVICES, given)
        assert machine.visible_gpus() == seen, given


def test_a_broken_or_absent_driver_means_no_gpu(two_gpus, monkeypatch):
    two_gpus.write_text("#!/bin/sh\necho 'GPU 0: a lie'\nexit 9\n")
    assert machine.visible_gpus() == []
    two_gpus.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(machine, "GPU_SECONDS", 0.2)
    assert machine.visible_gpus() == []
    monkeypatch.setenv("PATH", "/nowhere")
    assert machine.visible_gpus() == []


SAYS_GPU = 'leave("gpu", os.environ["CUDA_VISIBLE_DEVICES"])\n'


@pytest.mark.usefixtures("two_gpus")
def test_each_gpu_has_a_run_of_its_own(tmp_path):
    names = ("adam", "sgd", "lion")
    runs = plan(optimizers=names, runs_dir=str(tmp_path / "runs"), train_examples=10)
    # The third begins when the second has ended, on that one's GPU.
    first = f'{SAYS_GPU}wait_for("lion", "gpu")\n'
    command = trainer(tmp_path, SAYS_GPU, adam=first)
    assert execution.train_runs(runs, command, "auto") == [0, 0, 0]
    gpus = [(tmp_path / f"{name}.gpu").read_text() for name in names]
    assert gpus == ["0", "1", "1"]


def test_gpus_are_shared_in_turn_where_workers_are_more():
    shares = [share.environment for share in sharing.divide(3, ["0", "1"])]
    assert [share[machine.CUDA_DEVICES] for share in shares] == ["0", "1", "0"]
    assert [share[machine.GPU_WORKERS] for share in shares] == ["2", "1", "2"]


@pytest.mark.parametrize(
    ("asked", "num_runs", "expected"), [("auto", 9, 1), ("3", 9, 3), ("3", 2, 2)]
)
def test_as_many_train_at_once_as_asked_and_left(
    asked, num_runs, expected, monkeypatch
):
    monkeypatch.setattr(machine, "visible_gpus", list)
    assert execution.count_workers(asked, num_runs) == expected


def test_failures_stop_nobody_and_say_where(tmp_path, capfd):
    names = ("adam", "sgd", "adamw", "nadam", "lion")
    runs = plan(optimizers=names, runs_dir=str(tmp_path / "runs"), train_examples=10)
    command = trainer(
        tmp_path,
        'leave("trained")',
        adam="sys.exit('error: no such weights')",
        sgd="sys.exit(3)",
        adamw="print('error: wrong'); sys.exit(2)",
        nadam="os.kill(os.getpid(), signal.SIGKILL)",
    )
    assert execution.train_runs(runs, command, "2") == [1, 3, 2, -9, 0]
    output = capfd.readouterr().out
    assert ": failed with exit code 1 (error: no such weights); going on" in output
    assert ": diverged; going on" in output
    assert ": refused its input (error: wrong); going on" in output
    assert ": killed by signal 9" in output
    assert (tmp_path / "lion.trained").exists()


def test_a_killed_run_goes_on_when_the_command_is_given_again(
    tmp_path, write_run, capfd
):
    """Trainers put their folder, made beforehand, into its place."""
    runs_dir = tmp_path / "runs"
    runs = [
        write_run([0.6] * 5, optimizer=name, train_examples=10)
        for name in ("adam", "sgd")
    ]
    for run in runs:
        run_folder.run_folder(run).rename(tmp_path / run.optimizer.optimizer)
    home = "f'{name}-lr0.0001-train_examples10-s0'"
    place = f"os.rename(folder / name, folder / 'runs' / {home})"

    def train(**codes):
        return execution.train_runs(runs, trainer(tmp_path, place, **codes), "2")

    killed = "os.kill(os.getpid(), signal.SIGKILL)"
    assert train(adam=killed) == [-9, 0]
    (sgd,) = runs_dir.glob("*/config.json")
    assert sgd.parent.name == "sgd-lr0.0001-train_examples10-s0"
    capfd.readouterr()
    assert train() == [0, 0]
    output = capfd.readouterr().out
    assert "examples10-s0: done before, at epoch 5, not trained again" in output
    assert "run 1 of 2: adam-lr0.0001-train_examples10-s0\n" in output
    assert [r.status for r in results.read_results(runs)] == ["done", "done"]


INTERRUPTED = """
signal.signal(signal.SIGTERM, save)
leave("ready")
if name == "adam":
    wait_for("sgd", "ready")
    os.kill(os.getppid(), signal.SIGINT)
time.sleep(60)
"""


def test_an_interrupt_lets_all_save_and_goes_on(tmp_path, capfd):
    names = ("adam", "sgd", "lion")
    runs = plan(optimizers=names, runs_dir=str(tmp_path / "runs"), train_examples=10)
    with pytest.raises(KeyboardInterrupt):
        execution.train_runs(runs, trainer(tmp_path, INTERRUPTED), "2")
    assert (tmp_path / "adam.saved").exists()
    assert (tmp_path / "sgd.saved").exists()
    assert not (tmp_path / "lion.ready").exists()
    assert "2 runs save after this step" in capfd.readouterr().out


def test_a_second_interrupt_ends_who_ignores_the_first(tmp_path):
    runs_dir = str(tmp_path / "runs")
    runs = plan(optimizers=("adam", "sgd"), runs_dir=runs_dir, train_examples=10)
    deaf = """
signal.signal(signal.SIGTERM, lambda *_: leave("told"))
leave("ready", str(os.getpid()))
while True:
    time.sleep(1)
"""
    twice = """
signal.signal(signal.SIGTERM, lambda *_: None)
wait_for("sgd", "ready")
os.kill(os.getppid(), signal.SIGINT)
wait_for("sgd", "told")
time.sleep(0.5)
os.kill(os.getppid(), signal.SIGINT)
time.sleep(60)
"""
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execution.train_runs(runs, trainer(tmp_path, deaf, adam=twice), "2")
    assert time.monotonic() - start < 50
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "sgd.ready").read_text()), 0)


def test_a_trainer_that_cannot_start_stops_those_that_run(tmp_path):
    runs_dir = str(tmp_path / "runs")
    runs = plan(optimizers=("adam", "sgd"), runs_dir=runs_dir, train_examples=10)
    code = 'signal.signal(signal.SIGTERM, save); leave("ready"); time.sleep(60)'
    command = trainer(tmp_path, code)

    def broken(run):
        if run.optimizer.optimizer == "adam":
            return command(run)
        while not (tmp_path / "adam.ready").exists():
            time.sleep(0.01)
        return ["/nowhere/python"]

    with pytest.raises(FileNotFoundError, match="nowhere"):
        execution.train_runs(runs, broken, "2")
    assert (tmp_path / "adam.saved").exists()


def test_a_log_has_a_line_a_minute(working, capsys):
    *_, line = capsys.readouterr().out, working.line()
    # A step of the first epoch took 93 / 586 s, with all that came beside it.
    assert line == (
        "0 of 2 runs ended, 7 min 45 s left; rmsprop-lr0.0001-s0 trains epoch 2/5, "
        "step 600/2,930, 6 min 10 s left; adam-lr0.0001-s0 starts, 7 min 45 s left"
    )


def test_a_terminal_has_a_table(working):
    working.end(working.runs[1], "diverged")
    console = rich.console.Console(width=100)
    with console.capture() as shown:
        console.print(working.table())
    text = shown.get()
    assert re.search(r"rmsprop-lr0.0001-s0 +trains +2/5 +600/2,930 +6 min 10 s", text)
    assert re.search(r"adam-lr0.0001-s0 +diverged", text)
    assert "1 of 2 runs ended, 6 min 10 s left" in text


def in_a_terminal(code):
    """Run Python in a terminal of its own; return what it showed, and the exit code."""
    leader, follower = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=follower,
        stderr=follower,
        cwd=ROOT,
        env=environment,
    )
    os.close(follower)
    text = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux's word for a terminal that nobody writes any more
            break
        if not part:
            break
        text += part
    os.close(leader)
    return text.decode(), process.wait()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_sees_the_table_and_lines_above_it(tmp_path, workers):
    runs_dir = str(tmp_path / "runs")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from tfpipe.comparison import board, execution
from tfpipe.training.config import RunConfig
board.REDRAW_SECONDS = 0.1
runs = [RunConfig.of(optimizer=n, runs_dir={runs_dir!r}, train_examples=10)
        for n in ("adam", "sgd")]
text = "import time; print('one'); time.sleep(1); print('two', end='')"
wait = [sys.executable, "-c", text]
print(execution.train_runs(runs, lambda run: wait, {workers!r}))
"""
    shown, exit_code = in_a_terminal(code)
    assert exit_code == 0, shown
    assert "[0, 0]" in shown
    assert "run 1 of 2: adam-lr0.0001-train_examples10-s0" in shown
    if workers == "1":
        assert (shown.count("one\r\n"), shown.count("two\r\n")) == (2, 2)
    assert "0 of 2 runs ended" in shown
    assert "2 of 2 runs ended" in shown


def test_forced_colours_make_no_terminal_of_a_pipe(tmp_path, monkeypatch):
    code = f"""
import sys
from tfpipe.comparison import execution
from tfpipe.training.config import RunConfig
runs = [RunConfig.of(runs_dir={str(tmp_path / "runs")!r}, train_examples=10)]
execution.train_runs(runs, lambda run: [sys.executable, "-c", "print('here')"])
"""
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "run 1 of 1: rmsprop-lr0.0001-train_examples10-s0\nhere\n"


def train_below_a_table(tmp_path, text):
    """Train a run by a trainer of this text in a terminal; return what that showed."""
    runs_dir, trainer = str(tmp_path / "runs"), tmp_path / "trainer.py"
    trainer.write_text(text)
    command = [sys.executable, str(trainer), str(tmp_path)]
    code = f"""
import os
from tfpipe.comparison import execution
from tfpipe.training.config import RunConfig
runs = [RunConfig.of(runs_dir={runs_dir!r}, train_examples=10)]
try:
    execution.train_runs(runs, lambda run: {command})
except KeyboardInterrupt:
    print("stopped", flush=True)
    os._exit(0)
"""
    shown, exit_code = in_a_terminal(code)
    assert exit_code == 0, shown
    return shown


# Twice interrupted it still trains, and what it began holds its output.
STUBBORN = """
import os, signal, subprocess, sys, time
def again(*_):
    print("saves", flush=True)
    os.kill(os.getppid(), signal.SIGINT)
left = f"import time; time.sleep(30); open('{sys.argv[1]}/waited', 'w')"
subprocess.Popen([sys.executable, "-c", left])
signal.signal(signal.SIGTERM, again)
os.kill(os.getppid(), signal.SIGINT)
for _ in range(600):
    time.sleep(0.1)
"""


def test_a_run_below_the_table_that_will_not_stop_is_killed(tmp_path):
    """And what it left behind, which holds its output, is not waited for."""
    assert "stopped" in train_below_a_table(tmp_path, STUBBORN)
    assert not (tmp_path / "waited").exists()


STOPPED = """
import os, signal, sys, time
def save(*_):
    print("saved at step 7")
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
os.kill(os.getppid(), signal.SIGINT)
time.sleep(60)
"""


def test_a_run_below_the_table_that_is_stopped_has_its_last_words(tmp_path):
    """Interrupted on a terminal, it saves, and what it says then is still shown."""
    shown = train_below_a_table(tmp_path, STOPPED)
    assert shown.index("saved at step 7") < shown.index("stopped")


def test_a_run_that_shared_the_machine_is_branded_in_its_seconds(write_run):
    alone = write_run([0.6])
    beside = write_run([0.6], optimizer="adam", facts={"workers": 2})
    later = write_run(
        [0.6],
        optimizer="sgd",
        facts={"sessions": [{"workers": 4, "gpu_workers": 2}]},
    )
    outcome = results.read_results([alone, beside, later])
    assert [result.shared_machine for result in outcome] == [0, 1, 3]
    assert [page.table_row(result)[5] for result in outcome] == [
        "93",
        "93 (beside 1 other)",
        "93 (beside 3 others, 1 on its GPU)",
    ]
    assert any(line.startswith("beside others:") for line in page.conditions(outcome))
    lines = page.conditions(outcome[:1])
    assert not any(line.startswith("beside others:") for line in lines)


# The real trainer, which first says who it is.
REAL = """
import os, runpy, sys
from pathlib import Path
Path(sys.argv.pop(1)).write_text(str(os.getpid()))
runpy.run_module("tfpipe.train", run_name="__main__")
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_and_goes_on_gives_the_numbers_of_one(
    records_dir, tmp_path
):
    def command(run):
        pid = tmp_path / run.optimizer.optimizer
        return [sys.executable, "-c", REAL, str(pid), *settings.to_flags(run)]

    def runs_in(folder):
        return plan(
            optimizers=("adam", "sgd"),
            learning_rates=("1e-3",),
            model="small_cnn",
            image_size=16,
            batch_size=2,
            epochs=3,
            checkpoint_minutes=0.01,
            records_dir=str(records_dir),
            runs_dir=str(tmp_path / folder),
        )

    assert execution.train_runs(runs_in("whole"), command, "1") == [0, 0]
    runs = runs_in("runs")
    folder = run_folder.run_folder(runs[0])

    def kill_adam():
        while len(files.read_json_lines(folder / run_folder.STEPS)) < 25:
            time.sleep(0.01)
        os.kill(int((tmp_path / "adam").read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill_adam, daemon=True)
    (tmp_path / "adam").unlink()
    killer.start()
    assert execution.train_runs(runs, command, "2") == [-9, 0]
    assert run_folder.read_run(folder).status["status"] == "interrupted"
    assert "goes on after step" in describe(runs, command)
    assert execution.train_runs(runs, command, "2") == [0, 0]
    assert [r.shared_machine for r in results.read_results(runs)] == [1, 1]
    for run, whole in zip(runs, runs_in("whole"), strict=True):
        ours, theirs = map(run_folder.run_folder, (run, whole))
        assert outcome(ours) == outcome(theirs)
    cores = len(sharing._affinity())
    if cores > 1:
        record = run_folder.read_run(folder)
        assert record.facts["machine"]["cores"] < cores


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
