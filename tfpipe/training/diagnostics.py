"""What the loss looks like where a run stands: noise, curvature, distance.

All is measured on fixed train pictures with a float32 copy of the model, so that
training goes on as if nothing had been measured.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfpipe.base.seeds import derive_seed
from tfpipe.data import order
from tfpipe.data.order import Ids
from tfpipe.data.streaming.pipeline import Batches
from tfpipe.training import models
from tfpipe.training.config import RunConfig
from tfpipe.training.derivatives import LossSurface, Vector, dot, extreme_eigenvalues

NOISE_EXAMPLES, CURVATURE_EXAMPLES = 256, 64
PART, SMALL_PART = 32, 8
"""Pictures at a time; few, where the spread over parts gives an error."""
LANCZOS_STEPS, REPEATS = 20, 2
# Parts of eight pictures take longer a picture than those of 32 that an estimate times,
# and sums, norms and orthogonalization are no products: a quarter of the whole.
OVERHEAD = 4 / 3


class Diagnostics:
    """Measurements at the evaluations of one run.

    Args:
        model: the one that is trained.
        copy: the same in float32.
        pictures: float32 [n, size, size, 3], at most NOISE_EXAMPLES train pictures.
        labels: one-hot float32 [n, classes].
        start: the initial trainable weights.
        seed: the run's.
        has_hessian: whether the Hessian's extreme eigenvalues are wanted.
        after_part: called behind every gradient or product; may raise to break off.
    """

    def __init__(
        self,
        model: keras.Model,
        copy: keras.Model,
        pictures: Any,
        labels: Any,
        start: Vector,
        *,
        seed: int,
        has_hessian: bool,
        after_part: Callable[[], None] = lambda: None,
    ) -> None:
        self._after_part = after_part
        self._model, self._copy, self._start = model, copy, start
        self._pictures, self._labels = pictures, labels
        self._surface = LossSurface(copy)
        self._seed, self._has_hessian = seed, has_hessian

    def measure(self, update: Sequence[Any] | None = None) -> dict[str, float | None]:
        """Return the fields of an evaluation's line.

        Args:
            update: what the last step changed, for the curvature along it.

        Returns:
            distance: Euclidean, from the initial weights. noise_scale: the batch size
            at which a gradient's noise is as large as the gradient, None where the
            noise hides it. probe_gradient_norm: of the mean loss of the pictures that
            curvature is measured on. curvature_gradient, curvature_update: its second
            derivatives along these two. hessian_smallest, hessian_largest. Scale,
            curvatures and eigenvalues each with `_error`.
        """
        self._copy.set_weights(self._model.get_weights())
        weights = [
            keras.ops.convert_to_numpy(v) for v in self._copy.trainable_variables
        ]
        moved = [now - then for now, then in zip(weights, self._start, strict=True)]
        found: dict[str, float | None] = {"distance": math.sqrt(dot(moved, moved))}
        found |= self._noise()
        found |= self._curvature(update)
        if self._has_hessian:
            found |= self._hessian()
        return found

    def _parts(self, num_examples: int, size: int) -> list[tuple[Any, Any]]:
        """Return whole parts of the first pictures; one of all if they are few."""
        ends = range(size, min(num_examples, len(self._labels)) + 1, size)
        cuts = [slice(end - size, end) for end in ends] or [slice(0, num_examples)]
        return [(self._pictures[cut], self._labels[cut]) for cut in cuts]

    def _gradient(self, pictures: Any, labels: Any) -> Vector:
        found = self._surface.gradient(pictures, labels)
        self._after_part()
        return found

    def _product(self, pictures: Any, labels: Any, vector: Vector) -> Vector:
        found = self._surface.product(pictures, labels, vector)
        self._after_part()
        return found

    def estimate_seconds(self) -> float:
        """Return about how long a measurement takes, by taking a small part of it."""
        [part, *_] = self._parts(PART, PART)
        ones = [np.ones(v.shape, v.dtype) for v in self._copy.trainable_variables]
        seconds = math.inf
        for _ in range(2):  # the first compiles
            start = time.monotonic()
            self._product(*part, ones)
            seconds = min(seconds, time.monotonic() - start)
        # A gradient takes about two fifths of a product.
        products = 2 * CURVATURE_EXAMPLES / PART
        products += 0.4 * (NOISE_EXAMPLES + CURVATURE_EXAMPLES) / PART
        if self._has_hessian:
            products += REPEATS * LANCZOS_STEPS * CURVATURE_EXAMPLES / PART
        return OVERHEAD * seconds * products

    def lanczos_bytes(self) -> int:
        """Return the memory that the Hessian's vectors take; 0 without."""
        weights = self._copy.trainable_variables
        size = sum(math.prod(v.shape) * np.dtype(v.dtype).itemsize for v in weights)
        return LANCZOS_STEPS * int(size) * self._has_hessian

    def _noise(self) -> dict[str, float | None]:
        parts = self._parts(NOISE_EXAMPLES, PART)
        traces, squares = [], []
        for pictures, labels in parts:
            half = len(labels) // 2
            if not half:
                continue
            cuts = (slice(0, half), slice(half, 2 * half))
            one, other = (self._gradient(pictures[cut], labels[cut]) for cut in cuts)
            apart = [a - b for a, b in zip(one, other, strict=True)]
            traces.append(half * dot(apart, apart) / 2)
            squares.append(dot(one, other))
        return noise_scale(traces, squares)

    def _curvature(self, update: Sequence[Any] | None) -> dict[str, float | None]:
        parts = self._parts(CURVATURE_EXAMPLES, SMALL_PART)
        gradients = [self._gradient(*part) for part in parts]
        mean = [np.mean(arrays, axis=0) for arrays in zip(*gradients, strict=True)]
        norm = math.sqrt(dot(mean, mean))
        found: dict[str, float | None] = {"probe_gradient_norm": norm}
        along = [keras.ops.convert_to_numpy(array) for array in update or []]
        for name, vector in (("gradient", mean), ("update", along)):
            length = math.sqrt(dot(vector, vector)) if vector else 0.0
            if not vector or not length:
                continue
            unit = [(array / length).astype(array.dtype) for array in vector]
            values = [dot(unit, self._product(*part, unit)) for part in parts]
            found[f"curvature_{name}"] = float(np.mean(values))
            found[f"curvature_{name}_error"] = _standard_error(values)
        return found

    def _hessian(self) -> dict[str, float | None]:
        parts = self._parts(CURVATURE_EXAMPLES, PART)

        def product(vector: Vector) -> Vector:
            images = [self._product(*part, vector) for part in parts]
            return [np.mean(arrays, axis=0) for arrays in zip(*images, strict=True)]

        shapes = [tuple(v.shape) for v in self._copy.trainable_variables]
        dtype = np.dtype(self._copy.trainable_variables[0].dtype)
        runs = [
            extreme_eigenvalues(
                product,
                shapes,
                derive_seed(self._seed, "hessian", repeat),
                LANCZOS_STEPS,
                dtype,
            )
            for repeat in range(REPEATS)
        ]
        found: dict[str, float | None] = {}
        # Lanczos comes from inside: the outermost of the repeats is the nearest.
        for index, (name, outermost) in enumerate(
            (("smallest", min), ("largest", max))
        ):
            pairs = [run[index] for run in runs]
            value, bound = outermost(pairs)
            spread = max(v for v, _ in pairs) - min(v for v, _ in pairs)
            found[f"hessian_{name}"] = value
            found[f"hessian_{name}_error"] = max(spread, bound)
        return found


