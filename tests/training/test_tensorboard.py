"""What TensorBoard shows of runs: asked over HTTP on loopback."""

import time

import keras
import pytest
from tensorboard.plugins.hparams import metadata

from tfpipe.training import hparams
from tfpipe.training.config import RunConfig
from tfpipe.training.run import train


@pytest.mark.slow
def test_a_running_tensorboard_shows_curves_and_a_row_a_configuration(
    small_run, tmp_path, serve_tensorboard
):
    config = small_run.replace(learning_rate=1e-3)
    runs = [
        train(run, say=lambda line: None)
        for run in (config, config.replace(seed=1), config.replace(optimizer="adam"))
    ]
    with serve_tensorboard(tmp_path / "runs", num_runs=9) as ask:
        tags = ask("scalars/tags")
        first = runs[0].name
        assert set(tags) == {
            name + part
            for name in (r.name for r in runs)
            for part in ("", "/train", "/validation")
        }
        assert "epoch_accuracy" in tags[f"{first}/validation"]
        points = ask(f"scalars/scalars?run={first}/validation&tag=epoch_accuracy")
        values = [value for _, _, value in points]
        assert values == pytest.approx([e["val_accuracy"] for e in runs[0].evaluations])
        points = ask(f"scalars/scalars?run={first}/train&tag=batch_loss")
        assert [step for _, step, _ in points] == list(range(1, 11))

        experiment = ask("hparams/experiment", {"experimentName": ""})
        kinds = {info["name"]: info["type"] for info in experiment["hparamInfos"]}
        assert kinds["learning_rate"] == "DATA_TYPE_FLOAT64"
        assert kinds["optimizer_args"] == "DATA_TYPE_STRING"
        assert "seed" not in kinds
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
        assert len(rows["rmsprop"]["sessions"]) == 2
        metrics = {
            value["name"]["tag"]: value["value"]
            for value in rows["rmsprop"]["metricValues"]
        }
        best = [max(e["val_accuracy"] for e in run.evaluations) for run in runs[:2]]
        assert metrics["summary/best_val_accuracy"] == pytest.approx(sum(best) / 2)
        assert metrics["summary/diverged"] == 0
        assert 0 <= metrics["summary/reached_10_percent"] <= 1


class Crash(keras.callbacks.Callback):
    """Ends a run behind its last checkpoint, as a kill does."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 8:
            raise RuntimeError("crashed")


@pytest.mark.slow
def test_a_running_tensorboard_shows_no_step_twice_when_a_run_goes_on(
    small_run, tmp_path, serve_tensorboard
):
    with pytest.raises(RuntimeError, match="crashed"):
        train(small_run, callbacks=[Crash()], say=lambda line: None)
    with serve_tensorboard(tmp_path / "runs", num_runs=3) as ask:
        [name] = [run for run in ask("scalars/tags") if run.endswith("/train")]

        def steps():
            points = ask(f"scalars/scalars?run={name}&tag=batch_loss")
            return [step for _, step, _ in points]

        assert steps() == list(range(1, 9))  # five stand, three are done again
        train(small_run, say=lambda line: None)
        for _ in range(50):
            if steps()[-1] == 10:
                break
            time.sleep(0.2)
        assert steps() == list(range(1, 11))


def test_a_session_of_the_hparams_table(small_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = small_run.replace(epochs=1, optimizer="sgd", learning_rate=1e30)
    record = train(config, say=lambda line: None)
    assert record.status["status"] == "diverged"
    events = EventAccumulator(str(record.folder), size_guidance={"tensors": 0})
    events.Reload()
    content = events.SummaryMetadata(
        metadata.SESSION_START_INFO_TAG
    ).plugin_data.content
    row = metadata.parse_session_start_info_plugin_data(content)
    assert row.hparams["optimizer"].string_value == "sgd"
    assert row.hparams["learning_rate"].number_value == 1e30
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 2  # failure
    [diverged] = events.Tensors("summary/diverged")
    assert diverged.tensor_proto.float_val[0] == 1


def test_replicates_are_one_row_whichever_of_their_seeds_differ():
    def group(**values):
        facts = {"precision": "float32", "backend": "tensorflow", "began_seconds": 0.0}
        config = RunConfig.of(**values)
        _, start = hparams.start_summaries(config, facts | {"train_examples": 10})
        content = start.value[0].metadata.plugin_data.content
        return metadata.parse_session_start_info_plugin_data(content).group_name

    assert group() == group(seed=1) == group(seed=1, split_seed=1)
    others = [group(**one) for one in ({"optimizer": "adam"}, {"epochs": 9})]
    assert len({group(), *others}) == 3
