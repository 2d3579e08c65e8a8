import inspect

import keras
import pytest

from tfpipe.training import catalog


def test_applications_are_keras_own():
    found = {
        name.lower()
        for name, value in vars(keras.applications).items()
        if inspect.isfunction(value)
    }
    assert set(catalog.APPLICATIONS) == found


@pytest.mark.parametrize(
    ("optimizer", "rate", "text"),
    [
        ("sgd", 1e-4, "0.0001 (the experiment's; Keras's default for sgd is 0.01)"),
        ("adam", 1e-3, "0.001 (Keras's default for adam)"),
        ("my:Own", 0.5, "0.5"),
    ],
)
def test_a_rate_is_placed(optimizer, rate, text):
    assert catalog.describe_rate(optimizer, rate) == text


def test_own_code_is_recorded_by_its_files_digest(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("abc")
    monkeypatch.syspath_prepend(tmp_path)
    assert catalog.own_code_sha256("mine:f").startswith("ba7816bf8f01cfea")


def test_own_code_that_is_nowhere_is_an_error():
    with pytest.raises(ValueError, match="got no module nowhere"):
        catalog.own_code_sha256("nowhere.at_all:f")
