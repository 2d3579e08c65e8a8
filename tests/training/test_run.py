"""One run from its first line to its last, and every way to interrupt it."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

from tfpipe.base import files
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.data.storing import Storing
from tfpipe.training import clocks, run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.run import train
from tfpipe.training.writer import RunWriter

# With batches of 8, 39 train pictures are 5 steps an epoch, the last of 7.
STEPS = 5
CLOCKS = ("_seconds", "_per_second")


# Dropout draws from a generator whose state has to survive, too.
OWN_MODEL = """
import keras
def tiny(image_shape, num_classes):
    return keras.Sequential([
        keras.Input(image_shape), keras.layers.AveragePooling2D(4),
        keras.layers.Flatten(), keras.layers.Dropout(0.3),
        keras.layers.Dense(num_classes, activation="softmax")])
"""


@pytest.fixture(scope="module", autouse=True)
def own_model(tmp_path_factory):
    """The file of a model of a person's own, importable."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_model.py").write_text(OWN_MODEL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder / "own_model.py"


@pytest.fixture(scope="module")
def whole(records_dir, tmp_path_factory):
    """Digests of unbroken runs of 2 and 3 epochs."""
    digests = {}
    for epochs in (2, 3):
        runs_dir = tmp_path_factory.mktemp(f"whole{epochs}")
        config = small_config(records_dir, runs_dir).replace(epochs=epochs)
        digests[epochs] = digest(train(config, say=quiet).folder)
    return digests


@pytest.fixture
def configure(records_dir, tmp_path):
    """Return a function that makes small RunConfigs."""
    config = small_config(records_dir, tmp_path / "runs")
    return lambda **values: config.replace(**values)


def small_config(records_dir, runs_dir):
    return RunConfig.of(
        records_dir=str(records_dir),
        runs_dir=str(runs_dir),
        model="own_model:tiny",
        image_size=16,
        batch_size=8,
        epochs=2,
        optimizer="adam",
        learning_rate=1e-3,
    )


class StopAt(keras.callbacks.Callback):
    """Send a signal behind a step, or fail there."""

    def __init__(self, step, number=signal.SIGINT):
        super().__init__()
        self.left, self.number = step, number

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            if self.number is None:
                raise RuntimeError("a fault")
            os.kill(os.getpid(), self.number)


def quiet(line):
    pass


def digest(folder):
    """Digest all that isn't a clock: state, JSON lines, predictions."""
    found = hashlib.sha256()
    for name in (run_folder.METRICS, run_folder.STEPS):
        for line in files.read_json_lines(folder / name):
            kept = {k: v for k, v in line.items() if not k.endswith(CLOCKS)}
            found.update(json.dumps(kept).encode())
    newest = max((folder / "checkpoint").glob("*.npz"))
    for path in (newest, *sorted((folder / "predictions").iterdir())):
        found.update(path.name.encode())
        with np.load(path) as arrays:
            for name in arrays.files:
                found.update(arrays[name].tobytes())
    return found.hexdigest()


def test_a_run_writes_its_folder(configure):
    lines = []
    record = train(configure(model="small_cnn"), say=lines.append)
    folder = record.folder
    assert folder.name == ("adam-lr0.001-image_size16-batch_size8-modelsmall_cnn-s0")
    names = {path.name for path in folder.iterdir()}
    [session] = {name for name in names if name.startswith("events.")}
    assert names - {session} == {
        ".lock",
        *run_folder.OWN_FILES,
        *(set(run_folder.OWN_PATTERNS) - {"test", run_folder.SESSION}),
    }
    assert record.status["status"] == "done"
    assert (record.status["epoch"], record.status["step"]) == (2, 2 * STEPS)
    assert [line["epoch"] for line in record.evaluations] == [1, 2]
    assert [line["step"] for line in record.evaluations] == [STEPS, 2 * STEPS]
    assert sum(record.evaluations[0]["predicted_shares"]) == pytest.approx(1)
    assert record.facts["validation_class_counts"] == [7, 6] or record.facts[
        "validation_class_counts"
    ] == [6, 7]
    text = "\n".join(lines)
    assert "learning rate 0.001 (Keras's default for adam)" in text
    assert "it cannot stop a run of 2 epochs" in text
    assert "tensorboard --logdir" in text


