"""Probes and full evaluations of a run."""

import time
import types

import numpy as np
import pytest

from tfpipe.base import files
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.training import clocks, moments, run_folder
from tfpipe.training.run import train

STEPS = 5


@pytest.fixture
def config(small_run):
    return small_run.replace(optimizer="adam", learning_rate=1e-3)


def quiet(line):
    pass


def without_clocks(lines):
    return [
        {name: value for name, value in line.items() if not name.endswith("_seconds")}
        for line in lines
    ]


def test_when_and_on_what():
    assert moments.PROBE_STEPS == (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    ids = np.arange(18_750)
    assert len(moments.probe_ids(ids)) == 256
    assert len(moments.train_eval_ids(ids)) == 1024
    assert len(moments.probe_ids(ids[:40])) == 10
    assert len(moments.probe_ids(ids[:2])) == 1
    assert moments.num_probes(0, 5 * 586, 586) == 11
    assert moments.num_probes(3, 512, 586) == 7
    assert moments.num_probes(0, 20, 4) == 3  # 0, 1 and 2; epochs end at 4, 8 and 16


def test_probes_are_taken_and_change_nothing_of_the_training(config, monkeypatch):
    probed = train(config, say=quiet)
    assert [line["step"] for line in probed.probes] == [0, 1, 2, 4, 8]
    assert [line["epoch"] for line in probed.probes] == [0, 0.2, 0.4, 0.8, 1.6]
    first = probed.probes[0]
    assert first["num_examples"] == 3  # a quarter of 13
    assert first["val_loss"] == pytest.approx(np.log(2), rel=0.2)
    assert len(first["dead_units"]) == 4  # small_cnn's ReLUs
    monkeypatch.setattr(moments, "PROBE_STEPS", ())
    plain = train(config.replace(run_name="plain"), say=quiet)
    assert plain.probes == []
    assert without_clocks(plain.evaluations) == without_clocks(probed.evaluations)
    lines = [
        files.read_json_lines(run.folder / run_folder.STEPS) for run in (plain, probed)
    ]
    assert lines[0] == lines[1]
    states = [max((run.folder / "checkpoint").glob("*.npz")) for run in (plain, probed)]
    with np.load(states[0]) as one, np.load(states[1]) as other:
        assert one.files == other.files
        assert all(np.array_equal(one[name], other[name]) for name in one.files)


def test_the_parts_of_a_run_add_up_to_its_wall(config, monkeypatch):
    """Counted in the process's own seconds, which other work doesn't stretch."""
    clock = types.SimpleNamespace(monotonic=time.process_time)
    monkeypatch.setattr(clocks, "time", clock)
    began = time.process_time()
    record = train(config, say=quiet)
    took = time.process_time() - began
    at_end = record.status["seconds"]["wall_seconds"]
    assert at_end == pytest.approx(took, rel=0.02, abs=0.05)
    last = record.evaluations[-1]
    parts = {name: value for name, value in last.items() if name.endswith("_seconds")}
    wall = parts.pop("wall_seconds")
    assert sum(parts.values()) == pytest.approx(wall, abs=0.01)
    assert parts["other_seconds"] < 0.02 * wall
    assert all(parts[f"{name}_seconds"] > 0 for name in ("train", "first_step", "eval"))
    for before, after in zip(record.evaluations, record.evaluations[1:], strict=False):
        assert before["train_seconds"] < after["train_seconds"]


def test_a_test_split_is_evaluated_beside_validation(config, image_dir, tmp_path):
    folder = str(tmp_path / "records")
    convert(
        ConvertConfig(image_dir=str(image_dir), records_dir=folder, test_split=0.25)
    )
    record = train(config.replace(records_dir=folder, epochs=1), say=quiet)
    [line] = record.evaluations
    stored = record.folder / "predictions" / f"step-{line['step']}-test.npz"
    with np.load(stored) as predictions:
        answers = predictions["top_classes"][:, 0] == predictions["label"]
        assert line["test_accuracy"] == answers.mean()
        assert len(answers) == record.facts["split_sizes"]["test"]
    assert line["test_loss"] > 0
    assert list((record.folder / "test").glob("events.*"))


def test_train_metrics_in_inference_mode_are_of_fixed_pictures(config):
    record = train(config.replace(epochs=1), say=quiet)
    [line] = record.evaluations
    ninths = line["train_eval_accuracy"] * 9  # a quarter of 39
    assert ninths == pytest.approx(round(ninths))


def test_the_start_of_averaged_weights_is_the_start(config):
    plain = train(config.replace(epochs=1), say=quiet)
    averaged = train(
        config.replace(epochs=1, optimizer_args=("use_ema=true",)), say=quiet
    )
    assert averaged.probes[0]["val_loss"] == plain.probes[0]["val_loss"]
    assert averaged.probes[-1]["val_loss"] != plain.probes[-1]["val_loss"]


def test_probes_are_spread_over_a_split():
    ids = np.arange(1000)
    chosen = moments.probe_ids(ids)
    assert len(set(chosen.tolist())) == len(chosen) == 250
    assert 450 < chosen.mean() < 550  # not the first ones
    assert np.array_equal(chosen, moments.probe_ids(ids))


def test_full_diagnostics_measure_every_step(config):
    record = train(config.replace(epochs=1, diagnostics="full"), say=quiet)
    lines = files.read_json_lines(record.folder / run_folder.STEPS)
    assert all(line["grad_norm"] > 0 and line["update_norm"] > 0 for line in lines)


def test_a_gradient_that_is_not_finite_ends_the_run_at_its_step(config):
    config = config.replace(
        optimizer="sgd", learning_rate=1e38, optimizer_args=("clipvalue=1e-7",)
    )
    record = train(config, say=quiet)
    assert record.status["status"] == "diverged"
    steps = files.read_json_lines(record.folder / run_folder.STEPS)
    assert record.status["reason"].endswith(f"at step {steps[-1]['step']}")


def test_predictions_take_less_than_3_mb_for_100_000_pictures(config):
    record = train(config.replace(epochs=1), say=quiet)
    with np.load(record.folder / "predictions" / f"step-{STEPS}.npz") as stored:
        row = sum(stored[name][:1].nbytes for name in stored.files)
        num_top = stored["top_classes"].shape[1]
    assert row + (5 - num_top) * 4 <= 28
