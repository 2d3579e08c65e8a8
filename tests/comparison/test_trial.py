"""How long runs take of which none is known: timed by a few steps of their own."""

import pytest

from tfpipe.comparison import forecast, trial


def test_each_work_is_timed_once_beside_as_many_as_would_train(small_run, tmp_path):
    others = ({"seed": 1}, {"batch_size": 4}, {"epochs": 4})
    runs = [small_run, *(small_run.replace(**change) for change in others)]
    said = []
    paces = trial.measure_paces(runs, "2", said.append)
    assert len(said) == len(paces) == 2
    assert [pace.config for pace in paces] == [small_run, runs[2]]
    assert paces[1].steps_per_epoch > paces[0].steps_per_epoch
    short, _, _, long = (forecast.expect_seconds(run, paces) for run in runs)
    start = paces[0].start_seconds
    assert start > 0
    assert 0 < 2 * (short - start) == pytest.approx(long - start)
    assert list(tmp_path.iterdir()) == []


def test_runs_whose_work_is_known_are_not_timed(write_run):
    done = write_run([0.6] * 5)
    said = []
    [pace] = trial.measure_paces([done, done.replace(seed=1)], "1", said.append)
    assert (pace.config, said) == (done, [])


def test_why_there_is_no_time_is_said_once(small_run):
    runs = [small_run.replace(optimizer="math:sin", seed=seed) for seed in (0, 1)]
    said = []
    assert trial.measure_paces(runs, "1", said.append) == []
    assert len(said) == 2
    assert said[1].startswith("their time isn't known: ")
    assert "math:sin" in said[1]


def test_a_trial_that_takes_too_long_is_given_up(small_run, monkeypatch):
    monkeypatch.setattr(trial, "MOST_SECONDS", 0.1)
    said = []
    assert trial.measure_paces([small_run], "1", said.append) == []
    assert said[1] == "their time isn't known: the first steps took longer than 0 s"
