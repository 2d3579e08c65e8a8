"""A run's row in TensorBoard's HParams table.

Runs that differ in their seeds alone, the split's among them, are sessions of one row,
of which the table shows the mean. The protocol is TensorBoard's
`plugins/hparams/plugin_data.proto`.
"""

import hashlib
import json
import time
from typing import Any

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

from tfpipe.training import naming, outcome
from tfpipe.training.config import RunConfig
from tfpipe.training.run_folder import FINISHED

# Each has one type in every run: TensorBoard turns a mixed column into text.
TEXTS = (
    "optimizer",
    "optimizer_args",
    "schedule",
    "schedule_args",
    "class_weight",
    "augment",
    "model",
    "weights",
)
# TensorBoard shows five columns unasked: those that differ, it is told, then by name.
FIRST = ("optimizer", "learning_rate", "optimizer_args", "schedule")
FACTS = ("precision", "backend")
NUMBERS = (
    "learning_rate",
    "decay",
    "batch_size",
    "image_size",
    "epochs",
)
METRICS = (
    "best_val_accuracy",
    "final_val_accuracy",
    "best_epoch",
    # How many of a row's runs did, beside when: the table averages those that did.
    "escaped",
    "escape_step",
    *(f"{word}_{name}" for name in outcome.TARGETS for word in ("reached", "steps_to")),
    "train_seconds",
    "diverged",
)


def start_summaries(config: RunConfig, facts: dict[str, Any]) -> list[Any]:
    """Return the summaries that open a session: the table's columns, and its row.

    Args:
        config: the run.
        facts: config.json's.
    """
    columns = [
        *((name, api_pb2.DATA_TYPE_STRING) for name in (*TEXTS, *FACTS)),
        *((name, api_pb2.DATA_TYPE_FLOAT64) for name in (*NUMBERS, "train_examples")),
    ]
    metrics = [
        *((f"summary/{name}", "", name.replace("_", " ")) for name in METRICS),
        ("epoch_accuracy", "validation", "val accuracy, last epoch"),
        ("epoch_loss", "validation", "val loss, last epoch"),
    ]
    experiment = api_pb2.Experiment(
        hparam_infos=[
            api_pb2.HParamInfo(name=name, type=kind, differs=name in FIRST)
            for name, kind in columns
        ],
        metric_infos=[
            api_pb2.MetricInfo(
                name=api_pb2.MetricName(tag=tag, group=group), display_name=title
            )
            for tag, group, title in metrics
        ],
    )
    values = naming.in_words(config) | naming.identity(config)
    row: dict[str, Any] = {name: str(values[name]) for name in TEXTS}
    row |= {name: float(values[name]) for name in NUMBERS}
    row |= {name: facts[name] for name in FACTS}
    row["train_examples"] = float(facts["train_examples"])
    session = plugin_data_pb2.SessionStartInfo(
        group_name=trial_id(config), start_time_secs=facts["began_seconds"]
    )
    for name, value in row.items():
        if isinstance(value, str):
            session.hparams[name].string_value = value
        else:
            session.hparams[name].number_value = value
    return [
        _summary(metadata.EXPERIMENT_TAG, experiment=experiment),
        _summary(metadata.SESSION_START_INFO_TAG, session_start_info=session),
    ]


def _summary(tag: str, **content: Any) -> Any:
    data = plugin_data_pb2.HParamsPluginData(**content)
    value = summary_pb2.Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return summary_pb2.Summary(value=[value])


def trial_id(config: RunConfig) -> str:
    """Return what runs of one configuration and one budget share, but for the seeds."""
    values = {**naming.identity(config), "epochs": config.run.epochs}
    del values["split_seed"]
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def end_summary(status: str) -> Any:
    """Return the summary that closes a session."""
    is_well = status in FINISHED and status != "diverged"
    state = api_pb2.STATUS_SUCCESS if is_well else api_pb2.STATUS_FAILURE
    info = plugin_data_pb2.SessionEndInfo(status=state, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, session_end_info=info)
