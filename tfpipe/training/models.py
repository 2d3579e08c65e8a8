"""Build the model of a run."""

import contextlib
import hashlib
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from tfpipe.base.seeds import derive_seed
from tfpipe.training import catalog
from tfpipe.training.config import ModelConfig
from tfpipe.training.own_code import load_own


def build_model(
    config: ModelConfig,
    image_size: int,
    num_classes: int,
    *,
    seed: int,
    precision: str = "float32",
) -> keras.Model:
    """Return the model with its initial weights, drawn from `seed` alone.

    It takes float32 [batch, image_size, image_size, 3] in [0, 1] and gives softmax
    probabilities float32 [batch, num_classes].

    Raises:
        ValueError: where the weights or a person's own function don't fit.
    """
    shape = (image_size, image_size, 3)
    with _drawing_from(derive_seed(seed, "init")), _computing_in(precision):
        if catalog.is_own(config.model):
            model = _own_model(config.model, shape, num_classes)
        elif config.model == "small_cnn":
            model = _small_cnn(shape, num_classes)
        else:
            model = _application(config, shape, num_classes)
    if config.weights not in ("none", "imagenet"):
        _load_weights(model, config.weights)
    weights = {id(weight) for weight in model.weights}
    generators = [state for state in model.variables if id(state) not in weights]
    for number, state in enumerate(generators):
        # Two words a generator: its seed, and how often it was drawn from.
        state.assign([derive_seed(seed, "dropout", number) % 2**31, 0])
    return model


@contextlib.contextmanager
def _drawing_from(seed: int) -> Iterator[None]:
    """Let layers draw initial weights from `seed`; the caller's generators stay.

    Keras draws the seeds of unseeded initializers from Python's global generator at
    construction, so that seeding it right before is the one way to its own weights.
    """
    before = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextlib.contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _application(config: ModelConfig, shape: tuple[int, ...], classes: int) -> Any:
    applications = vars(keras.applications).items()
    functions = {name.lower(): item for name, item in applications if callable(item)}
    function = functions[config.model]
    inputs = keras.Input(shape)
    pixels = inputs
    if config.model != "vgg16" or _vgg16_is_scaled(config.weights):
        pixels = _scaled_as_expected(inputs, sys.modules[function.__module__])
    weights = "imagenet" if config.weights == "imagenet" else None
    try:
        backbone = function(
            weights=weights, include_top=False, input_shape=shape, input_tensor=pixels
        )
    except ValueError as error:
        raise ValueError(
            f"image_size must be one that {config.model} takes, got {shape[0]}: {error}"
        ) from None
    except Exception as error:
        if weights is None:
            raise
        home = os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))
        cache = os.path.join(home, "models")
        raise ValueError(
            f"weights of {config.model} must be fetched once, got {error}; fetch that "
            f"file elsewhere, put it into {cache} under its own name and try again"
        ) from None
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(inputs, _softmax(pooled, classes), name=config.model)


def _vgg16_is_scaled(weights: str) -> bool:
    """Tell whether vgg16 with these weights takes pixels in ImageNet's scaling.

    From scratch the experiment trains it on plain values in [0, 1], and so go weights
    from a file, unless the file is a model that begins with that scaling.
    """
    if not weights.endswith(".keras"):
        return weights == "imagenet"
    return any(layer.name.startswith("rescaling") for layer in _inner(weights).layers)


def _inner(path: str) -> Any:
    """Open a model; of one that tfpipe exported, what is behind its first scaling."""
    with _weights_fit(path):
        saved = keras.models.load_model(path, compile=False)
    last = saved.layers[-1]
    return last if isinstance(last, keras.Model) else saved


@contextlib.contextmanager
def _weights_fit(path: str) -> Iterator[None]:
    """Turn what Keras says of a file that doesn't fit into one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"weights must be a .keras or .weights.h5 file of this model, got {path}: "
            f"{str(error).splitlines()[0]}"
        ) from None


def _scaled_as_expected(inputs: Any, module: Any) -> Any:
    """Scale [0, 1] to what an application expects, as layers of the model.

    Every `preprocess_input` of Keras is an affine map a channel, some with channels
    reversed: its values for black, red, green and blue tell all of it.
    """
    probe = 255.0 * np.eye(4, 3, k=-1, dtype=np.float32).reshape(4, 1, 1, 3)
    black, *colors = np.asarray(module.preprocess_input(probe)).reshape(4, 3)
    slopes = np.stack(colors) - black
    scale, offset = slopes.sum(axis=0), black
    if slopes[0, 0] == 0:
        inputs = inputs[..., ::-1]
    return keras.layers.Rescaling(scale.tolist(), offset.tolist())(inputs)


def _small_cnn(shape: tuple[int, ...], num_classes: int) -> Any:
    """Return a convnet for quick looks: 356,000 weights at 32 pixels."""
    inputs = keras.Input(shape)
    features = inputs
    for filters in (32, 64, 128):
        features = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(
            features
        )
        features = keras.layers.MaxPooling2D()(features)
    flat = keras.layers.Flatten()(features)
    hidden = keras.layers.Dense(128, activation="relu")(flat)
    return keras.Model(inputs, _softmax(hidden, num_classes), name="small_cnn")


def _softmax(features: Any, num_classes: int) -> Any:
    # float32 whatever the precision: a softmax in bfloat16 loses small differences.
    head = keras.layers.Dense(num_classes, activation="softmax", dtype="float32")
    return head(features)


def _own_model(name: str, shape: tuple[int, ...], num_classes: int) -> Any:
    model = load_own(name)(shape, num_classes)
    if isinstance(model, keras.Sequential) and not model.built:
        model.build((None, *shape))
    # Only these can be copied for export; Keras has no public name for the second.
    pixels = keras.Input(shape)
    kinds = (keras.Sequential, type(keras.Model(pixels, pixels)))
    expected = (None, num_classes)
    if not isinstance(model, kinds) or model.output_shape != expected:
        got = getattr(model, "output_shape", type(model).__name__)
        raise ValueError(
            f"{name} must return a Sequential or functional Keras model with output "
            f"shape {expected}, got {got}"
        )

    answers = np.asarray(
        model(np.random.default_rng(0).random((4, *shape), np.float32))
    )
    if (answers < 0).any() or not np.allclose(answers.sum(axis=1), 1, atol=1e-2):
        raise ValueError(
            f"{name} must answer probabilities that sum to 1 a picture, got "
            f"{answers[0].tolist()}; end it in a softmax"
        )
    return model


def _load_weights(model: Any, path: str) -> None:
    if path.endswith(".keras"):
        weights = _inner(path).get_weights()
        with _weights_fit(path):
            model.set_weights(weights)
    else:
        with _weights_fit(path):
            model.load_weights(path)


def weights_sha256(model: keras.Model) -> str:
    """Return the sha256 over all weights: shapes and float bytes, in order."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()
