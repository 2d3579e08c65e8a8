"""Medians and bands of replicates, as TensorBoard reads them."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfpipe.comparison import aggregate, configurations, results
from tfpipe.training import events, run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.run import train

# Validation accuracy of epochs 1 to 3, a row a replicate.
THREE = ([0.5, 0.6, 0.9], [0.5, 0.8, 0.7], [0.6, 0.7, 0.8])


@pytest.fixture
def write_study(write_run, tmp_path):
    """Give a function that writes replicates of adam 1e-4, then their medians.

    A row is the validation accuracies of one of them.
    """

    def write(rows, **values):
        for seed, row in enumerate(rows):
            write_run(list(row), optimizer="adam", seed=seed, **values)
        return rewrite(tmp_path / "runs")

    return write


def rewrite(runs_dir):
    """Write the medians of all runs that there are; return their folders."""
    folders = sorted(filter(run_folder.is_run_folder, runs_dir.iterdir()))
    configs = [run_folder.read_run(folder).config for folder in folders]
    groups = configurations.group_runs(results.read_results(configs))
    return aggregate.write_aggregates(groups, runs_dir)


def change_lines(folder, change):
    """Put `change` of its lines in the place of a run's evaluations."""
    path = folder / run_folder.METRICS
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def points(folder, tag):
    """The (step, value) of a tag, in order of steps."""
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return [
        (event.step, pytest.approx(event.tensor_proto.float_val[0]))
        for event in found.Tensors(tag)
    ]


def tags(folder):
    return set(EventAccumulator(str(folder)).Reload().Tags()["tensors"])


def text(folder):
    found = EventAccumulator(str(folder)).Reload()
    return found.Tensors("aggregate")[0].tensor_proto.string_val[0].decode()