def test_epoch_means_are_sums_over_pictures(configure):
    record = train(configure(epochs=1), say=quiet)
    steps = files.read_json_lines(record.folder / run_folder.STEPS)
    assert [line["step"] for line in steps] == [1, 2, 3, 4, 5]
    sizes = [8, 8, 8, 8, 7]
    mean = sum(n * line["loss"] for n, line in zip(sizes, steps, strict=True)) / 39
    assert record.evaluations[0]["loss"] == pytest.approx(mean, rel=1e-12)


def test_validation_numbers_are_those_of_the_stored_predictions(configure):
    record = train(configure(epochs=1), say=quiet)
    with np.load(record.folder / "predictions" / f"step-{STEPS}.npz") as stored:
        assert stored["source_id"].tolist() == list(range(39, 52))
        right = stored["top_classes"][:, 0] == stored["label"]
        loss = -np.log(stored["true_probability"].astype(float)).mean()
    assert record.evaluations[0]["val_accuracy"] == right.mean()
    assert record.evaluations[0]["val_loss"] == pytest.approx(loss, abs=1e-3)


def test_numbers_come_from_the_settings_and_the_seed(configure, whole):
    assert digest(train(configure(), say=quiet).folder) == whole[2]
    assert digest(train(configure(seed=1), say=quiet).folder) != whole[2]


def test_every_optimizer_of_a_seed_starts_alike_and_sees_one_order(configure):
    runs = [train(configure(optimizer=name), say=quiet) for name in ("adam", "sgd")]
    hashes = {run.facts["initial_weights_sha256"] for run in runs}
    orders = {tuple(e["order_fingerprint"] for e in r.evaluations) for r in runs}
    assert len(hashes) == len(orders) == 1
    assert len(set(orders.pop())) == 2


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "stop_at",
    [
        pytest.param(1, marks=SLOW),
        3,
        STEPS,
        pytest.param(STEPS + 2, marks=SLOW),
        pytest.param(2 * STEPS, marks=SLOW),
    ],
)
def test_a_stopped_run_continues_to_the_same_numbers(configure, whole, stop_at):
    config = configure()
    with pytest.raises(KeyboardInterrupt):
        train(config, callbacks=[StopAt(stop_at)], say=quiet)
    stopped = run_folder.read_run(run_folder.run_folder(config))
    assert stopped.status["status"] == "interrupted"
    assert stopped.status["step"] == stop_at
    continued = train(config, say=quiet)
    assert continued.status["status"] == "done"
    assert digest(continued.folder) == whole[2]


def test_an_interrupted_run_knows_its_seconds_and_adds_to_them(configure, monkeypatch):
    config = configure()
    with pytest.raises(KeyboardInterrupt):
        train(config, callbacks=[StopAt(3)], say=quiet)
    stopped = run_folder.read_run(run_folder.run_folder(config))
    [saved] = (stopped.folder / "checkpoint").glob("step-*.json")
    seconds = json.loads(saved.read_text())["position"]["seconds"]
    before = stopped.status["seconds"]
    assert before == clocks.as_fields(seconds)
    given = []
    go_on = clocks.Clocks.go_on

    def look_and_go_on(self, seconds):
        given.append(seconds)
        go_on(self, seconds)

    monkeypatch.setattr(clocks.Clocks, "go_on", look_and_go_on)
    began = time.monotonic()
    continued = train(config, say=quiet)
    took = time.monotonic() - began
    assert given == [pytest.approx(seconds, abs=1e-3)]
    wall = continued.status["seconds"]["wall_seconds"]
    assert before["wall_seconds"] < wall <= before["wall_seconds"] + took + 0.01


def test_sigterm_saves_too(configure):
    with pytest.raises(KeyboardInterrupt) as caught:
        train(configure(), callbacks=[StopAt(2, signal.SIGTERM)], say=quiet)
    assert type(caught.value).__name__ == "Terminated"


def test_a_failed_run_says_so_and_continues_from_its_last_checkpoint(configure, whole):
    config = configure()
    with pytest.raises(RuntimeError):
        train(config, callbacks=[StopAt(STEPS + 2, None)], say=quiet)
    failed = run_folder.read_run(run_folder.run_folder(config))
    assert failed.status["status"] == "failed"
    assert failed.status["reason"] == "RuntimeError: a fault"
    continued = train(config, say=quiet)
    assert digest(continued.folder) == whole[2]
    (session,) = continued.facts["sessions"]
    assert (session["from_step"], session["lost_steps"]) == (STEPS, 2)
    assert 0 <= session["lost_seconds"] < 60


