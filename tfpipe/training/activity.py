"""Dead units: channels that a ReLU keeps at zero for every picture shown."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray


class WatchedModel:
    """A model that also tells which of its ReLU units ever were above zero.

    A unit is a channel of a convolution or an element of a dense layer's output.
    Layers inside a layer are not looked at.

    Args:
        model: a functional or Sequential model; it shares its weights.
    """

    def __init__(self, model: keras.Model) -> None:
        layers = [layer for layer in model.layers if _is_relu(layer)]
        self._highest: list[NDArray[np.float32]] = []
        peaks = [_peak(layer.output) for layer in layers]
        self._model = keras.Model(model.inputs, [*model.outputs, *peaks])

    def begin(self) -> None:
        """Forget what was seen."""
        self._highest = []

    def predict(self, pictures: Any) -> Any:
        """Return the probabilities [batch, classes] of a batch, and watch it."""
        outputs = self._model.predict_on_batch(pictures)
        probabilities, *peaks = outputs if isinstance(outputs, list) else [outputs]
        found = [np.asarray(peak, np.float32).max(axis=0) for peak in peaks]
        self._highest = [
            np.maximum(*pair)
            for pair in zip(self._highest or found, found, strict=True)
        ]
        return probabilities

    def dead_units(self) -> list[float]:
        """Return the share of dead units, in [0, 1], of each ReLU layer in turn."""
        return [float((highest <= 0).mean()) for highest in self._highest]


def _is_relu(layer: Any) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    activation = getattr(layer, "activation", None)
    return activation in (keras.activations.relu, keras.activations.relu6)


def _peak(output: Any) -> Any:
    """Return the highest value of each channel, [batch, channels]."""
    axes = tuple(range(1, len(output.shape) - 1))
    return ops.max(output, axis=axes) if axes else output
