"""Gradients and curvature of a model's loss on fixed pictures.

The loss is the one trained on, in inference mode: no dropout, and batch normalization
by its running means.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Vector = list[NDArray[Any]]
"""One array for each trainable weight of the model, of its shape."""


class LossSurface:
    """The loss as a function of a model's trainable weights.

    Args:
        model: gives probabilities; it is read, never changed.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._loss = keras.losses.CategoricalCrossentropy()
        build = _build_jax if keras.backend.backend() == "jax" else _build_tensorflow
        self._gradient, self._product = build(model, self._loss)

    def gradient(self, pictures: Any, labels: Any) -> Vector:
        """Return the gradient of the mean loss of a batch.

        Args:
            pictures: [n, size, size, 3].
            labels: one-hot [n, classes].
        """
        return _arrays(self._gradient(pictures, labels))

    def product(self, pictures: Any, labels: Any, vector: Vector) -> Vector:
        """Return the Hessian of the mean loss of a batch, times `vector`.

        B. Pearlmutter, "Fast exact multiplication by the Hessian", 1994.
        """
        return _arrays(self._product(pictures, labels, vector))


def _arrays(tensors: Any) -> Vector:
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def _build_tensorflow(model: keras.Model, loss: Any) -> tuple[Any, Any]:
    import tensorflow as tf

    weights = [variable.value for variable in model.trainable_variables]

    def gradients(pictures: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss(labels, model(pictures, training=False))
        return tape.gradient(value, weights, unconnected_gradients="zero")

    def products(pictures: Any, labels: Any, vector: Any) -> Any:
        with tf.GradientTape() as tape:
            found = gradients(pictures, labels)
            along = tf.add_n(
                [tf.reduce_sum(g * v) for g, v in zip(found, vector, strict=True)]
            )
        return tape.gradient(along, weights, unconnected_gradients="zero")

    return tf.function(gradients), tf.function(products)


def _build_jax(model: keras.Model, loss: Any) -> tuple[Any, Any]:
    import jax

    def value(weights: Any, others: Any, pictures: Any, labels: Any) -> Any:
        outputs, _ = model.stateless_call(weights, others, pictures, training=False)
        return loss(labels, outputs)

    gradient = jax.jit(jax.grad(value))

    def along(weights: Any, others: Any, x: Any, y: Any, vector: Any) -> Any:
        return jax.jvp(lambda w: gradient(w, others, x, y), (weights,), (vector,))[1]

    product = jax.jit(along)

    def state() -> tuple[Any, Any]:
        variables = model.trainable_variables, model.non_trainable_variables
        weights, others = ([v.value for v in group] for group in variables)
        return weights, others

    return (
        lambda x, y: gradient(*state(), x, y),
        lambda x, y, v: product(*state(), x, y, v),
    )


def dot(one: Vector, other: Vector) -> float:
    """Return the inner product over all elements, summed in float64."""
    pairs = zip(one, other, strict=True)
    return float(sum(np.vdot(a.astype(np.float64), b) for a, b in pairs))


def extreme_eigenvalues(
    product: Any, shapes: Sequence[tuple[int, ...]], seed: int, steps: int, dtype: Any
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the smallest and the largest eigenvalue of a symmetric operator.

    Lanczos's method with full reorthogonalization from one random start; it keeps
    `steps` vectors in memory.

    Args:
        product: takes and returns a Vector.
        shapes: of its arrays.
        seed: of the start.
        steps: products to take, at most.
        dtype: of the vectors.

    Returns:
        (value, bound) of the smallest and of the largest: an eigenvalue lies within
        the bound, the residual's norm. G. Golub and C. Van Loan, "Matrix
        Computations", chapter 10.
    """
    random = np.random.default_rng(seed)
    sizes = [int(np.prod(shape)) for shape in shapes]
    cuts = np.cumsum(sizes)[:-1]
    size = sum(sizes)
    start = random.standard_normal(size).astype(dtype)
    basis = [start / np.linalg.norm(start)]
    diagonal: list[float] = []
    beside: list[float] = []
    for _ in range(min(steps, size)):
        parts = zip(np.split(basis[-1], cuts), shapes, strict=True)
        image = product([part.reshape(shape) for part, shape in parts])
        residual = np.concatenate([array.ravel() for array in image]).astype(dtype)
        diagonal.append(float(np.vdot(basis[-1], residual)))
        for _ in range(2):  # twice is enough
            for vector in basis:
                residual -= np.vdot(vector, residual) * vector
        beside.append(float(np.linalg.norm(residual)))
        scale = max(abs(value) for value in diagonal)
        if beside[-1] <= 1e-10 * max(scale, 1e-30):
            break
        basis.append(residual / beside[-1])
    matrix = np.diag(diagonal) + sum(
        np.diag(beside[: len(diagonal) - 1], shift) for shift in (-1, 1)
    )
    values, vectors = np.linalg.eigh(matrix)
    bounds = np.abs(beside[-1] * vectors[-1])
    return (
        (float(values[0]), float(bounds[0])),
        (float(values[-1]), float(bounds[-1])),
    )