def test_more_epochs_continue_a_finished_run(configure, whole):
    train(configure(epochs=1), say=quiet)
    extended = train(configure(epochs=3), say=quiet)
    assert digest(extended.folder) == whole[3]


def test_a_comparison_goes_on_with_what_train_began(configure):
    """Early stopping that can't act is no other run, whether it is off or not."""
    train(configure(epochs=1), say=quiet)
    extended = train(configure(epochs=2, early_stopping="off"), say=quiet)
    assert extended.status["status"] == "done"
    assert extended.status["epoch"] == 2


def test_a_finished_run_is_left_alone(configure):
    record = train(configure(), say=quiet)
    before = digest(record.folder)
    lines = []
    assert train(configure(), say=lines.append).status == record.status
    assert lines == [
        f"{record.folder}: already done at epoch 2; a larger --epochs goes on, "
        "--overwrite starts again"
    ]
    assert digest(record.folder) == before


def test_another_configuration_is_refused_until_told_to_overwrite(configure):
    first = train(configure(run_name="mine", epochs=1), say=quiet)
    other = {"run_name": "mine", "epochs": 1, "optimizer": "sgd"}
    with pytest.raises(ValueError, match=r"optimizer='adam' \(now 'sgd'\)"):
        train(configure(**other), say=quiet)
    (first.folder / "notes.txt").write_text("a person's own")
    second = train(configure(**other, overwrite=True), say=quiet)
    assert second.config.optimizer.optimizer == "sgd"
    assert (first.folder / "notes.txt").exists()


def test_a_second_writer_is_refused(configure):
    config = configure()
    folder = run_folder.run_folder(config)
    folder.mkdir(parents=True)
    with (
        files.FolderLock(folder),
        pytest.raises(BlockingIOError, match="must have one writer"),
    ):
        train(config, say=quiet)


def test_max_steps_cuts_evaluates_and_brands(configure):
    record = train(configure(max_steps=7), say=quiet)
    assert [line["epoch"] for line in record.evaluations] == [1, 1.4]
    assert record.status["step"] == 7
    assert record.facts["shortened"] == ["at most 7 steps"]
    assert record.is_finished(2)


def test_fewer_train_examples_are_branded(configure):
    record = train(configure(train_examples=16, epochs=1), say=quiet)
    assert record.status["step"] == 2
    assert record.facts["shortened"] == ["16 of 39 train examples"]


def test_more_train_examples_than_there_are_are_refused(configure):
    with pytest.raises(ValueError, match="train_examples must be at most 39"):
        train(configure(train_examples=40), say=quiet)


def test_early_stopping_stops_and_stays_stopped(configure):
    config = configure(epochs=5, patience=1, baseline=1.1)
    record = train(config, say=quiet)
    assert record.status["status"] == "stopped_early"
    assert record.status["epoch"] < 5
    assert train(config, say=quiet).status == record.status


def test_divergence_ends_a_run_at_its_step(configure):
    config = configure(model="small_cnn", optimizer="sgd", learning_rate=1e30)
    record = train(config, say=quiet)
    assert record.status["status"] == "diverged"
    assert "loss is not finite at step" in record.status["reason"]
    assert record.is_finished(2)
    text = (record.folder / run_folder.STEPS).read_text()
    assert "NaN" not in text


def test_an_evaluation_that_is_not_finite_is_divergence_too(configure):
    config = configure(model="small_cnn", optimizer="sgd", learning_rate=1e30)
    record = train(config.replace(max_steps=1), say=quiet)
    assert record.status["status"] == "diverged"
    assert record.status["reason"] == "val_loss is not finite at step 1"
    assert record.evaluations == []


