"""Norms of a step: gradient, update and weights."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

EVERY = {"economy": 20, "full": 1, "hessian": 1}
"""Updates from one measured one to the next; the first is measured, too."""
# Gradients of at most so many elements are looked at in every step: they cost nothing,
# and what isn't finite in a layer's output shows in its bias, scale or offset.
SMALL = 4096


class Norms:
    """Measure the steps of an optimizer, which is built.

    The gradient's norm is taken inside the compiled step, before any clipping; update
    and weights are compared behind it. All are Euclidean norms over all trainable
    weights. Where gradients of several batches are accumulated, the step that updates
    is measured, and its gradient is that of its own batch.

    Args:
        optimizer: a Keras optimizer; its `apply` is wrapped.
        weights: the model's trainable variables.
        every: see EVERY.

    Attributes:
        last_update: what the last update changed, an array a weight; None where not
            every update is measured.
    """

    def __init__(self, optimizer: Any, weights: list[Any], every: int) -> None:
        self._weights, self._every = weights, every
        self._batches = optimizer.gradient_accumulation_steps or 1
        self._scale = optimizer.loss_scale_factor or 1.0
        self._before: list[Any] | None = None
        self._was_measured = False
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

    def _look(self, gradients: list[Any]) -> None:
        present = [ops.convert_to_tensor(g) for g in gradients if g is not None]
        small = [g for g in present if math.prod(g.shape) <= SMALL] or present
        whole = ops.cond(
            self._is_measured > 0,
            lambda: _norm(present),
            lambda: ops.zeros((), "float32"),
        )
        self._found.assign(ops.stack([_norm(small), whole]))

    def begin_step(self, number: int) -> None:
        """Prepare for step `number`, from 1 on."""
        update, rest = divmod(number, self._batches)
        is_measured = not rest and (update == 1 or update % self._every == 0)
        if is_measured:
            # A copy: JAX gives the memory of the old weights to the new ones.
            self._before = [ops.copy(weight) for weight in self._weights]
        if is_measured != self._was_measured:
            self._is_measured.assign(1.0 if is_measured else 0.0)
        self._was_measured = is_measured

    def end_step(self) -> tuple[bool, dict[str, float]]:
        """Return whether the gradient was finite, and the norms of a measured step.

        They are grad_norm, update_norm and weight_norm; {} for another step.
        """
        small, whole = ops.convert_to_numpy(self._found).astype(np.float64)
        is_finite = bool(np.isfinite(small) and np.isfinite(whole))
        if self._before is None:
            return is_finite, {}
        now = [ops.convert_to_tensor(weight) for weight in self._weights]
        pairs = zip(now, self._before, strict=True)
        update = [ops.subtract(new, old) for new, old in pairs]
        self._before = None
        if self._every == 1:  # for diagnostics; else memory that nobody reads
            self.last_update = update
        return is_finite, {
            "grad_norm": float(whole) / self._scale,
            "update_norm": float(_norm(update)),
            "weight_norm": float(_norm(now)),
        }


def _norm(tensors: list[Any]) -> Any:
    """Return the Euclidean norm over tensors; it isn't finite if an element isn't."""
    if not tensors:
        return ops.zeros((), "float32")
    tensors = [ops.cast(tensor, "float32") for tensor in tensors]
    plain = ops.sqrt(_square_sum(tensors))
    # Squares may overflow where elements don't.
    return ops.cond(ops.isfinite(plain), lambda: plain, lambda: _scaled_norm(tensors))


def _square_sum(tensors: list[Any]) -> Any:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # has it in one pass, without a copy of squares

        return 2 * tf.add_n([tf.nn.l2_loss(tensor) for tensor in tensors])
    return sum(ops.sum(ops.square(tensor)) for tensor in tensors)


def _scaled_norm(tensors: list[Any]) -> Any:
    largest = ops.max(ops.stack([ops.max(ops.abs(tensor)) for tensor in tensors]))
    return largest * ops.sqrt(_square_sum([tensor / largest for tensor in tensors]))
