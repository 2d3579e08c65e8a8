"""Early stopping: Keras's callback, its state, and whether it can act at all."""

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


def describe_early_stopping(config: StoppingConfig, epochs: int) -> str:
    """Say in one line what early stopping can do in a run of `epochs`."""
    if config.early_stopping == "off":
        return "off"
    rule = (
        f"Keras's, on {config.monitor} with baseline {config.baseline:g} and "
        f"patience {config.patience}"
    )
    # Keras waits `patience` epochs and never stops after the first.
    if max(config.patience, 1) >= epochs:
        return f"{rule}; it cannot stop a run of {epochs} epoch{'s' * (epochs > 1)}"
    return rule


def get_state(stopping: Any) -> dict[str, Any]:
    """Return the callback's counters as JSON values."""
    return {name: getattr(stopping, name) for name in STATE} if stopping else {}


def set_state(stopping: Any, state: dict[str, Any]) -> None:
    """Put the counters back that `get_state` returned."""
    for name, value in state.items():
        setattr(stopping, name, value)
