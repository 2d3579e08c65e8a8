"""Save a trained model for others: plain Keras, pixel values in."""

from pathlib import Path
from typing import Any

import keras

from tfpipe.base import files

SCALE = 1.0 / 255.0


def copy_model(model: keras.Model) -> keras.Model:
    """Return a copy of a model without its optimizer, whose class others may not have.

    Keras's own `clone_model` copies the optimizer, too.

    Raises:
        ValueError: where Keras can't build the model from its own description.
    """
    try:
        return type(model).from_config(model.get_config())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"model {model.name} must be one that Keras can save and open, got "
            f"{type(error).__name__}: {str(error).splitlines()[0]}; register its own "
            "layers with keras.saving.register_keras_serializable, and write a layer "
            "in place of each Lambda"
        ) from None


def save_model(model: keras.Model, path: Path) -> None:
    """Save an uncompiled model behind a scaling, so that it takes pixels 0 to 255.

    Input [batch, size, size, 3], output softmax probabilities [batch, classes].
    Any Keras opens it without this package.
    """
    inputs = keras.Input(model.input_shape[1:], name="pixels")
    outputs = model(keras.layers.Rescaling(SCALE, dtype="float32")(inputs))
    with files.path_aside(path) as aside:
        keras.Model(inputs, outputs, name=model.name).save(aside)


def describe_export(
    path: Path, class_names: list[str], resize: str, storing: dict[str, Any]
) -> None:
    """Write export.json: what the saved models take and give.

    `storing` says how the records' pictures were stored, before `resize`.
    """
    facts: dict[str, Any] = {
        "input": "pixels 0 to 255, [batch, size, size, 3], RGB",
        "output": "softmax probabilities [batch, classes]",
        "class_names": class_names,
        "resize": resize,
        "storing": storing,
    }
    files.write_json(path, facts)
