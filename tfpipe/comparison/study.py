"""Which runs a comparison is made of."""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

from tfpipe.base import settings
from tfpipe.base.settings import setting
from tfpipe.data import manifest
from tfpipe.training import run_folder
from tfpipe.training.catalog import is_own
from tfpipe.training.config import (
    DataConfig,
    Group,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    RunSettings,
    StoppingConfig,
    run_name,
)
from tfpipe.training.optimizers import OPTIMIZERS
from tfpipe.training.record_checks import check_records as check_run
from tfpipe.training.run_folder import RunRecord
from tfpipe.training.schedules import SCHEDULES

EXPERIMENT = (("rmsprop", 1e-4), ("adam", 1e-4), ("sgd", 1e-4), ("adam", 1e-3))
"""The experiment's four runs: optimizer and learning rate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(Group):
    """Which runs are compared; none named: the experiment's four."""

    optimizers: tuple[str, ...] = setting(
        (), "Optimizers of a grid, separated by commas.", front=True
    )
    learning_rates: tuple[str, ...] = setting(
        (), "Learning rates of a grid, separated by commas.", front=True
    )
    run: tuple[str, ...] = setting(
        (),
        "One more run: its optimizer, then any settings and arguments of optimizer and "
        'schedule, "adam,learning_rate=1e-3,beta_2=0.99".',
        front=True,
        repeated=True,
    )
    replicates: int = setting(
        1, "Seeds a configuration: seed, seed + 1, and so on.", minimum=1, front=True
    )
    baseline_run: str = setting(
        "",
        'The configuration that others are compared with, as tables name it: "adam '
        '1e-4"; empty: every pair.',
    )
    reason: str = setting(
        "", "Why the study is another one than runs_dir/study.json declared."
    )
    workers: str = setting(
        "auto",
        "Runs that train at the same time, each with its part of cores and memory; "
        "auto: one for each GPU, else one.",
        front=True,
    )
    dry_run: bool = setting(
        False, "Print the runs and their commands, and train nothing.", front=True
    )

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        super().__post_init__()
        workers = self.workers
        if workers != "auto" and not (workers.isdecimal() and int(workers) > 0):
            raise ValueError(
                f"workers must be auto or a whole number of at least 1, got {workers!r}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyStopping(StoppingConfig):
    """When runs end before their last epoch: never, unless asked for.

    Runs that end at other steps are no comparison of the same budget.
    """

    early_stopping: str = setting(
        "off",
        "off: all runs get the same budget; or Keras's EarlyStopping, or keras2.",
        choices=("keras", "keras2", "off"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """The runs of a comparison, and the settings that all of them share."""

    study: StudyConfig = dataclasses.field(default_factory=StudyConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    stopping: StudyStopping = dataclasses.field(default_factory=StudyStopping)
    run: RunSettings = dataclasses.field(default_factory=RunSettings)


def plan_runs(config: CompareConfig) -> list[RunConfig]:
    """Return every run of a comparison, replicate by replicate.

    All of a replicate share their seed, so that they start from the same weights and
    see the same order.

    Raises:
        ValueError: for a setting that no run can have or that no run would heed, and
            for two runs that would write one folder.
    """
    _refuse_unheeded(config)
    own = [field.name for field in dataclasses.fields(StudyConfig)]
    shared = {k: v for k, v in settings.flatten(config).items() if k not in own}
    configurations = [RunConfig.of(**{**shared, **c}) for c in _changes(config)]
    runs = [
        configuration.replace(seed=configuration.run.seed + replicate)
        for replicate in range(config.study.replicates)
        for configuration in configurations
    ]
    names = [run_name(run) for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"runs must have a folder each, got {name} twice; leave one out"
            )
    return runs


def _refuse_unheeded(config: CompareConfig) -> None:
    """Refuse what a run of its own heeds and a comparison would override."""
    study, default = config.study, OptimizerConfig()
    if config.run.run_name:
        raise ValueError(
            f"run_name must be left out of a comparison, got {config.run.run_name!r}; "
            "each run is named by its settings"
        )
    names_runs = bool(study.optimizers or study.learning_rates or study.run)
    optimizer = config.optimizer.optimizer
    heeds_optimizer = study.learning_rates and not study.optimizers
    if optimizer != default.optimizer and not heeds_optimizer:
        raise ValueError(
            f"optimizer must be left out of this comparison, got {optimizer!r}; "
            f"say --optimizers={optimizer}"
        )
    rate = config.optimizer.learning_rate
    if rate != default.learning_rate and (study.learning_rates or not names_runs):
        raise ValueError(
            f"learning_rate must be left out of this comparison, got {rate}; "
            f"say --learning_rates={rate}"
        )


def _changes(config: CompareConfig) -> list[dict[str, Any]]:
    """Return what each configuration changes in the shared settings, by flat name."""
    study = config.study
    if not (study.optimizers or study.learning_rates or study.run):
        return [{"optimizer": name, "learning_rate": rate} for name, rate in EXPERIMENT]
    changes: list[dict[str, Any]] = []
    if study.optimizers or study.learning_rates:
        rates: list[float] = [
            settings.parse_value(text, float, "learning_rates")
            for text in study.learning_rates
        ]
        changes += [
            {"optimizer": name, "learning_rate": rate}
            for name in study.optimizers or (config.optimizer.optimizer,)
            for rate in rates or [config.optimizer.learning_rate]
        ]
    return changes + [_parse_run(text) for text in study.run]


def _parse_run(text: str) -> dict[str, Any]:
    """Read "adam,learning_rate=1e-3" into settings by flat name."""
    kinds = {field.name: kind for _, field, kind in settings.settings_of(RunConfig)}
    optimizer, *words = (word.strip() for word in text.split(","))
    if not optimizer or "=" in optimizer:
        raise ValueError(
            f"run must begin with an optimizer's name, got {text!r}; "
            'say it as --run="adam,learning_rate=1e-3"'
        )
    values: dict[str, Any] = {"optimizer": optimizer}
    given = dict(word.partition("=")[::2] for word in words)
    rule = OptimizerConfig(optimizer=optimizer).optimizer  # refuses other names
    schedule = SCHEDULES.get(given.get("schedule", ""))
    for word in words:
        name, equals, value = word.partition("=")
        is_setting = name in kinds and name not in ("runs_dir", "run_name")
        is_of_schedule = schedule is not None and name in schedule.arguments
        if is_setting and is_of_schedule:
            raise ValueError(
                f"run {text!r} must say whose {name} it means, early stopping's and "
                f"the schedule's are called so; say schedule_args={word}, or share "
                f"--{name} among all runs"
            )
        if name in values:
            raise ValueError(f"run {text!r} must have {name} once, got it twice")
        if equals and is_setting and typing.get_origin(kinds[name]) is tuple:
            values[name] = tuple(value.split("+"))
        elif equals and is_setting:
            values[name] = settings.parse_value(value, kinds[name], name)
        elif equals and is_of_schedule:
            values.setdefault("schedule_args", ())
            values["schedule_args"] += (word,)
        elif equals and (is_own(rule) or name in OPTIMIZERS[rule].arguments):
            values.setdefault("optimizer_args", ())
            values["optimizer_args"] += (word,)
        else:
            known = [
                *kinds,
                *(OPTIMIZERS[rule].arguments if rule in OPTIMIZERS else ()),
            ]
            raise ValueError(
                f"run {text!r} must have settings of a run, or arguments of its "
                f"optimizer or schedule, as name=value behind its optimizer, got "
                f"{word!r}{settings.did_you_mean(name, known)}"
            )
    return values


def find_finished(run: RunConfig) -> RunRecord | None:
    """Return a run that has nothing left to train, else None.

    Raises:
        ValueError: where its folder holds a run of other settings.
    """
    record = run_folder.find_run(run)
    return record if record and record.is_finished(run.run.epochs) else None


def check_records(runs: Sequence[RunConfig]) -> None:
    """Refuse to start where a run can't be trained on its records.

    Raises:
        ValueError: for a folder of records that is absent, half-written, too new, or
            too small for the run.
    """
    for run in runs:
        check_run(run, manifest.read_manifest(run.data.records_dir))


def dataset_fingerprint(runs: Sequence[RunConfig]) -> str:
    """Return the fingerprint of the records of a study.

    Where they are gone since, it is what its runs say.
    """
    try:
        return manifest.read_manifest(runs[0].data.records_dir).fingerprint
    except ValueError:
        records = filter(None, map(find_finished, runs))
        return next((str(r.facts["dataset_fingerprint"]) for r in records), "")