@pytest.mark.parametrize(
    "values",
    [
        {"max_steps": 7},
        pytest.param({"max_steps": STEPS}, marks=SLOW),
        pytest.param({"epochs": 5, "patience": 1, "baseline": 1.1}, marks=SLOW),
    ],
    ids=["cut", "cut at an epoch's end", "stopped early"],
)
def test_a_run_killed_behind_its_last_checkpoint_ends_as_it_had(
    configure, tmp_path, monkeypatch, values
):
    config = configure(**values)
    whole = train(config.replace(runs_dir=str(tmp_path / "whole")), say=quiet)
    with monkeypatch.context() as patch:
        patch.setattr(RunWriter, "draw", fail)
        with pytest.raises(RuntimeError):
            for _ in range(whole.status["epoch"] + 1):
                with contextlib.suppress(RuntimeError):
                    train(config, say=quiet)
            raise RuntimeError
    record = train(config, say=quiet)
    # What set the pace was measured by another clock.
    for status in (record.status, whole.status):
        status.pop("pace", None)
        status.pop("seconds")
    assert record.status == whole.status
    assert digest(record.folder) == digest(whole.folder)


def fail(*arguments, **named):
    raise RuntimeError("a fault")


def test_checkpoints_inside_an_epoch_change_nothing(configure, whole):
    record = train(configure(checkpoint_minutes=1e-9), say=quiet)
    assert digest(record.folder) == whole[2]


@pytest.fixture
def other_records(image_dir, tmp_path):
    """The same pictures, split otherwise."""
    folder = str(tmp_path / "other")
    convert(
        ConvertConfig(
            image_dir=str(image_dir), records_dir=folder, validation_split=0.5
        )
    )
    return folder


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_run_on_other_records_is_refused_and_stays_as_it_was(
    configure, other_records, epochs
):
    record = train(configure(epochs=1), say=quiet)
    with pytest.raises(ValueError, match="must go on with dataset_fingerprint="):
        train(configure(epochs=epochs, records_dir=other_records), say=quiet)
    assert run_folder.read_run(record.folder).status == record.status


def test_what_is_done_is_done_without_its_records(configure):
    record = train(configure(epochs=1), say=quiet)
    again = train(configure(epochs=1, records_dir="gone"), say=quiet)
    assert again.status == record.status


def test_a_run_that_goes_on_records_its_sessions(configure, monkeypatch):
    begun = train(configure(epochs=1), say=quiet).facts
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    facts = train(configure(epochs=2), say=quiet).facts
    assert facts["config"]["run"]["epochs"] == 2
    assert facts["command"].endswith(facts["sessions"][0]["command"][-20:])
    assert [session["from_step"] for session in facts["sessions"]] == [STEPS]
    switch = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert facts["sessions"][0]["versions"] == {**begun["versions"], **switch}


def test_lost_checkpoints_of_a_finished_run_are_said(configure):
    folder = train(configure(), say=quiet).folder
    shutil.rmtree(folder / "checkpoint")
    before = (folder / run_folder.METRICS).read_bytes()
    with pytest.raises(ValueError, match="must hold a checkpoint to go on from"):
        train(configure(epochs=3), say=quiet)
    assert (folder / run_folder.METRICS).read_bytes() == before


def test_what_a_kill_left_of_a_first_start_does_no_harm(configure, whole):
    folder = run_folder.run_folder(configure())
    folder.mkdir(parents=True)
    for name in ("config.json.aside", "status.json", "model.txt"):
        (folder / name).write_text("half")
    assert digest(train(configure(), say=quiet).folder) == whole[2]
    assert not (folder / "config.json.aside").exists()


def test_a_signal_before_the_first_step_costs_nothing(configure, monkeypatch):
    record = train(configure(epochs=1), say=quiet)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunWriter, "take_up", interrupt)
        train(configure(), say=quiet)
    assert run_folder.read_run(record.folder).status == record.status


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_a_folder_of_other_files_is_left_alone(configure):
    config = configure(run_name="project")
    mine = run_folder.run_folder(config) / "train" / "cat.0.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match=r"must be new or a run's, got .*'train'"):
            train(config.replace(overwrite=overwrite), say=quiet)
    assert mine.read_bytes() == b"mine"


def test_overwriting_takes_only_what_a_run_wrote(configure):
    folder = train(configure(epochs=1), say=quiet).folder
    kept = [folder / "train" / "cat.0.jpg", folder / "notes.txt"]
    for path in kept:
        path.write_text("a person's own")
    train(configure(epochs=1, overwrite=True), say=quiet)
    assert all(path.read_text() == "a person's own" for path in kept)


