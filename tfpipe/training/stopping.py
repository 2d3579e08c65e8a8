"""Early stopping and reducing on plateau: callbacks, and their state."""

import math
from typing import Any

import keras

from tfpipe.training import schedules
from tfpipe.training.config import OptimizerConfig, StoppingConfig
from tfpipe.training.keras2 import EarlyStoppingKeras2
from tfpipe.training.measure import metric_name

STATE = ("wait", "stopped_epoch", "best", "best_epoch", "cooldown_counter")


def build_early_stopping(config: StoppingConfig) -> Any:
    """Return the callback of the rule, or None where it is off."""
    if config.early_stopping == "off":
        return None
    monitor = metric_name(config.monitor)
    kind = keras.callbacks.EarlyStopping
    if config.early_stopping == "keras2":
        kind = EarlyStoppingKeras2
    return kind(
        monitor=monitor,
        baseline=config.baseline,
        patience=config.patience,
        mode=_mode(monitor),
    )


def build_plateau(config: OptimizerConfig) -> Any:
    """Return Keras's ReduceLROnPlateau, or None for another schedule."""
    if config.schedule != "plateau":
        return None
    given = schedules.parse_args("plateau", config.schedule_args)
    monitor = metric_name(given.pop("monitor", "val_loss"))
    return keras.callbacks.ReduceLROnPlateau(
        monitor=monitor, mode=_mode(monitor), **given
    )


def _mode(monitor: str) -> str:
    return "min" if monitor.endswith("loss") else "max"


def get_state(callback: Any) -> dict[str, Any]:
    """Return a callback's counters as JSON values; {} for None."""
    values = {name: getattr(callback, name, None) for name in STATE}
    # A best that isn't finite is none yet, as it is at the beginning.
    return {
        name: value
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }


def set_state(callback: Any, state: dict[str, Any]) -> None:
    """Put the counters back that `get_state` returned.

    A rule that couldn't act, and was left out since, has nobody to take them.
    """
    if callback is None:
        return
    for name, value in state.items():
        setattr(callback, name, value)
