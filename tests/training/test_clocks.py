import pytest

from tfpipe.training import clocks
from tfpipe.training.clocks import Clocks


@pytest.fixture
def now(monkeypatch):
    """A clock that stands until it is set."""
    time = [100.0]
    monkeypatch.setattr(clocks.time, "monotonic", lambda: time[0])
    return time


def test_each_second_belongs_to_one_part_and_all_add_up(now):
    run = Clocks()
    now[0] += 2
    run.switch("train")
    now[0] += 10
    with run.running("eval"):
        now[0] += 3
        with run.running("log"):
            now[0] += 1
        now[0] += 1
    now[0] += 5
    fields = run.fields()
    assert (fields["start_seconds"], fields["train_seconds"]) == (2, 15)
    assert (fields["eval_seconds"], fields["log_seconds"]) == (4, 1)
    assert fields["wall_seconds"] == 22


def test_a_run_that_goes_on_adds_to_what_it_took_before(now):
    run = Clocks()
    now[0] += 1
    run.go_on({"start": 2.0, "train": 50.0})
    assert run.fields()["start_seconds"] == 3
    assert run.fields()["wall_seconds"] == 53


def test_a_block_that_fails_ends_too(now):
    run = Clocks()
    with pytest.raises(KeyError), run.running("eval"):
        now[0] += 4
        raise KeyError
    now[0] += 1
    assert (run.read()["eval"], run.read()["start"]) == (4, 1)
