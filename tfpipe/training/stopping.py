"""Early stopping: Keras's callback and its state."""

from typing import Any

import keras

from tfpipe.training.config import StoppingConfig

KERAS1_NAMES = {"val_acc": "val_accuracy", "acc": "accuracy"}
STATE = ("wait", "stopped_epoch", "best", "best_epoch")


def build_early_stopping(config: StoppingConfig) -> Any:
    """Return Keras's EarlyStopping, or None where it is off."""
    if config.early_stopping == "off":
        return None
    monitor = KERAS1_NAMES.get(config.monitor, config.monitor)
    return keras.callbacks.EarlyStopping(
        monitor=monitor,
        baseline=config.baseline,
        patience=config.patience,
        mode="max" if monitor.endswith("accuracy") else "min",
    )


def get_state(stopping: Any) -> dict[str, Any]:
    """Return the callback's counters as JSON values."""
    return {name: getattr(stopping, name) for name in STATE} if stopping else {}


def set_state(stopping: Any, state: dict[str, Any]) -> None:
    """Put the counters back that `get_state` returned."""
    for name, value in state.items():
        setattr(stopping, name, value)