def test_overwriting_can_be_killed_and_given_again(configure, monkeypatch):
    train(configure(run_name="mine"), say=quiet)
    config = configure(run_name="mine", optimizer="sgd", overwrite=True)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError):
        patch.setattr(run_folder, "reversed", fail, raising=False)
        train(config, say=quiet)
    record = train(config, say=quiet)
    assert record.config.optimizer.optimizer == "sgd"
    assert record.status["status"] == "done"


def test_overwriting_by_a_run_that_cannot_begin_keeps_the_old_one(configure):
    config = configure(model="small_cnn", run_name="mine", epochs=1)
    record = train(config, say=quiet)
    broken = record.folder.parent / "broken.keras"
    broken.write_text("no zip")
    with pytest.raises(ValueError, match="file of this model, got"):
        train(config.replace(weights=str(broken), overwrite=True), say=quiet)
    assert run_folder.read_run(record.folder).status == record.status


def test_absent_weights_are_said_before_anything_loads(configure):
    with pytest.raises(ValueError, match=r"'typo.keras', which is absent"):
        train(configure(weights="typo.keras"), say=quiet)


def test_a_run_that_cannot_begin_leaves_no_folder(configure, tmp_path):
    (tmp_path / "broken.keras").write_text("no zip")
    with pytest.raises(ValueError, match="file of this model, got"):
        train(configure(weights=str(tmp_path / "broken.keras")), say=quiet)
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_model_that_cannot_be_saved_is_refused_before_it_is_trained(
    configure, own_model, monkeypatch
):
    (own_model.parent / "unsaveable.py").write_text(
        "import keras\n"
        "class Mine(keras.layers.Layer):\n"
        "    def __init__(self, what):\n"
        "        super().__init__()\n"
        "    def call(self, x):\n"
        "        return x\n"
        "def build(shape, classes):\n"
        "    return keras.Sequential([keras.Input(shape), Mine(3),\n"
        "        keras.layers.Flatten(),\n"
        "        keras.layers.Dense(classes, activation='softmax')])\n"
    )
    with pytest.raises(ValueError, match="must be one that Keras can save and open"):
        train(configure(model="unsaveable:build"), say=quiet)


def test_lines_shorter_than_the_checkpoint_knows_are_refused(configure):
    path = train(configure(), say=quiet).folder / run_folder.STEPS
    os.truncate(path, path.stat().st_size - 10)
    with pytest.raises(ValueError, match=r"steps.jsonl must hold the \d+ bytes"):
        train(configure(epochs=3), say=quiet)


def test_a_damaged_status_is_named(configure):
    path = train(configure(), say=quiet).folder / run_folder.STATUS
    path.write_text("{")
    with pytest.raises(ValueError, match=r"status.json must be the JSON that a train"):
        train(configure(), say=quiet)


def test_records_without_validation_pictures_are_refused(
    configure, image_dir, tmp_path
):
    records_dir = str(tmp_path / "all")
    convert(
        ConvertConfig(
            image_dir=str(image_dir), records_dir=records_dir, validation_split=0.0
        )
    )
    with pytest.raises(ValueError, match=r"validation split of .* must hold pictures"):
        train(configure(records_dir=records_dir), say=quiet)