def contents(folder):
    """The bytes of every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_median_of_three_and_their_extremes(write_study, tmp_path):
    [folder] = write_study(THREE)
    assert folder == tmp_path / "runs" / "aggregate" / "adam_1e-4"
    tag = "epoch_accuracy"
    median, low, high = (folder / place for place in ("", "low", "high"))
    assert points(median / "validation", tag) == [(0, 0.5), (1, 0.7), (2, 0.8)]
    assert points(low / "validation", tag) == [(0, 0.5), (1, 0.6), (2, 0.7)]
    assert points(high / "validation", tag) == [(0, 0.6), (1, 0.8), (2, 0.9)]
    assert text(median).startswith(
        "**adam 1e-4**: the median of 3 runs (seeds 0, 1, 2)"
    )
    assert "`low` and `high` are their minimum and maximum" in text(median)


def test_from_six_replicates_on_the_band_is_the_quartiles(write_study):
    [folder] = write_study([[value] for value in (0.9, 0.5, 0.6, 0.7, 0.8, 0.4)])
    # Of 0.4 0.5 0.6 | 0.7 0.8 0.9: a quarter of five steps is 1.25 steps.
    tag = "epoch_accuracy"
    assert points(folder / "validation", tag) == [(0, 0.65)]
    assert points(folder / "low" / "validation", tag) == [(0, 0.525)]
    assert points(folder / "high" / "validation", tag) == [(0, 0.775)]
    assert "are their quartiles" in text(folder)


def test_tags_and_steps_are_those_of_single_runs(write_study, tmp_path):
    [folder] = write_study([[0.5], [0.5]])
    more = {"train_eval_loss": 0.4, "train_eval_accuracy": 0.9, "dead_units": []}
    more |= {"test_loss": 0.5, "test_accuracy": 0.8}
    runs = [tmp_path / "runs" / f"adam-lr0.0001-s{seed}" for seed in (0, 1)]
    for run in runs:
        change_lines(run, lambda lines: [line | more for line in lines])
    facts = {"began_seconds": 0.0, "precision": "float32", "backend": "tensorflow"}
    config = RunConfig.of(optimizer="adam")
    events.RunEvents(runs[0], config, facts | {"train_examples": 10}).close()
    rewrite(tmp_path / "runs")
    for split in ("train", "validation", "test"):
        assert tags(folder / split) == tags(runs[0] / split)
        for tag in tags(folder / split):
            assert points(folder / split, tag) == points(runs[0] / split, tag), tag


def test_points_stand_at_the_seconds_that_runs_took(write_study):
    [folder] = write_study(THREE)
    found = EventAccumulator(str(folder / "validation")).Reload()
    times = [event.wall_time for event in found.Tensors("epoch_accuracy")]
    # The fixture's epochs take 93, 94 and 95 seconds, its first run began then.
    assert times == [1_700_000_000 + seconds for seconds in (93, 187, 282)]


def test_a_step_needs_more_than_half_of_the_runs(write_study):
    [folder] = write_study([[0.5, 0.6, 0.7], [0.6, 0.8, 0.9], [0.7, 0.7], [0.4]])
    found = points(folder / "validation", "epoch_accuracy")
    assert found == [(0, 0.55), (1, 0.7)]


def test_a_run_that_diverged_counts_as_the_worst_from_its_end_on(write_run, tmp_path):
    rows = ([0.5, 0.6, 0.7], [0.5, 0.8, 0.9], [0.5])
    losses = ([0.6, 0.5, 0.4], [0.6, 0.4, 0.3], [0.6])
    for seed, (row, loss) in enumerate(zip(rows, losses, strict=True)):
        status = "done" if len(row) == 3 else "diverged"
        write_run(row, seed=seed, status=status, val_loss=loss)
    [folder] = rewrite(tmp_path / "runs")
    accuracy = points(folder / "validation", "epoch_accuracy")
    assert accuracy == [(0, 0.5), (1, 0.6), (2, 0.7)]
    by_update = points(folder / "validation", "evaluation_loss_vs_iterations")
    assert by_update == [(586, 0.6), (1172, 0.5), (1758, 0.4)]
    # The worst run's accuracy isn't a number: the lower edge ends where it does.
    assert len(points(folder / "low" / "validation", "epoch_accuracy")) == 1
    assert len(points(folder / "high" / "validation", "epoch_accuracy")) == 3


def test_a_value_that_is_not_finite_is_left_out(write_study):
    bad = [0.5, None]  # as JSON lines have what isn't finite
    [folder] = write_study([[0.5, 0.6], [0.5, 0.7], [0.5, 0.8]], val_loss=bad)
    assert points(folder / "validation", "epoch_loss") == [(0, 0.5)]
    assert len(points(folder / "validation", "epoch_accuracy")) == 2


def test_an_epoch_that_was_cut_and_went_on_counts_once(write_study, tmp_path):
    [folder] = write_study(THREE)
    cut = {"epoch": 2.5, "step": 1465, "val_accuracy": 0.1}
    change_lines(
        tmp_path / "runs" / "adam-lr0.0001-s0",
        lambda lines: [*lines[:2], lines[2] | cut, lines[2]],
    )
    rewrite(tmp_path / "runs")
    accuracy = points(folder / "low" / "validation", "epoch_accuracy")
    assert accuracy == [(0, 0.5), (1, 0.6), (2, 0.7)]
    by_update = points(folder / "validation", "evaluation_accuracy_vs_iterations")
    assert [step for step, _ in by_update] == [586, 1172, 1758]


def test_one_run_alone_has_no_median(write_study, tmp_path):
    assert write_study([[0.5, 0.6]]) == []
    assert not (tmp_path / "runs" / "aggregate").exists()


def test_runs_that_never_began_are_said(write_run, tmp_path):
    configs = [write_run([0.5], seed=seed) for seed in (0, 1)]
    configs.append(configs[0].replace(seed=2))
    groups = configurations.group_runs(results.read_results(configs))
    [folder] = aggregate.write_aggregates(groups, tmp_path / "runs")
    assert "the median of 2 runs (seeds 0, 1)" in text(folder)
    assert "1 of 3 runs haven't begun" in text(folder)


def test_runs_that_diverged_are_named(write_run, tmp_path):
    for seed, status in enumerate(("done", "diverged")):
        write_run([0.5], seed=seed, status=status)
    [folder] = rewrite(tmp_path / "runs")
    assert "- rmsprop-lr0.0001-s1: diverged" in text(folder)


def test_names_of_folders_are_safe_and_apart(write_run, tmp_path):
    runs = results.read_results([write_run([0.5], seed=seed) for seed in (0, 1)])
    labels = ("own:Rule 1e-4 weights=/a/b", "own/Rule 1e-4 weights=/a/b", "é" * 200)
    folders = aggregate.write_aggregates(dict.fromkeys(labels, runs), tmp_path)
    names = [folder.name for folder in folders]
    assert len(set(names)) == 3
    assert all(name.startswith("own_Rule_1e-4_weights=_a_b-") for name in names[:2])
    assert len(names[2]) <= 120
    assert all(folder.parent == tmp_path / "aggregate" for folder in folders)


def test_the_same_runs_give_the_same_files(write_study, tmp_path):
    [folder] = write_study(THREE)
    before = contents(folder)
    inodes = {path: path.stat().st_ino for path in folder.rglob("events*")}
    rewrite(tmp_path / "runs")
    assert contents(folder) == before
    assert {path: path.stat().st_ino for path in folder.rglob("events*")} == inodes


def test_stale_files_of_ours_go_and_others_stay(write_study, write_run, tmp_path):
    [old] = write_study(THREE)
    folder = old.parent
    note = old / "low" / "note.txt"
    note.write_text("mine")
    theirs = folder / "sgd" / "validation" / events.file_name(1.0)
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"events")
    foreign = {str(path.relative_to(folder)) for path in (note, theirs)}
    runs = [write_run([0.5], seed=seed, optimizer="lion") for seed in (0, 1)]
    groups = {"lion 1e-4": results.read_results(runs)}
    [new] = aggregate.write_aggregates(groups, tmp_path / "runs")
    listed = json.loads((folder / "aggregate.json").read_text())["files"]
    assert {name.partition("/")[0] for name in listed} == {new.name}
    assert set(contents(folder)) == {*listed, "aggregate.json", *foreign}
    assert not (old / "validation").exists()
    assert aggregate.write_aggregates({}, tmp_path / "runs") == []
    assert set(contents(folder)) == foreign


def test_runs_that_went_on_have_newer_files(write_study, tmp_path):
    [folder] = write_study([row[:2] for row in THREE])
    [before] = (folder / "validation").iterdir()
    more = {"epoch": 3, "step": 1758, "wall_seconds": 300.0}
    for seed in range(3):
        change_lines(
            tmp_path / "runs" / f"adam-lr0.0001-s{seed}",
            lambda lines: [*lines, lines[-1] | more],
        )
    rewrite(tmp_path / "runs")
    [after] = (folder / "validation").iterdir()
    assert after.name > before.name


@pytest.mark.parametrize("call", ["replace", "unlink"])
def test_a_kill_leaves_no_stray_file(write_study, tmp_path, monkeypatch, call):
    [folder] = write_study(THREE)
    before = contents(folder.parent)
    runs = [run_folder.read_run(run) for run in (tmp_path / "runs").glob("adam-*")]
    other = {"other 1e-4": results.read_results([run.config for run in runs])}
    owner = {"replace": aggregate.os, "unlink": aggregate.Path}[call]
    real, calls = getattr(owner, call), []

    def killed(*arguments, **keywords):
        if "aggregate" in str(arguments[0]):
            calls.append(arguments)
        if len(calls) > 5:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(owner, call, killed)
    with pytest.raises(KeyboardInterrupt):
        aggregate.write_aggregates(other, tmp_path / "runs")
    monkeypatch.undo()
    assert contents(folder.parent) != before
    rewrite(tmp_path / "runs")
    assert contents(folder.parent) == before


def test_no_tensorflow_is_loaded():
    code = (
        "import sys, tfpipe.comparison.aggregate\n"
        "sys.exit(str({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules) or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == ""


@pytest.mark.slow
def test_a_running_tensorboard_shows_medians_and_takes_up_new_ones(
    small_run, tmp_path, serve_tensorboard
):
    config = small_run.replace(learning_rate=1e-3)
    runs = [
        train(config.replace(optimizer=name, seed=seed), say=lambda line: None)
        for name in ("rmsprop", "adam")
        for seed in range(3)
    ]
    rewrite(tmp_path / "runs")
    one = "aggregate/adam_1e-3"
    with serve_tensorboard(tmp_path / "runs", num_runs=32) as ask:
        names = set(ask("scalars/tags"))
        assert {n for n in names if n.startswith(one)} == {
            f"{one}{edge}/{split}"
            for edge in ("", "/low", "/high")
            for split in ("train", "validation")
        }

        def values(run, tag="epoch_accuracy"):
            points = ask(f"scalars/scalars?run={run}/validation&tag={tag}")
            return [value for _, _, value in points]

        adams = np.array([values(run.name) for run in runs[3:]])
        assert adams.shape == (3, 2)
        assert values(one) == list(np.median(adams, axis=0))
        assert values(f"{one}/low") == list(adams.min(axis=0))
        assert values(f"{one}/high") == list(adams.max(axis=0))
        [shown] = ask(f"text/text?run={one}&tag=aggregate")
        assert "the median of 3 runs (seeds 0, 1, 2)" in shown["text"]

        groups = ask(
            "hparams/session_groups",
            {
                "experimentName": "",
                "allowedStatuses": ["STATUS_SUCCESS"],
                "colParams": [],
                "aggregationType": "AGGREGATION_AVG",
                "startIndex": 0,
                "sliceSize": 10,
            },
        )["sessionGroups"]
        rows = {group["hparams"]["optimizer"]: group for group in groups}
        assert set(rows) == {"rmsprop", "adam"}
        assert [len(row["sessions"]) for row in rows.values()] == [3, 3]
        means = {
            (value["name"]["group"], value["name"]["tag"]): value["value"]
            for value in rows["adam"]["metricValues"]
        }
        last = means["validation", "epoch_accuracy"]
        assert last == pytest.approx(adams[:, -1].mean())

        longer = config.replace(optimizer="adam", epochs=3)
        for seed in range(3):
            train(longer.replace(seed=seed), say=lambda line: None)
        rewrite(tmp_path / "runs")
        deadline = time.monotonic() + 60
        while len(values(one)) < 3 and time.monotonic() < deadline:
            time.sleep(0.5)
        last = np.array([values(run.name) for run in runs[3:]])
        assert values(one) == list(np.median(last, axis=0))


def test_a_listing_that_was_cut_is_one_line(tmp_path):
    (tmp_path / "aggregate").mkdir()
    (tmp_path / "aggregate" / "aggregate.json").write_text("{")
    with pytest.raises(ValueError, match="must be the listing that was written, got"):
        aggregate.write_aggregates({}, tmp_path)
