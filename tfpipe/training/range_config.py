"""What a learning rate range test tests. Keras isn't loaded."""

import dataclasses
import hashlib
import json
from pathlib import Path

from tfpipe.base import settings
from tfpipe.base.settings import setting
from tfpipe.training import run_folder
from tfpipe.training.config import (
    DataConfig,
    Group,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
)
from tfpipe.training.naming import identity
from tfpipe.training.optimizers import OPTIMIZERS

FOLDER = "find_lr"
"""Below runs_dir, where pictures of range tests go."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RangeSettings(Group):
    """Which rates, for how many steps, from where."""

    min_rate: float = setting(1e-7, "The first rate.", front=True)
    max_rate: float = setting(10.0, "The last rate, unless the loss grows.", front=True)
    steps: int = setting(100, "Steps, each at a larger rate.", minimum=20, front=True)
    from_run: str = setting(
        "",
        "A run folder: go on from its last checkpoint, with its settings; empty: from "
        "fresh weights.",
        front=True,
    )
    seed: int = setting(0, "Root of initial weights and order.", minimum=0)
    runs_dir: str = setting("runs", f"Folder whose {FOLDER} gets the picture.")

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        super().__post_init__()
        if not 0 < self.min_rate < self.max_rate:
            raise ValueError(
                f"max_rate must be above min_rate, and both above 0, got "
                f"{self.min_rate:g} to {self.max_rate:g}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FindConfig:
    """A learning rate range test."""

    range: RangeSettings = dataclasses.field(default_factory=RangeSettings)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        """Refuse what a range test sets itself, and own settings beside a run's."""
        default = OptimizerConfig()
        for name in ("learning_rate", "schedule", "schedule_args", "decay"):
            value = getattr(self.optimizer, name)
            if value != getattr(default, name):
                raise ValueError(
                    f"{name} must be left out of a range test, which sets the rate "
                    f"itself, got {value}"
                )
        if not self.range.from_run:
            return
        for group in ("data", "model", "optimizer"):
            mine = getattr(self, group)
            for field in dataclasses.fields(mine):
                value = getattr(mine, field.name)
                if field.metadata["identity"] and value != field.default:
                    raise ValueError(
                        f"{field.name} must be left out with from_run, whose settings "
                        f"are taken, got {value}"
                    )


def run_of(config: FindConfig) -> RunConfig:
    """Return the run that is tested, at a constant rate.

    Raises:
        ValueError: where `from_run` is no run.
    """
    if config.range.from_run:
        record = run_folder.read_run(Path(config.range.from_run))
        run = record.config
        data = dataclasses.replace(run.data, records_dir=_records_dir(config, run))
        run = dataclasses.replace(run, data=data)
    else:
        run = RunConfig.of(seed=config.range.seed, runs_dir=config.range.runs_dir)
        run = dataclasses.replace(
            run, data=config.data, model=config.model, optimizer=config.optimizer
        )
    return run.replace(
        schedule="constant",
        schedule_args=(),
        decay=0.0,
        faithful=False,
        overwrite=False,
    )


def _records_dir(config: FindConfig, run: RunConfig) -> str:
    asked, default = config.data.records_dir, DataConfig().records_dir
    return asked if asked != default else run.data.records_dir


def describe_start(config: FindConfig, run: RunConfig) -> str:
    """Return what is tested, for the picture and the terminal."""
    name = run.optimizer.optimizer
    where = config.range.from_run or "fresh weights"
    arguments = "".join(f" {text}" for text in run.optimizer.optimizer_args)
    size = run.data.image_size
    return f"{name}{arguments}, {run.model.model} at {size} px, from {where}"


def picture_path(config: FindConfig, run: RunConfig) -> Path:
    """Return where the picture goes; its numbers go beside it as JSON."""
    name = run.optimizer.optimizer.replace(":", "-")
    text = f"{name}-{run.model.model.replace(':', '-')}-{run.data.image_size}"
    if config.range.from_run:
        text += f"-{Path(config.range.from_run).resolve().name}"
    # Tests of other settings don't write over each other.
    tested = [identity(run), dataclasses.asdict(config.range)]
    digest = hashlib.sha256(json.dumps(tested, sort_keys=True).encode())
    name = f"{text[:80]}-{digest.hexdigest()[:8]}.png"
    return Path(_runs_dir(config)) / FOLDER / name


def _runs_dir(config: FindConfig) -> str:
    """Return the folder asked for, or that of the run that is tested."""
    asked, default = config.range.runs_dir, RangeSettings().runs_dir
    if config.range.from_run and asked == default:
        return str(Path(config.range.from_run).parent)
    return asked


def compare_flags(run: RunConfig, rates: list[str]) -> list[str]:
    """Return the flags of tfpipe.compare that train the tested settings at rates."""
    default = settings.flatten(RunConfig())
    # What a comparison sets itself, and what a range test did.
    own = (
        *("optimizer", "learning_rate", "schedule", "schedule_args", "decay"),
        *("run_name", "seed", "diagnostics", "early_stopping"),
    )
    plain = {name: default[name] for name in own}
    return [
        f"--optimizers={run.optimizer.optimizer}",
        f"--learning_rates={','.join(rates)}",
        *settings.to_flags(run.replace(**plain)),
    ]


def default_rate(run: RunConfig) -> float | None:
    """Return Keras's default rate for the optimizer, None for a person's own."""
    row = OPTIMIZERS.get(run.optimizer.optimizer)
    return row.default_rate if row else None
