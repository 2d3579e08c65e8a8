"""What Keras 2 meant: its RMSprop and its `decay`, for Keras 3."""

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


def decayed_rate(learning_rate: float, decay: float) -> Any:
    """Return Keras 2's decayed rate: learning_rate / (1 + decay t) at update t.

    Keras 3 ignores an optimizer's `decay`; its `InverseTimeDecay` with one step is
    the same formula.
    """
    if not decay:
        return learning_rate
    return keras.optimizers.schedules.InverseTimeDecay(
        learning_rate, decay_steps=1, decay_rate=decay
    )
