"""What one run is: every setting, its checks, its name, its identity."""

import dataclasses
import re
from pathlib import Path
from typing import Any

from tfpipe.base import settings
from tfpipe.base.settings import setting
from tfpipe.data.manifest import Manifest
from tfpipe.data.streaming.choices import AUGMENTATIONS, CACHES, FETCHES, RESIZES
from tfpipe.training import catalog

MAX_NAME_LENGTH = 120


class Group:
    """A group of settings that checks itself."""

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        settings.check_settings(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Group):
    """Which pictures a run sees, and how."""

    records_dir: str = setting(
        "records", "Folder of records.", front=True, identity=False
    )
    image_size: int = setting(
        224, "Side of the square input, in pixels.", minimum=8, front=True
    )
    batch_size: int = setting(32, "Pictures a step.", minimum=1, front=True)
    resize: str = setting(
        "area",
        "How pictures are resized: exact area, antialiased bilinear, or bilinear "
        "without antialias.",
        choices=RESIZES,
    )
    augment: tuple[str, ...] = setting(
        (),
        "What is done to train pictures, other in every epoch, the same for every "
        "optimizer: crop, flip, rotate, color; empty: nothing.",
        choices=AUGMENTATIONS,
    )
    train_examples: int = setting(
        0, "Train on this many pictures, class shares kept; 0: all.", minimum=0
    )
    validation_split: float = setting(
        0.0,
        "Another fraction for validation than the records were written with; 0: that.",
        minimum=0,
        maximum=0.9,
    )
    split_seed: int = setting(
        0,
        "Put other pictures into validation, shares and groups kept; 0: as written.",
        minimum=0,
    )
    fetch: str = setting(
        "auto",
        "Where encoded pictures are fetched from; auto: memory if they fit in a "
        "quarter of it.",
        choices=FETCHES,
        identity=False,
    )
    cache: str = setting(
        "auto",
        "Keep decoded pictures in memory, shared by the runs of this machine; auto: if "
        "they fit in half of it. (On disk: make_records --encoding=raw.)",
        choices=CACHES,
        identity=False,
    )

    def __post_init__(self) -> None:
        """Refuse wrong values; put kinds of augmentation into their one order."""
        super().__post_init__()
        kinds = tuple(kind for kind in AUGMENTATIONS if kind in self.augment)
        object.__setattr__(self, "augment", kinds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Group):
    """The model and its arithmetic."""

    model: str = setting(
        "vgg16",
        "vgg16, resnet50, mobilenetv2, any other keras.applications name, small_cnn, "
        "or your own package.module:function of (image shape, number of classes).",
        front=True,
    )
    weights: str = setting(
        "none", "Initial weights: none (from scratch), imagenet, or a file."
    )
    precision: str = setting(
        "auto",
        "auto: mixed_bfloat16 where hardware and model gain by it, else float32.",
        choices=("auto", "float32", "mixed_bfloat16"),
    )

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        super().__post_init__()
        catalog.check_model(self.model)
        if self.weights == "imagenet" and self.model not in catalog.APPLICATIONS:
            raise ValueError(
                "weights must be none or a file for a model that isn't of "
                f"keras.applications, got imagenet for {self.model}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Group):
    """The optimizer and its learning rate."""

    optimizer: str = setting(
        "rmsprop",
        "An optimizer by Keras's name, rmsprop_keras2 (Keras 2's rule), or your own "
        "package.module:Class.",
        front=True,
    )
    learning_rate: float = setting(1e-4, "Learning rate at step 0.", front=True)
    decay: float = setting(
        1e-6,
        "Keras 2's decay: the rate at step t is learning_rate / (1 + decay * t).",
        minimum=0,
    )

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        super().__post_init__()
        catalog.check_optimizer(self.optimizer)
        if self.learning_rate <= 0:
            raise ValueError(
                f"learning_rate must be a number above 0, got {self.learning_rate}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoppingConfig(Group):
    """When a run ends before its last epoch."""

    early_stopping: str = setting(
        "keras", "Keras's EarlyStopping, or off.", choices=("keras", "off")
    )
    monitor: str = setting(
        "val_accuracy",
        "The metric that EarlyStopping watches.",
        choices=(
            "val_accuracy",
            "val_loss",
            "accuracy",
            "loss",
            "val_acc",
            "acc",
        ),
    )
    baseline: float = setting(0.9, "EarlyStopping's baseline.")
    patience: int = setting(30, "EarlyStopping's patience, in epochs.", minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(Group):
    """How long, from which seed, and where to."""

    epochs: int = setting(
        5,
        "Epochs in all; a finished run goes on when it grows.",
        minimum=1,
        front=True,
        identity=False,
    )
    max_steps: int = setting(
        0, "Stop after this many steps; 0: the whole run.", minimum=0
    )
    seed: int = setting(
        0,
        "Root of initial weights, order and dropout.",
        minimum=0,
        front=True,
        identity=False,
    )
    runs_dir: str = setting("runs", "Folder of run folders.", identity=False)
    run_name: str = setting(
        "",
        "Folder of this run below runs_dir; empty: named by its settings.",
        identity=False,
    )
    checkpoint_minutes: float = setting(
        10.0,
        "Minutes between checkpoints inside an epoch; 0: at epochs only.",
        minimum=0,
        identity=False,
    )
    overwrite: bool = setting(
        False, "Start again in a folder that holds this or another run.", identity=False
    )

    def __post_init__(self) -> None:
        """Refuse wrong values."""
        super().__post_init__()
        if self.run_name in (".", "..") or "/" in self.run_name:
            raise ValueError(
                f"run_name must be the name of one folder, got {self.run_name!r}; "
                "give its parent as runs_dir"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that one training is made of; made flat with `RunConfig.of`."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    stopping: StoppingConfig = dataclasses.field(default_factory=StoppingConfig)
    run: RunSettings = dataclasses.field(default_factory=RunSettings)

    @classmethod
    def of(cls, **values: Any) -> "RunConfig":
        """Return a config from flat names: `RunConfig.of(optimizer="adam", epochs=3)`.

        Raises:
            ValueError: for a name that is no setting or a value it can't have.
        """
        config: RunConfig = settings.build_config(cls, values)
        return config

    def replace(self, **values: Any) -> "RunConfig":
        """Return a copy with some settings changed, by flat name."""
        return RunConfig.of(**{**settings.flatten(self), **values})


def to_json(config: RunConfig) -> dict[str, Any]:
    """Return the settings as nested groups of JSON values."""
    return dataclasses.asdict(config)


def from_json(groups: dict[str, dict[str, Any]]) -> RunConfig:
    """Return the config that `to_json` wrote."""
    return RunConfig.of(**{name: v for g in groups.values() for name, v in g.items()})


def identity(config: RunConfig) -> dict[str, Any]:
    """Return the settings that change numbers, without epochs and seed."""
    values = in_words(config)
    return {
        field.name: values[field.name]
        for _, field, _ in settings.settings_of(RunConfig)
        if field.metadata["identity"]
    }


def in_words(config: RunConfig) -> dict[str, Any]:
    """Return all settings by flat name, a list as one word: "crop+flip" or "none"."""
    return {
        name: "+".join(value) or "none" if isinstance(value, list) else value
        for name, value in settings.flatten(config).items()
    }


def run_name(config: RunConfig) -> str:
    """Return the name of the run's folder below runs_dir.

    `<optimizer>-lr<rate>[-<field><value> of each non-default field]-s<seed>`, unless
    the config names it.
    """
    if config.run.run_name:
        return config.run.run_name
    default = identity(RunConfig())
    values = identity(config)
    parts = [values.pop("optimizer"), f"lr{values.pop('learning_rate'):g}"]
    values["weights"] = Path(values["weights"]).name
    for name, value in values.items():
        if value != default[name]:
            parts.append(
                f"{name}{value:g}" if type(value) is float else f"{name}{value}"
            )
    parts.append(f"s{config.run.seed}")
    name = re.sub(r"[^A-Za-z0-9._+=-]", "_", "-".join(parts))
    if len(name) > MAX_NAME_LENGTH:
        raise ValueError(
            f"default run name must have at most {MAX_NAME_LENGTH} characters, got "
            f"{name!r}; name the run with --run_name"
        )
    return name


def check_records(config: RunConfig, manifest: Manifest) -> None:
    """Refuse records that a run can't be trained on, and files that aren't there.

    Raises:
        ValueError: naming what is missing.
    """
    for name in (config.model.model, config.optimizer.optimizer):
        if catalog.is_own(name):
            catalog.own_code_sha256(name)
    weights = config.model.weights
    if weights not in ("none", "imagenet") and not Path(weights).is_file():
        raise ValueError(
            f"weights must be none, imagenet or a file, got {weights!r}, which is "
            "absent; name a .keras or .weights.h5 file"
        )
    if config.data.validation_split or config.data.split_seed:
        return  # the splits are made when the records are opened
    sizes = manifest.split_sizes
    for split in ("train", "validation"):
        if not sizes.get(split):
            raise ValueError(
                f"{split} split of {manifest.records_dir} must hold pictures, got "
                "none; make records with another --validation_split"
            )
    if config.data.train_examples > sizes["train"]:
        raise ValueError(
            f"train_examples must be at most {sizes['train']:,}, which the train split "
            f"holds, got {config.data.train_examples:,}"
        )
