"""Which runs a comparison is made of."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from tfpipe.base import settings
from tfpipe.base.settings import setting
from tfpipe.comparison import grid, study_file, tuning
from tfpipe.comparison.grid import Change
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
)
from tfpipe.training.naming import run_name
from tfpipe.training.optimizers import OPTIMIZERS
from tfpipe.training.record_checks import check_records as check_run
from tfpipe.training.run_folder import RunRecord

EXPERIMENT = (("rmsprop", 1e-4), ("adam", 1e-4), ("sgd", 1e-4), ("adam", 1e-3))
"""The experiment's four runs: optimizer and learning rate."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyConfig(Group):
    """Which runs are compared; none named: the experiment's four."""

    optimizers: tuple[str, ...] = setting(
        (), "Optimizers of a grid, separated by commas.", front=True
    )
    learning_rates: tuple[str, ...] = setting(
        (),
        "Learning rates of a grid, separated by commas; auto: five around each "
        "optimizer's own centre, and more where the best lies on an edge.",
        front=True,
    )
    run: tuple[str, ...] = setting(
        (),
        "One more run: its optimizer, then any settings and arguments of optimizer and "
        'schedule, "adam,learning_rate=1e-3,beta_2=0.99".',
        front=True,
        repeated=True,
    )
    study: str = setting(
        "",
        "A JSON file with more runs: a list of objects of settings, lists of values "
        "in all combinations. README shows one.",
        front=True,
    )
    replicates: int = setting(
        1, "Seeds a configuration: seed, seed + 1, and so on.", minimum=1, front=True
    )
    tune: bool = setting(
        False,
        "Train every rate once, then each optimizer's best with --replicates fresh "
        "seeds, which alone are compared.",
        front=True,
    )
    vary_split: bool = setting(
        False,
        "Replicates draw another split, too: split_seed, split_seed + 1, and so on, "
        "with the records' own share for validation unless --validation_split says "
        "another.",
    )
    baseline_run: str = setting(
        "",
        'The configuration that others are compared with, as tables name it: "adam '
        '1e-4", or "best of adam" where rates are searched; empty: every pair.',
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
    pictures: int = setting(
        20,
        "Pictures of each kind in the report: those that configurations disagree on, "
        "those whose label is suspect; 0: none.",
        minimum=0,
    )
    dry_run: bool = setting(
        False,
        "Print the runs, their commands and how long they take, and train none of "
        "them; where no run of the study tells the time, a few steps are timed.",
        front=True,
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


@dataclasses.dataclass(frozen=True)
class Point:
    """A configuration as it was asked for, with the study's seed.

    Attributes:
        config: as a run.
        is_auto: whether its rate is one that a search starts with.
    """

    config: RunConfig
    is_auto: bool = False


def plan_points(config: CompareConfig) -> list[Point]:
    """Return what is asked for: every configuration once.

    Raises:
        ValueError: for a setting that no run can have or that no run would heed, and
            for two runs that would write one folder.
    """
    study = config.study
    changes = grid.read_changes(study.optimizers, study.learning_rates, study.run)
    if study.study:
        changes += study_file.read_file(study.study)
    changes = changes or [
        Change({"optimizer": name, "learning_rate": rate}) for name, rate in EXPERIMENT
    ]
    _refuse_unheeded(config, changes)
    own = [field.name for field in dataclasses.fields(StudyConfig)]
    shared = {k: v for k, v in settings.flatten(config).items() if k not in own}
    points = []
    for change in changes:
        try:
            points += _points(shared, change.values)
        except ValueError as error:
            if not change.origin:
                raise
            raise ValueError(f"{change.origin}: {error}") from None
    names = [run_name(point.config) for point in points]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"runs must have a folder each, got {name} twice; leave one out: "
                "epochs, and what changes no number, are no part of a run's name"
            )
    return points


def _points(shared: dict[str, Any], change: dict[str, Any]) -> list[Point]:
    """Return the one configuration of a change, or those that a search starts with."""
    if change.get("learning_rate") != grid.AUTO:
        return [Point(RunConfig.of(**{**shared, **change}))]
    # That of the run: faithful to the notebook, rmsprop is another one.
    config = RunConfig.of(**{**shared, **change, "learning_rate": 1.0})
    name = config.optimizer.optimizer
    if is_own(name):
        raise ValueError(
            f"learning rates of {name} must be given, got auto; only optimizers of the "
            "table have a centre to search around"
        )
    rates = tuning.around(OPTIMIZERS[name].centre).rates
    return [Point(config.replace(learning_rate=rate), is_auto=True) for rate in rates]


def replicate(
    configurations: Sequence[RunConfig], replicates: Iterable[int], vary_split: bool
) -> list[RunConfig]:
    """Return the runs of some replicates, replicate by replicate.

    All of a replicate share their seed, so that they start from the same weights and
    see the same order; with `vary_split` they share another split, too.
    """
    return [
        config.replace(
            seed=config.run.seed + number,
            split_seed=config.data.split_seed + number * vary_split,
        )
        for number in replicates
        for config in configurations
    ]


def _refuse_unheeded(config: CompareConfig, changes: Sequence[Change]) -> None:
    """Refuse what a run of its own heeds and a comparison would override."""
    study, default = config.study, OptimizerConfig()
    if config.run.run_name:
        raise ValueError(
            f"run_name must be left out of a comparison, got {config.run.run_name!r}; "
            "each run is named by its settings"
        )
    for name in ("optimizer", "learning_rate"):
        value = getattr(config.optimizer, name)
        is_heeded = any(name not in change.values for change in changes)
        if value != getattr(default, name) and not is_heeded:
            raise ValueError(
                f"{name} must be left out of this comparison, got {value!r}; "
                f"say --{name}s={value}"
            )
    if study.vary_split and study.replicates == 1 and not study.tune:
        raise ValueError(
            "vary_split must have replicates to vary, got 1; give --replicates=5"
        )
    for change in changes if study.vary_split else ():
        if "split_seed" in change.values:
            raise ValueError(
                "split_seed must be the same for all configurations with vary_split, "
                f"got one of {change.values['split_seed']}; leave one of them out"
            )


def find_finished(run: RunConfig) -> RunRecord | None:
    """Return a run that has nothing left to train, else None.

    Of what can't be read nothing is known: its trainer will refuse it, and say why.

    Raises:
        ValueError: where its folder holds a run of other settings.
    """
    try:
        record = run_folder.find_run(run)
    except run_folder.UnreadableRunError:
        return None
    return record if record and record.is_finished(run.run.epochs) else None


def why_unreadable(run: RunConfig) -> str:
    """Return why a run's folder can't be gone on with, "" where nothing is wrong."""
    try:
        run_folder.find_run(run)
    except run_folder.UnreadableRunError as error:
        return str(error)
    return ""


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