def build_diagnostics(
    config: RunConfig,
    model: keras.Model,
    batches: Batches,
    train_ids: Ids,
    after_part: Callable[[], None],
) -> Diagnostics:
    """Return the diagnostics of a run, whose pictures are loaded here.

    Args:
        config: the run.
        model: the one that is trained.
        batches: makes batches of source ids.
        train_ids: what is trained on.
        after_part: as for `Diagnostics`.
    """
    copy = models.build_model(
        config.model,
        config.data.image_size,
        int(model.output_shape[-1]),
        seed=config.run.seed,
    )
    # In an epoch's order: as a split has them, classes take turns, and batches of
    # equal shares are quieter than those that are trained on.
    ids = order.epoch_order(train_ids, config.run.seed, 0)[:NOISE_EXAMPLES]
    pictures, labels = (
        np.concatenate(parts) for parts in zip(*list(batches.dataset(ids)), strict=True)
    )
    # Of the copy, which has the weights that the run began with.
    start = [keras.ops.convert_to_numpy(v).copy() for v in copy.trainable_variables]
    return Diagnostics(
        model,
        copy,
        pictures,
        labels,
        start,
        seed=config.run.seed,
        has_hessian=config.run.diagnostics == "hessian",
        after_part=after_part,
    )


def noise_scale(traces: list[float], squares: list[float]) -> dict[str, float | None]:
    """Return the simple gradient noise scale, in pictures, and its standard error.

    tr(covariance of a picture's gradient) / |gradient|^2: S. McCandlish and others,
    "An empirical model of large-batch training", 2018, equation 2.9.

    Args:
        traces: unbiased estimates of the numerator, one a batch.
        squares: unbiased estimates of the denominator, the inner products of the
            gradients of two halves.

    Returns:
        noise_scale and noise_scale_error, by the jackknife; None where the mean of
        `squares`, or one without a batch, isn't above 0: the noise hides the gradient.
    """
    nothing: dict[str, float | None] = {"noise_scale": None, "noise_scale_error": None}
    count = len(squares)
    if not count or sum(squares) <= 0:
        return nothing
    value = sum(traces) / sum(squares)
    without = [
        (sum(traces) - trace, sum(squares) - square)
        for trace, square in zip(traces, squares, strict=True)
    ]
    if count < 2 or any(square <= 0 for _, square in without):
        return nothing
    values = np.array([trace / square for trace, square in without])
    error = math.sqrt(
        (count - 1) / count * float(((values - values.mean()) ** 2).sum())
    )
    return {"noise_scale": value, "noise_scale_error": error}


def _standard_error(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))