def test_a_callback_can_stop_inside_an_epoch(configure):
    class Enough(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    record = train(configure(), callbacks=[Enough()], say=quiet)
    assert record.status["status"] == "stopped_early"
    assert record.status["reason"] == "a callback"
    assert record.status["step"] == 2


def test_a_torn_checkpoint_is_passed_over(configure, whole):
    folder = train(configure(), say=quiet).folder
    newest = max((folder / "checkpoint").glob("*.npz"))
    newest.write_bytes(newest.read_bytes()[:-100])
    lines = []
    train(configure(epochs=3), say=lines.append)
    assert any("damaged" in line and newest.name in line for line in lines)
    assert digest(folder) == whole[3]


def test_only_torn_checkpoints_are_an_error(configure):
    folder = train(configure(), say=quiet).folder
    for path in (folder / "checkpoint").glob("*.npz"):
        path.write_bytes(b"torn")
    with pytest.raises(ValueError, match="must match their checksums"):
        train(configure(epochs=3), say=quiet)


def test_a_damaged_record_stops_the_run_by_name(configure, records_dir, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(records_dir, damaged)
    shard = next(iter(sorted(damaged.glob("*-train.tfrecord-*"))))
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    config = configure(records_dir=str(damaged))
    with pytest.raises(ValueError, match=f"{shard.name} at offset 0"):
        train(config, say=quiet)
    failed = run_folder.read_run(run_folder.run_folder(config))
    assert failed.status["status"] == "failed"


def test_tensorboard_shows_kerass_tags_once_a_step(configure):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = configure()
    with pytest.raises(KeyboardInterrupt):
        train(config, callbacks=[StopAt(STEPS + 2)], say=quiet)
    record = train(config, say=quiet)
    found = {}
    for name in ("train", "validation"):
        events = EventAccumulator(
            str(record.folder / name), size_guidance={"tensors": 0}
        )
        events.Reload()
        found[name] = {
            tag: [event.step for event in events.Tensors(tag)]
            for tag in events.Tags()["tensors"]
        }
    every, probed = list(range(1, 2 * STEPS + 1)), [0, 1, 2, 4, 8]
    ends = [STEPS, 2 * STEPS]
    assert found["train"] == {
        "logit_spread": sorted(probed + ends),
        "grad_norm": [1],
        "update_norm": [1],
        "weight_norm": [1],
        "probe_loss": probed,
        "probe_accuracy": probed,
        "evaluation_loss_vs_iterations": ends,
        "evaluation_accuracy_vs_iterations": ends,
        "batch_loss": every,
        "batch_accuracy": every,
        "batch_learning_rate": every,
        "epoch_loss": [0, 1],
        "epoch_accuracy": [0, 1],
        "epoch_learning_rate": [0, 1],
    }
    assert found["validation"] == {
        "probe_loss": probed,
        "probe_accuracy": probed,
        "epoch_balanced_accuracy": [0, 1],
        "epoch_macro_f1": [0, 1],
        "evaluation_balanced_accuracy_vs_iterations": [5, 10],
        "evaluation_macro_f1_vs_iterations": [5, 10],
        "epoch_loss": [0, 1],
        "epoch_accuracy": [0, 1],
        "evaluation_loss_vs_iterations": [STEPS, 2 * STEPS],
        "evaluation_accuracy_vs_iterations": [STEPS, 2 * STEPS],
    }


def test_saved_models_take_pixels_and_need_nothing_of_ours(configure, records_dir):
    import subprocess
    import sys

    from tfpipe.data.streaming.pipeline import input_fn

    record = train(configure(epochs=1, optimizer="rmsprop_keras2"), say=quiet)
    pictures, _ = next(
        iter(input_fn(records_dir, "validation", image_size=16, batch_size=13))
    )
    np.save(record.folder / "pixels.npy", np.asarray(pictures) * 255.0)
    code = (
        "import sys; sys.modules['tfpipe'] = None\n"
        "import keras, numpy as np\n"
        "model = keras.models.load_model('last.keras')\n"
        "np.save('answers.npy', model.predict(np.load('pixels.npy'), verbose=0))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=record.folder, check=True)
    answers = np.load(record.folder / "answers.npy")
    with np.load(record.folder / "predictions" / f"step-{STEPS}.npz") as stored:
        np.testing.assert_allclose(
            answers[np.arange(13), stored["label"]],
            stored["true_probability"],
            atol=1e-3,
        )


def test_a_persons_own_callback_is_driven(configure):
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs)))
    )
    train(configure(), callbacks=[callback], say=quiet)
    names = ["accuracy", "loss", "val_accuracy", "val_balanced_accuracy"]
    names += ["val_loss", "val_macro_f1"]
    assert seen == [(0, names), (1, names)]


def test_a_changed_model_of_ones_own_is_not_continued(configure, own_model):
    record = train(configure(), say=quiet)
    assert len(record.facts["own_code_sha256"]["own_model:tiny"]) == 64
    own_model.write_text(OWN_MODEL + "# other\n")
    with pytest.raises(ValueError, match="own code own_model:tiny="):
        train(configure(epochs=3), say=quiet)
    own_model.write_text(OWN_MODEL)


def test_a_collapsed_epoch_is_explained(configure):
    lines = []
    values = {"model": "small_cnn", "optimizer": "sgd", "learning_rate": 1e-9}
    train(configure(epochs=1, **values), say=lines.append)
    text = "\n".join(lines)
    assert "is answered for every picture" in text
    assert "is about ln 2 = 0.693: the run has not left its start" in text
    assert "try --learning_rate=0.01 or --learning_rate=1e-10" in text


