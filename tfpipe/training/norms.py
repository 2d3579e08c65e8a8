"""Norms of a step: gradient, update and weights."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

EVERY = {"economy": 20, "full": 1, "hessian": 1}
"""Steps from one measured step to the next."""
# Gradients of at most so many elements are looked at in every step: they cost nothing,
# and what isn't finite in a layer's output shows in its bias, scale or offset.
SMALL = 4096


class Norms:
    """Measure the steps of an optimizer, which is built.

    The gradient's norm is taken inside the compiled step, before any clipping; update
    and weights are compared behind it. All are Euclidean norms over all trainable
    weights.

    Args:
        optimizer: a Keras optimizer; its `apply` is wrapped.
        weights: the model's trainable variables.

    Attributes:
        last_update: what the last measured step changed, an array a weight; the next
            measured step writes over it.
    """

    def __init__(self, optimizer: Any, weights: list[Any]) -> None:
        self._weights = weights
        self._before: list[Any] | None = None
        self._room: list[Any] = []
        self.last_update: list[Any] | None = None
        self._is_measured, self._found = (
            optimizer.add_variable(shape=shape, initializer="zeros", name=name)
            for name, shape in (("is_measured", ()), ("gradient_norms", (2,)))
        )
        apply = optimizer.apply

        def measured_apply(grads: Any, trainable_variables: Any = None) -> Any:
            self._look(list(grads))
            return apply(grads, trainable_variables)

        optimizer.apply = measured_apply

    @property
    def variables(self) -> list[Any]:
        """What the optimizer holds for this alone: no part of a run's state."""
        return [self._is_measured, self._found]

    def _look(self, gradients: list[Any]) -> None:
        present = [ops.convert_to_tensor(g) for g in gradients if g is not None]
        small = [g for g in present if math.prod(g.shape) <= SMALL]
        whole = ops.cond(
            self._is_measured > 0,
            lambda: _square_sum(present),
            lambda: ops.zeros((), "float32"),
        )
        self._found.assign(ops.stack([_square_sum(small), whole]))

    def begin_step(self, *, is_measured: bool) -> None:
        """Say before a step whether it is one to be measured."""
        was_measured, self._before = self._before is not None, None
        if is_measured:
            # Into the same memory each time: fresh pages take longer than the copy.
            values = _values(self._weights)
            self._room = self._room or [np.empty_like(value) for value in values]
            for room, value in zip(self._room, values, strict=True):
                np.copyto(room, value)
            self._before = self._room
        if is_measured != was_measured:
            self._is_measured.assign(1.0 if is_measured else 0.0)

    def end_step(self) -> tuple[bool, dict[str, float]]:
        """Return whether the gradient was finite, and the norms of a measured step.

        They are grad_norm, update_norm and weight_norm; {} for another step.
        """
        small, whole = np.sqrt(ops.convert_to_numpy(self._found).astype(np.float64))
        is_finite = bool(np.isfinite(small) and np.isfinite(whole))
        if self._before is None:
            return is_finite, {}
        now = _values(self._weights)
        for old, new in zip(self._before, now, strict=True):
            np.subtract(new, old, out=old)
        self.last_update = self._before
        return is_finite, {
            "grad_norm": float(whole),
            "update_norm": norm(self._before),
            "weight_norm": norm(now),
        }


def _square_sum(tensors: list[Any]) -> Any:
    if not tensors:
        return ops.zeros((), "float32")
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # has it in one pass, without a copy of squares

        return 2 * tf.add_n([tf.nn.l2_loss(ops.cast(t, "float32")) for t in tensors])
    return sum(ops.sum(ops.square(ops.cast(t, "float32"))) for t in tensors)


def _values(weights: list[Any]) -> list[Any]:
    return [ops.convert_to_numpy(weight) for weight in weights]


def norm(arrays: list[Any]) -> float:
    """Return the Euclidean norm over all elements of all arrays."""
    flat = (np.ravel(array) for array in arrays)
    return math.sqrt(math.fsum(float(np.vdot(a, a)) for a in flat))
