"""What one run is: every setting, and its checks."""

import dataclasses
from typing import Any

from tfpipe.base import settings
from tfpipe.base.settings import setting
from tfpipe.data.streaming.choices import (
    AUGMENTATIONS,
    CACHES,
    FETCHES,
    MOST_VALIDATION,
    RESIZES,
)
from tfpipe.training import catalog, optimizers, schedules
from tfpipe.training.measure import MONITORS

DEFAULT_DECAY = 1e-6  # the experiment's
SIDE = 224  # the experiment's


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
        maximum=MOST_VALIDATION,
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
        "they fit in an eighth of it; memory: in half. (On disk: make_records "
        "--encoding=raw.)",
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
    learning_rate: float = setting(
        1e-4, "Learning rate, before what schedule makes of it.", front=True
    )
    optimizer_args: tuple[str, ...] = setting(
        (),
        "The optimizer's other arguments by Keras's names: beta_2=0.99,epsilon=1e-5; "
        "any takes weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema and "
        "gradient_accumulation_steps.",
    )
    schedule: str = setting(
        schedules.DEFAULT,
        "How the learning rate changes, update by update.",
        choices=schedules.SCHEDULES,
    )
    schedule_args: tuple[str, ...] = setting(
        (),
        "Its arguments by Keras's names, steps in updates: "
        "decay_steps=2930,alpha=0.1. README lists them.",
    )
    decay: float = setting(
        DEFAULT_DECAY,
        "Keras 2's decay: the rate at step t is learning_rate / (1 + decay * t).",
        minimum=0,
    )
    class_weight: str = setting(
        "none",
        "balanced: a picture's loss counts pictures / (classes x pictures of its "
        "class), so that all classes weigh the same.",
        choices=("none", "balanced"),
    )

    def __post_init__(self) -> None:
        """Refuse wrong values; arguments are checked with the whole run."""
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
        "keras",
        "Keras's EarlyStopping, keras2 (Keras 2's: the best starts at the baseline), "
        "or off.",
        choices=("keras", "keras2", "off"),
    )
    monitor: str = setting(
        "val_accuracy", "The metric that EarlyStopping watches.", choices=MONITORS
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
    determinism: str = setting(
        "seeded",
        "seeded: everything drawn from the seed; strict: operations, too, the same bit "
        "for bit on a GPU, slower; off: seeded, and the backend may compile steps its "
        "own way.",
        choices=("off", "seeded", "strict"),
    )
    diagnostics: str = setting(
        "economy",
        "economy: norms of gradient, update and weights at every 20th step; full: at "
        "every step, and gradient noise and curvature at every full evaluation; "
        "hessian: its extreme eigenvalues, too, for some hundred steps' time each.",
        choices=("economy", "full", "hessian"),
        identity=False,
    )
    keep: tuple[str, ...] = setting(
        ("best", "last"),
        "Models to keep: that of the best val_accuracy, that of the end.",
        choices=("best", "last", "none"),
        identity=False,
    )
    faithful: bool = setting(
        False,
        "As the experiment's notebook: Keras 2's RMSprop and early stopping, float32, "
        "records of nearest pixels at 224.",
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
        if "none" in self.keep and len(self.keep) > 1:
            raise ValueError(
                f"keep must be none or models, got {','.join(self.keep)}; leave one out"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that one training is made of; made flat with `RunConfig.of`.

    With `run.faithful` the settings are the notebook's where they differ from those
    of today.
    """

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    stopping: StoppingConfig = dataclasses.field(default_factory=StoppingConfig)
    run: RunSettings = dataclasses.field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        """Refuse what doesn't fit together; be faithful where that was asked."""
        _check_rule(self.optimizer)
        if not self.run.faithful:
            return
        for name, value, notebooks in (
            ("precision", self.model.precision, ("auto", "float32")),
            ("image_size", self.data.image_size, (SIDE,)),
            ("augment", self.data.augment, ((),)),
            ("schedule", self.optimizer.schedule, (schedules.DEFAULT,)),
            ("decay", self.optimizer.decay, (DEFAULT_DECAY,)),
            ("class_weight", self.optimizer.class_weight, ("none",)),
        ):
            if value not in notebooks:
                raise ValueError(
                    f"{name} must be {notebooks[-1] or 'none'} in a faithful run, got "
                    f"{value}; leave it or --faithful out"
                )
        changes: dict[str, Any] = {
            "model": dataclasses.replace(self.model, precision="float32")
        }
        if self.optimizer.optimizer == "rmsprop":
            changes["optimizer"] = dataclasses.replace(
                self.optimizer, optimizer="rmsprop_keras2"
            )
        if self.stopping.early_stopping == "keras":
            changes["stopping"] = dataclasses.replace(
                self.stopping, early_stopping="keras2"
            )
        for name, value in changes.items():
            object.__setattr__(self, name, value)

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


def _check_rule(rule: OptimizerConfig) -> None:
    """Check the arguments of an optimizer and a schedule that go together.

    Raises:
        ValueError: for what one of them doesn't take.
    """
    schedules.parse_args(rule.schedule, rule.schedule_args)
    if rule.schedule != schedules.DEFAULT and rule.decay not in (0, DEFAULT_DECAY):
        raise ValueError(
            f"decay must be left out with schedule {rule.schedule}, got "
            f"{rule.decay:g}; it is that of {schedules.DEFAULT}"
        )
    if catalog.is_own(rule.optimizer):
        return
    optimizers.parse_args(rule.optimizer, rule.optimizer_args)


def to_json(config: RunConfig) -> dict[str, Any]:
    """Return the settings as nested groups of JSON values."""
    return dataclasses.asdict(config)


def from_json(groups: dict[str, dict[str, Any]]) -> RunConfig:
    """Return the config that `to_json` wrote."""
    return RunConfig.of(**{name: v for g in groups.values() for name, v in g.items()})


def can_stop(config: RunConfig) -> bool:
    """Tell whether early stopping can end a run before its last epoch."""
    rule = config.stopping
    # Keras 3 counts the first epoch as a wait, too, but never stops after it.
    first = 1 if rule.early_stopping == "keras2" else 2
    is_on = rule.early_stopping != "off"
    return is_on and max(rule.patience, first) <= config.run.epochs