def test_a_warm_up_that_holds_the_rate_down_is_named_where_a_run_collapsed(configure):
    lines = []
    values = {"model": "small_cnn", "optimizer": "sgd", "learning_rate": 1e-9}
    warm_up = {"schedule": "warmup", "schedule_args": ["warmup_steps=5000"]}
    train(configure(epochs=1, **values, **warm_up), say=lines.append)
    text = "\n".join(lines)
    assert "the warm-up holds the learning rate at 1e-12 here, below 1e-09" in text
    assert "try --learning_rate" not in text


# Each with the step that is lost: a run goes on behind the one before, inside an epoch,
# at its end, between updates of accumulated gradients, behind a reduced rate.
CASES = [
    (6, {"optimizer": "adam", "optimizer_args": ["gradient_accumulation_steps=3"]}),
    (2 * STEPS + 3, {"optimizer": "sgd", "schedule": "plateau"}),
    (6, {"optimizer": "adam", "early_stopping": "keras2"}),
    (7, {"optimizer": "adamw", "augment": ["flip", "color"], "schedule": "cosine"}),
    (8, {"optimizer": "lion", "optimizer_args": ["use_ema=true", "ema_momentum=0.8"]}),
    (4, {"optimizer": "sgd", "optimizer_args": ["momentum=0.9", "nesterov=true"]}),
    (STEPS + 1, {"optimizer": "rmsprop_keras2", "schedule": "warmup"}),
    (4, {"optimizer": "nadam", "augment": ["crop"], "class_weight": "balanced"}),
    (2, {"optimizer": "muon", "schedule": "exponential"}),
]
ARGUMENTS = {
    "warmup": ["warmup_steps=7"],
    "exponential": ["decay_steps=3", "decay_rate=0.5"],
    "plateau": ["patience=1", "min_delta=10", "factor=0.5"],
}


@pytest.mark.parametrize(
    ("stop_at", "case"),
    [
        # The first ones show each kind of state; the others only other optimizers.
        pytest.param(*case, marks=pytest.mark.slow) if number >= 3 else case
        for number, case in enumerate(CASES)
    ],
    ids=["-".join(map(str, case.values())) for _, case in CASES],
)
def test_the_matrix_of_resumes(configure, tmp_path, stop_at, case):
    arguments = ARGUMENTS.get(case.get("schedule"), [])
    # Patience 2 and a baseline out of reach: keras2 stops behind the second epoch.
    config = configure(
        epochs=3,
        schedule_args=arguments,
        patience=2,
        baseline=0.99,
        **{"early_stopping": "off", **case},
    )
    whole = train(config.replace(runs_dir=str(tmp_path / "whole")), say=quiet)
    assert whole.status["epoch"] == (2 if "early_stopping" in case else 3)
    with pytest.raises(RuntimeError):  # without a word, as a kill
        train(
            config.replace(checkpoint_minutes=1e-9),
            callbacks=[StopAt(stop_at, None)],
            say=quiet,
        )
    continued = train(config, say=quiet)
    assert continued.facts["sessions"][0]["from_step"] == stop_at - 1
    assert digest(continued.folder) == digest(whole.folder)
    for name in ("status", "reason", "epoch", "step"):
        assert continued.status[name] == whole.status[name]


def test_a_plateau_halves_the_rate_and_keras2_stops(configure):
    values = {"schedule": "plateau", "schedule_args": ARGUMENTS["plateau"]}
    record = train(configure(epochs=4, early_stopping="off", **values), say=quiet)
    # The first epoch is the best for good: each later one halves what comes after it.
    steps = files.read_json_lines(record.folder / run_folder.STEPS)
    rates = [steps[epoch * STEPS]["learning_rate"] for epoch in range(4)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 5e-4, 2.5e-4], rtol=1e-6)
    config = configure(epochs=4, early_stopping="keras2", patience=2, baseline=0.99)
    record = train(config, say=quiet)
    assert record.status["reason"] == "EarlyStopping"
    assert record.status["epoch"] == 2


