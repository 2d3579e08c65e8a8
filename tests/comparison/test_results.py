import csv
import io
import math

import pytest

from tfpipe.comparison import results
from tfpipe.training.config import RunConfig
from tfpipe.training.stages import Escape


def test_the_notebook_in_plain_values(notebook_runs):
    rmsprop, adam, sgd, fast_adam = results.read_results(notebook_runs)
    assert rmsprop.label == "rmsprop 1e-4"
    assert fast_adam.label == "adam 1e-3"
    assert rmsprop.majority_share == 3188 / 6250
    assert rmsprop.final["val_accuracy"] == 0.7997
    assert sgd.best["epoch"] == 2
    assert fast_adam.best["epoch"] == 1, "the first of equals"
    escapes = [run.escape for run in (rmsprop, adam, sgd, fast_adam)]
    assert escapes == [Escape(0, 586), Escape(1172, 1758), None, None]


def test_labels_say_what_else_differs():
    runs = [RunConfig(), RunConfig.of(seed=1, learning_rate=0.003, batch_size=64)]
    assert results.configuration_labels(runs) == [
        "rmsprop 1e-4 batch_size=32 seed=0",
        "rmsprop 3e-3 batch_size=64 seed=1",
    ]


def test_a_setting_that_few_have_is_in_their_labels():
    rows = [
        {"optimizer": "adam", "learning_rate": 1e-3},
        {"optimizer": "adam", "learning_rate": 1e-3, "epochs": 5},
    ]
    for order in (rows, rows[::-1]):
        labels = {"adam 1e-3", "adam 1e-3 epochs=5"}
        assert set(results.label_settings(order)) == labels


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (0.00025, "2.5e-4"),
        (0.01, "0.01"),
        (1.0, "1"),
        (0.0, "0"),
        (1e6, "1e6"),
        (32, "32"),
        ("vgg16", "vgg16"),
    ],
)
def test_numbers_as_people_write_them(value, text):
    assert results.format_number(value) == text


def test_a_run_that_never_began_keeps_its_place(write_run):
    done = write_run([0.6, 0.7])
    _, absent = results.read_results([done, done.replace(optimizer="adam")])
    assert (absent.status, absent.evaluations) == ("not started", [])


def test_probes_are_no_evaluations(write_run):
    run = write_run([0.6, 0.7])
    folder = results.run_folder.run_folder(run)
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 2, "step": 1200, "kind": "probe", "val_accuracy": 1}\n')
    [result] = results.read_results([run])
    assert result.final["val_accuracy"] == 0.7


def test_seconds_are_the_median_epoch_with_its_evaluation(write_run):
    [result] = results.read_results([write_run([0.6] * 3)])
    assert results.seconds_an_epoch(result) == 91 + 3


def test_seconds_of_a_part_count_as_a_whole_epoch(write_run):
    run = write_run([0.6], facts={"steps_per_epoch": 2 * 586})
    [result] = results.read_results([run])
    assert results.seconds_an_epoch(result) == 2 * 90 + 3


def test_series_leave_out_what_is_not_finite(write_run):
    [result] = results.read_results([write_run([0.5, 0.5], val_loss=[0.7, math.nan])])
    assert result.series("val_loss") == ([1.0], [0.7])
    assert result.series("train_eval_loss") == ([], [])


def test_csv_holds_every_number_in_long_form(notebook_runs):
    text = results.to_csv(results.read_results(notebook_runs))
    rows = list(csv.DictReader(io.StringIO(text)))
    [row] = [
        row
        for row in rows
        if row["label"] == "adam 1e-4"
        and row["metric"] == "val_accuracy"
        and row["epoch"] == "3"
    ]
    assert (row["value"], row["step"], row["run"]) == (
        "0.5712",
        "1758",
        "adam-lr0.0001-s0",
    )
    assert {row["metric"] for row in rows} >= {"predicted_share_dog", "train_seconds"}
    assert len(rows) == 4 * 5 * (5 + 3 + 2)
