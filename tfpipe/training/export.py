"""Save a trained model for others: plain Keras, pixel values in."""

from pathlib import Path
from typing import Any

import keras

from tfpipe.base import files

SCALE = 1.0 / 255.0


def save_model(model: keras.Model, path: Path) -> None:
    """Save an uncompiled model that takes pixel values 0 to 255.

    Input [batch, size, size, 3], output softmax probabilities [batch, classes].
    Any Keras opens it without this package.
    """
    # A copy without the optimizer, whose class others may not have; Keras's own
    # clone_model copies that, too.
    plain = type(model).from_config(model.get_config())
    plain.set_weights(model.get_weights())
    inputs = keras.Input(model.input_shape[1:], name="pixels")
    outputs = plain(keras.layers.Rescaling(SCALE, dtype="float32")(inputs))
    exported = keras.Model(inputs, outputs, name=model.name)
    # Keras chooses the format by the file's ending, so this name ends in it too.
    aside = path.with_name(f"aside-{path.name}")
    exported.save(aside)
    aside.replace(path)


def describe_export(path: Path, class_names: tuple[str, ...], resize: str) -> None:
    """Write export.json: what the saved models take and give."""
    facts: dict[str, Any] = {
        "input": "pixels 0 to 255, [batch, size, size, 3], RGB",
        "output": "softmax probabilities [batch, classes]",
        "class_names": list(class_names),
        "resize": resize,
    }
    files.write_json(path, facts)