def test_saved_models_are_those_asked_for_and_hold_averages(configure):
    config = configure(epochs=1, keep=["last"], optimizer="sgd", learning_rate=0.1)
    plain = train(config, say=quiet)
    names = {path.name for path in plain.folder.glob("*.keras")}
    assert names == {"last.keras"}
    averaged = train(
        config.replace(optimizer_args=["use_ema=true", "ema_momentum=0.9"]), say=quiet
    )
    weights = [
        keras.models.load_model(run.folder / "last.keras").get_weights()
        for run in (plain, averaged)
    ]
    assert not np.array_equal(weights[0][0], weights[1][0])
    # They took the same steps; the evaluation is of the averages.
    lines = [run.evaluations[0] for run in (plain, averaged)]
    assert lines[0]["loss"] == lines[1]["loss"]
    assert lines[0]["val_loss"] != lines[1]["val_loss"]


def test_a_gradient_that_is_not_finite_leaves_the_checkpoint_before(configure):
    config = configure(checkpoint_minutes=1e-9, epochs=3)

    class Spoil(keras.callbacks.Callback):
        """Do to the weights what such a gradient does, behind step 7."""

        left = 7

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if self.left == 0:
                weight = self.model.trainable_variables[0]
                weight.assign(np.full(weight.shape, np.nan))

    record = train(config, callbacks=[Spoil()], say=quiet)
    assert record.status["status"] == "diverged"
    assert record.status["reason"] == "the state is not finite at step 7"
    newest = max((record.folder / "checkpoint").glob("*.npz"))
    assert newest.stem == "step-00000006"
    with np.load(newest) as arrays:
        assert all(np.isfinite(arrays[name]).all() for name in arrays.files)
    assert (record.folder / "plots" / "loss.png").exists()


def test_a_weighted_loss_changes_training_and_not_val_loss_s_meaning(configure):
    config = configure(epochs=1)
    even, weighed = (
        train(config.replace(class_weight=kind), say=quiet)
        for kind in ("none", "balanced")
    )
    first = [
        files.read_json_lines(run.folder / run_folder.STEPS)[0]["loss"]
        for run in (even, weighed)
    ]
    assert first[0] != first[1]
    with np.load(weighed.folder / "predictions" / f"step-{STEPS}.npz") as stored:
        loss = -np.log(stored["true_probability"].astype(float)).mean()
    assert weighed.evaluations[0]["val_loss"] == pytest.approx(loss, abs=1e-3)


def test_a_faithful_run_is_the_notebooks_and_wants_its_pixels(
    configure, image_dir, tmp_path
):
    values = {"faithful": True, "image_size": 224, "optimizer": "rmsprop"}
    config = configure(**values)
    assert config.optimizer.optimizer == "rmsprop_keras2"
    assert config.stopping.early_stopping == "keras2"
    assert config.model.precision == "float32"
    with pytest.raises(ValueError, match=r"--resize_filter=nearest --encoding=raw"):
        train(config, say=quiet)
    with pytest.raises(
        ValueError, match="image_size must be 224 in a faithful run, got 16"
    ):
        configure(faithful=True)
    folder = str(tmp_path / "faithful")
    convert(
        ConvertConfig(
            image_dir=str(image_dir),
            records_dir=folder,
            storing=Storing(image_size=224, resize_filter="nearest", encoding="raw"),
        )
    )
    record = train(config.replace(records_dir=folder, max_steps=1), say=quiet)
    assert record.status["status"] == "done"


def test_strict_determinism_is_tensorflows():
    code = (
        "from tfpipe.training import determinism\n"
        "from tensorflow.python.framework import config\n"
        "determinism.set_up('seeded')\n"
        "assert not config.is_op_determinism_enabled()\n"
        "determinism.set_up('strict')\n"
        "assert config.is_op_determinism_enabled()\n"
        "assert determinism.may_compile('strict') is False\n"
        "assert determinism.may_compile('off') == 'auto'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_interruption_saves_no_state_that_is_not_finite(configure):
    class Spoil(keras.callbacks.Callback):
        left = 3

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if self.left == 0:
                weight = self.model.trainable_variables[0]
                weight.assign(np.full(weight.shape, np.inf))
                os.kill(os.getpid(), signal.SIGINT)

    config = configure()
    with pytest.raises(KeyboardInterrupt):
        train(config, callbacks=[Spoil()], say=quiet)
    record = run_folder.read_run(run_folder.run_folder(config))
    assert record.status["status"] == "diverged"
    assert not list((record.folder / "checkpoint").glob("*"))
