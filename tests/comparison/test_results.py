import csv
import io
import json
import math

import pytest

from tfpipe.comparison import results
from tfpipe.comparison.labels import configuration_labels, format_number, label_settings
from tfpipe.training import naming, run_folder
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
    assert configuration_labels(runs) == [
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
        assert set(label_settings(order)) == labels


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
    assert format_number(value) == text


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


@pytest.mark.parametrize(
    ("curve", "status", "unconfirmed"),
    [
        ([0.5, 0.7], "done", True),
        ([0.5, 0.7], "stopped_early", False),
        ([0.6, 0.7, 0.5, 0.7], "done", False),  # it left before
    ],
)
def test_perhaps_is_said_where_one_more_evaluation_would_tell(
    write_run, curve, status, unconfirmed
):
    [run] = results.read_results([write_run(curve, status=status)])
    assert run.is_unconfirmed == unconfirmed


def test_no_name_is_a_formula_to_a_spreadsheet(write_run):
    text = results.to_csv(results.read_results([write_run([0.6], run_name="=1+1")]))
    names = {row["run"] for row in csv.DictReader(io.StringIO(text))}
    assert names == {"'=1+1"}


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


def test_a_folder_is_read_by_configuration_and_seed(write_run, tmp_path):
    for seed in (10, 9):
        write_run([0.6], seed=seed)
        write_run([0.6], optimizer="adam", seed=seed)
    (tmp_path / "runs" / "report").mkdir()
    (tmp_path / "runs" / "study.json").write_text("{}")
    adam = naming.identity(RunConfig.of(optimizer="adam"))
    declared = {"configurations": {"adam 1e-4": adam}}
    found = results.read_folder(tmp_path / "runs", declared)
    settings = [result.settings for result in found]
    assert [(values["optimizer"], values["seed"]) for values in settings] == [
        ("adam", 9),
        ("adam", 10),
        ("rmsprop", 9),
        ("rmsprop", 10),
    ]
    assert found[0].label == "adam 1e-4 seed=9"
    assert found[0].folder == tmp_path / "runs" / found[0].name


def break_config(folder):
    (folder / "config.json").write_text("{")


def lose_status(folder):
    (folder / "status.json").unlink()


def lose_counts(folder):
    facts = json.loads((folder / "config.json").read_text())
    del facts["validation_class_counts"]
    (folder / "config.json").write_text(json.dumps(facts))


def spoil_a_line(folder):
    path = folder / "metrics.jsonl"
    path.write_text("nonsense\n" + path.read_text())


def lose_a_number(folder):
    path = folder / "metrics.jsonl"
    path.write_text(path.read_text().replace('"val_loss"', '"lost"'))


def say(name, value):
    """Write another value into config.json, where names are paths."""

    def damage(folder):
        facts = json.loads((folder / "config.json").read_text())
        *groups, last = name.split("/")
        place = facts
        for group in groups:
            place = place[group]
        place[last] = value
        (folder / "config.json").write_text(json.dumps(facts))

    return damage


def see(name, value):
    """Write another value into the last line of metrics.jsonl."""

    def damage(folder):
        path = folder / "metrics.jsonl"
        *before, last = path.read_text().splitlines()
        lines = [*before, json.dumps({**json.loads(last), name: value})]
        path.write_text("\n".join(lines) + "\n")

    return damage


STATUS = '{"status": "done", "reason": "", "epoch": %s, "step": 1172}'


def replace(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (replace("config.json", "[]"), "config.json must be the JSON that a training"),
        (replace("config.json", "{}"), "nothing of format_version"),
        (replace("status.json", "{}"), "nothing of status"),
        (say("format_version", 99), "must be at most 2, got 99"),
        (say("config", []), "must be a run as a training wrote it, got "),
        (say("config/data", []), "must be a run as a training wrote it, got "),
        (say("config/data", {"no_setting": 1}), "no_setting"),
        (say("versions", []), "it says that versions is []"),
        (say("machine", "x"), 'it says that machine is "x"'),
        (say("machine", {"cores": 2}), "nothing of cpu"),
        (say("validation_class_counts", []), "validation_class_counts is []"),
        (say("validation_class_counts", [0, 0]), "validation_class_counts is [0, 0]"),
        (see("val_accuracy", "high"), 'it says that val_accuracy is "high"'),
        (see("val_accuracy", None), "it says that val_accuracy is null"),
        (see("step", None), "got null for step"),
        (see("kind", 7), "got 7 for kind"),
        (see("epoch", None), "got null for epoch"),
        (see("train_seconds", [1]), "got [1] for train_seconds"),
        (say("steps_per_epoch", None), "got null for steps_per_epoch"),
        (say("own_code_sha256", []), "got [] for an object"),
        (replace("status.json", STATUS % '"2"'), 'got "2" for epoch'),
        (replace("status.json", STATUS % "2"), "metrics.jsonl ends before epoch 2"),
        (break_config, "config.json must be the JSON"),
        (lose_status, "status.json must be the JSON"),
        (lose_counts, "nothing of validation_class_counts"),
        (spoil_a_line, "Expecting value"),
        (lose_a_number, "nothing of val_loss"),
    ],
)
def test_a_damaged_folder_is_named_and_left_out(write_run, damage, word):
    damaged, whole = write_run([0.6]), write_run([0.7], optimizer="adam")
    folder = results.run_folder.run_folder(damaged)
    damage(folder)
    lines = []
    found = results.read_folder(folder.parent, tell=lines.append)
    assert [result.name for result in found] == [naming.run_name(whole)]
    [line] = lines
    assert line.startswith(f"left out {folder}, which can't be read: ")
    assert word in line


@pytest.mark.parametrize("name", ["runs", "absent"])
def test_a_folder_without_runs_is_refused(tmp_path, name):
    (tmp_path / "runs").mkdir()
    with pytest.raises(ValueError, match=r"runs folder must (hold runs|exist), got"):
        results.read_folder(tmp_path / name)


def test_runs_of_older_formats_and_under_way_are_read(write_run):
    old = write_run([0.6, 0.7], facts={"format_version": 1})
    folder = results.run_folder.run_folder(old)
    facts = json.loads((folder / "config.json").read_text())
    del facts["config"]["data"]["augment"], facts["config"]["optimizer"]["schedule"]
    (folder / "config.json").write_text(json.dumps(facts))
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"epoch": 3, "step": 17')
    [result] = results.read_folder(folder.parent)
    assert [line["epoch"] for line in result.evaluations] == [1, 2]
    # Each epoch had seconds of its own then: 90 and 181.
    assert result.final["train_seconds"] == 90 + 181


def test_what_json_has_no_number_for_is_one_again(write_run):
    run = write_run([0.5, 0.5])
    path = results.run_folder.run_folder(run) / "metrics.jsonl"
    path.write_text(path.read_text().replace('"val_loss": 0.69', '"val_loss": null'))
    [result] = results.read_folder(path.parents[1])
    assert math.isnan(result.final["val_loss"])


def test_a_probe_that_was_not_finite_is_read(write_run):
    run = write_run([0.6])
    path = run_folder.run_folder(run) / run_folder.METRICS
    probe = {"epoch": 0.0, "step": 0, "kind": "probe", "val_loss": None}
    path.write_text(json.dumps(probe) + "\n" + path.read_text())
    [result] = results.read_results([run])
    assert math.isnan(result.start_loss)
