import subprocess
import sys

import pytest

from tfpipe import cli
from tfpipe.base import settings
from tfpipe.training.config import RunConfig


def test_flags_become_a_config_and_back():
    words = ["--optimizer=adam", "--learning_rate=0.001", "--image_size=64"]
    config = cli.parse_flags(RunConfig, words)
    assert config == RunConfig.of(optimizer="adam", learning_rate=1e-3, image_size=64)
    assert sorted(settings.to_flags(config)) == sorted(words)


def test_booleans_are_set_and_unset():
    assert cli.parse_flags(RunConfig, ["--overwrite"]).run.overwrite
    assert not cli.parse_flags(RunConfig, ["--nooverwrite"]).run.overwrite


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--optimzer=adam"], "got --optimzer; did you mean --optimizer"),
        (["stray"], "arguments must be flags .* got 'stray'"),
        (["--epochs=many"], "--epochs must be a whole number, got 'many'"),
        (["--epochs=0"], "epochs must be a whole number of at least 1, got 0"),
        (["--learning_rate=nan"], "learning_rate must be a number, got nan"),
        (["--resize=box"], "resize must be one of area, bilinear, fast, got 'box'"),
        (["--optimizer=adm"], "optimizer must be one of sgd, .* got 'adm'; did you"),
        (["--model=vgg17"], "model must be one of .* got 'vgg17'; did you mean vgg1"),
        (["--overwrite=maybe"], "overwrite must be true or false, got 'maybe'"),
        (["--epochs"], "--epochs must have a value"),
        (["--model=VGG16"], "got 'VGG16'; did you mean vgg16"),
        (["--run_name=../x"], "run_name must be the name of one folder"),
    ],
)
def test_a_wrong_flag_is_one_clear_line(words, message):
    with pytest.raises(ValueError, match=message):
        cli.parse_flags(RunConfig, words)


def run_train(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tfpipe.train", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_wrong_flag_exits_2_without_a_traceback():
    result = run_train("--optimizer=adm")
    assert result.returncode == 2
    assert result.stderr.startswith("error: optimizer must be one of")
    assert result.stderr.count("\n") == 1


def test_help_exits_0_and_shows_what_matters_first():
    result = run_train("--help")
    assert result.returncode == 0
    assert result.stdout.startswith("python -m tfpipe.train --optimizer=rmsprop")
    assert result.stdout.index("--optimizer=") < result.stdout.index("--decay=")


def test_absent_records_exit_2(tmp_path):
    result = run_train(f"--records_dir={tmp_path / 'none'}")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


BINARY = """
import dataclasses, errno, os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as without nohup
from tfpipe import cli
from tfpipe.base import settings
from tfpipe.base.settings import setting
@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    how: str = setting("", "How to end.")
def work(config):
    if config.how == "fault":
        return {}["key"]
    if config.how == "library":
        return int("x")
    if config.how == "disk":
        raise OSError(errno.ENOSPC, "No space left on device", "out.npz")
    os.kill(os.getpid(), getattr(signal, config.how))
    signal.pause()
cli.run_binary("doc", Config, work)
"""


@pytest.mark.parametrize(
    ("how", "code", "text"),
    [
        ("fault", 1, "KeyError"),
        ("library", 1, "Traceback"),
        ("disk", 2, "error: disk must have room for out.npz, got a full disk"),
        ("SIGTERM", 143, ""),
        ("SIGHUP", 143, ""),
        ("SIGINT", 130, ""),
    ],
)
def test_exit_codes(how, code, text):
    result = subprocess.run(
        [sys.executable, "-c", BINARY, f"--how={how}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == code
    assert text in result.stderr
    assert ("Traceback" in result.stderr) == (code == 1)


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ("platform = 'win32'", "system must be Linux or macOS, got win32; on Windows"),
        ("version_info = (3, 9, 9)", "Python must be 3.11 to 3.13, got"),
    ],
)
def test_elsewhere_one_line_says_what_is_supported(lie, message):
    # fcntl is not there on Windows.
    code = f"import sys; sys.{lie}; sys.modules['fcntl'] = None; import tfpipe.train"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1


def test_the_public_names_are_there():
    import tfpipe
    from tfpipe.data.streaming.pipeline import input_fn
    from tfpipe.training.run import train

    assert (tfpipe.input_fn, tfpipe.train) == (input_fn, train)
    assert tfpipe.RunConfig is RunConfig
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tfpipe.nothing
