import datetime
import shlex

import pytest

from tfpipe import cli
from tfpipe.base import machine, settings
from tfpipe.training import precision, promise, run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.position import Position

NOON = datetime.datetime(2026, 1, 5, 12)


def plan(position=None, **values):
    config = RunConfig.of(**values)
    return promise.plan_rest(
        config,
        position or Position(),
        steps_per_epoch=586,
        evaluation_steps=196,
        probe_steps=0,
    )


def test_the_rest_of_a_run_is_counted():
    whole = plan()
    assert (whole.steps, whole.evaluations) == (5 * 586, 5)
    rest = plan(Position(epoch=2, step=1200))
    assert (rest.steps, rest.evaluations) == (5 * 586 - 1200, 3)
    cut = plan(Position(step=5), max_steps=600)
    assert (cut.steps, cut.evaluations) == (595, 2)


def test_a_promise_says_how_long_and_until_when():
    lines = promise.describe_time(plan(epochs=1), 1.0, NOON)
    assert lines == [
        "1.00 s a step: 586 steps and 1 evaluation take about 10 min 51 s, until 12:10"
    ]
    (line, *_) = promise.describe_time(plan(), 60.0, NOON)
    assert line.endswith("until Wed 07 Jan 18:16")


@pytest.mark.parametrize(
    ("position", "values"),
    [
        (Position(), {}),
        (Position(), {"epochs": 1}),
        (Position(epoch=1, step=600), {"run_name": "my run", "runs_dir": "a b"}),
    ],
)
def test_a_long_run_comes_with_two_shorter_commands_that_run(position, values):
    work = plan(position, **values)
    lines = promise.describe_time(work, 10.0, NOON)
    commands = [line.split("    ")[0] for line in lines if "-m tfpipe.train" in line]
    assert len(commands) == 2
    for command in commands:
        config = cli.parse_flags(RunConfig, shlex.split(command)[3:])
        shorter = plan(**settings.flatten(config))
        assert shorter.steps < work.steps
        same_run = run_folder.run_folder(config) == run_folder.run_folder(work.config)
        assert not same_run or config == work.config.replace(epochs=1)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "it cannot stop a run of 5 epochs"),
        ({"epochs": 30}, "patience 30"),
        ({"epochs": 29}, "it cannot stop a run of 29 epochs"),
        ({"early_stopping": "off"}, "off"),
        ({"patience": 0, "epochs": 1}, "it cannot stop a run of 1 epoch"),
    ],
)
def test_early_stopping_that_cannot_act_is_said(values, text):
    line = promise.describe_early_stopping(RunConfig.of(**values))
    assert line.endswith(text)


def test_tensorboard_is_named_so_that_it_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(promise.shutil, "which", lambda name: "/bin/" + name)
    assert promise.tensorboard_command("my runs").startswith(
        "tensorboard --logdir 'my runs'"
    )
    monkeypatch.setattr(promise.shutil, "which", lambda name: None)
    monkeypatch.setattr(promise.sys, "executable", "/my env/bin/python")
    assert promise.tensorboard_command("runs").startswith(
        "'/my env/bin/tensorboard' --logdir runs"
    )
    monkeypatch.setattr(promise.sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    assert promise.tensorboard_command("runs").startswith("bin/tensorboard --logdir")


@pytest.mark.parametrize(
    ("flags", "on_gpu", "model", "asked", "expected"),
    [
        ({"avx2"}, False, "vgg16", "auto", "float32"),
        ({"amx_bf16"}, False, "vgg16", "auto", "mixed_bfloat16"),
        ({"amx_bf16"}, True, "vgg16", "auto", "float32"),
        ({"amx_bf16"}, False, "mobilenetv2", "auto", "float32"),
        ({"avx2"}, False, "vgg16", "mixed_bfloat16", "mixed_bfloat16"),
        ({"amx_bf16"}, False, "vgg16", "float32", "float32"),
    ],
)
def test_precision_follows_hardware_and_model(
    monkeypatch, flags, on_gpu, model, asked, expected
):
    monkeypatch.setattr(machine, "cpu_flags", lambda: frozenset(flags))
    chosen, reason = precision.resolve_precision(asked, model, on_gpu=on_gpu)
    assert chosen == expected
    assert reason


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "decay 1e-06"),
        ({"schedule": "cosine"}, "cosine"),
        (
            {
                "schedule": "cosine",
                "schedule_args": ["decay_steps=20", "warmup_steps=5"],
            },
            "cosine (decay_steps=20, warmup_steps=5); it ends at update 25 of 50, and "
            "its last rate stays",
        ),
        (
            {"schedule": "warmup", "schedule_args": ["warmup_steps=50"]},
            "warmup (warmup_steps=50); its warm-up doesn't end in the run's 50 updates",
        ),
        (
            {"schedule": "plateau", "schedule_args": ["patience=4"]},
            "plateau (patience=4); it cannot act in a run of 5 epochs",
        ),
        (
            {"schedule": "plateau", "schedule_args": ["patience=3"]},
            "plateau (patience=3)",
        ),
    ],
)
def test_a_schedule_that_cannot_do_its_work_is_said(values, text):
    assert promise.describe_schedule(RunConfig.of(**values), 50) == text


@pytest.mark.parametrize(
    ("rule", "patience", "epochs", "cannot"),
    [
        ("keras2", 1, 1, False),
        ("keras2", 2, 1, True),
        ("keras2", 5, 5, False),
        ("keras", 0, 1, True),
        ("keras", 2, 2, False),
        ("keras", 6, 5, True),
    ],
)
def test_when_a_rule_cannot_stop_a_run(rule, patience, epochs, cannot):
    config = RunConfig.of(early_stopping=rule, patience=patience, epochs=epochs)
    assert ("cannot" in promise.describe_early_stopping(config)) == cannot
