"""What Keras 2 meant: its RMSprop and its EarlyStopping, for Keras 3."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("tfpipe")
class RMSpropKeras2(keras.optimizers.RMSprop):  # type: ignore[misc]  # Keras is Any
    """RMSprop as in Keras 2.3 and before: epsilon outside the root.

    v <- rho v + (1 - rho) g^2;  w <- w - rate g / (sqrt(v) + epsilon)

    Keras 3 divides by sqrt(v + epsilon), which shortens the steps of weights whose
    gradients are below sqrt(epsilon) = 3e-4. Momentum and centering, which Keras 2's
    rule had not, are refused. Source: `keras/optimizers.py` of Keras 2.3.1.
    """

    def __init__(self, learning_rate: Any = 0.001, **arguments: Any) -> None:
        if arguments.get("momentum") or arguments.get("centered"):
            raise ValueError(
                "momentum and centered of rmsprop_keras2 must be unset, got "
                f"{arguments}; use rmsprop for them"
            )
        super().__init__(learning_rate=learning_rate, **arguments)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Apply one step to one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        velocity = self._velocities[self._get_variable_index(variable)]
        mean_square = ops.add(
            ops.multiply(velocity, self.rho),
            ops.multiply(ops.square(gradient), 1 - self.rho),
        )
        self.assign(velocity, mean_square)
        step = ops.divide(
            ops.multiply(rate, gradient), ops.add(ops.sqrt(mean_square), self.epsilon)
        )
        self.assign_sub(variable, step)


class EarlyStoppingKeras2(keras.callbacks.Callback):  # type: ignore[misc]
    """EarlyStopping as in Keras 2.3 and before: the best starts at the baseline.

    Each epoch that doesn't beat the best so far, be it better than the one before,
    counts; after `patience` of them in a row training ends. Source:
    `keras/callbacks.py` of Keras 2.3.1.

    Args:
        monitor: the metric.
        baseline: what the first best is.
        patience: epochs.
        mode: "max" where more is better, or "min".
    """

    def __init__(self, monitor: str, baseline: float, patience: int, mode: str) -> None:
        super().__init__()
        self.monitor, self.baseline = monitor, baseline
        self.patience, self.sign = patience, 1 if mode == "max" else -1
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin to count."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = self.baseline

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Count an epoch, 0-based, and stop training where it was the last straw."""
        current = float(logs[self.monitor])
        if self.sign * current > self.sign * self.best:
            self.best, self.best_epoch, self.wait = current, epoch, 0
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True
