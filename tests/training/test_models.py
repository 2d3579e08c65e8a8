import importlib
import random
import sys
import types

import keras
import numpy as np
import pytest

from tfpipe.base.seeds import derive_seed
from tfpipe.training import export, models
from tfpipe.training.config import ModelConfig

OWN_MODEL = """
import importlib
import random
import sys
import types

import keras
def linear(image_shape, num_classes):
    return keras.Sequential([
        keras.Input(image_shape), keras.layers.Flatten(),
        keras.layers.Dense(num_classes, activation="softmax")])
def wrong(image_shape, num_classes):
    return keras.Sequential([keras.Input(image_shape), keras.layers.Flatten()])
def unbuilt(image_shape, num_classes):
    return keras.Sequential([
        keras.layers.Flatten(), keras.layers.Dense(num_classes, activation="softmax")])
def logits(image_shape, num_classes):
    return keras.Sequential([
        keras.Input(image_shape), keras.layers.Flatten(),
        keras.layers.Dense(num_classes)])
"""


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    (tmp_path / "own_code.py").write_text(OWN_MODEL)
    (tmp_path / "broken_code.py").write_text("import os\nos.nothing\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_vgg16_is_the_experiments():
    model = models.build_model(ModelConfig(), 224, 2, seed=0)
    assert model.count_params() == 14_715_714
    assert len(model.trainable_weights) == len(model.weights) == 28
    assert model.output_shape == (None, 2)
    assert not any("rescaling" in layer.name for layer in model.layers)


def test_initial_weights_come_from_the_seed_alone():
    config = ModelConfig(model="small_cnn")
    keras.utils.set_random_seed(99)
    first = models.weights_sha256(models.build_model(config, 16, 2, seed=5))
    np.random.rand(10)
    again = models.weights_sha256(models.build_model(config, 16, 2, seed=5))
    other = models.weights_sha256(models.build_model(config, 16, 2, seed=6))
    assert first == again != other


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2", "densenet121"])
def test_applications_get_pixels_as_their_own_preprocessing_gives_them(name):
    model = models.build_model(ModelConfig(model=name), 32, 2, seed=0)
    function = next(
        value
        for key, value in vars(keras.applications).items()
        if key.lower() == name and callable(value)
    )
    module = importlib.import_module(function.__module__)
    scaling = next(layer for layer in model.layers if "rescaling" in layer.name)
    scaled = keras.Model(model.input, scaling.output)
    pictures = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)) * 1.0
    expected = np.asarray(module.preprocess_input(pictures.astype(np.float32).copy()))
    got = np.asarray(scaled(pictures.astype(np.float32) / 255.0))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-3)


def test_a_size_that_a_model_cannot_take_is_refused():
    with pytest.raises(ValueError, match="image_size must be one that vgg16 takes"):
        models.build_model(ModelConfig(), 16, 2, seed=0)


def test_own_models(own_code):
    for name in ("own_code:linear", "own_code:unbuilt"):
        model = models.build_model(ModelConfig(model=name), 8, 3, seed=0)
        assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_code:wrong", r"must return .* Keras model with output shape \(None, 3\)"),
        ("own_code:none", "got none called none"),
        ("own_code:logits", "must answer probabilities that sum to 1"),
        ("broken_code:f", "broken_code must import, got AttributeError: module"),
    ],
)
def test_own_models_that_do_not_fit_are_refused(own_code, name, message):
    with pytest.raises(ValueError, match=message):
        models.build_model(ModelConfig(model=name), 8, 3, seed=0)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_weights_come_from_a_file(tmp_path, ending):
    config = ModelConfig(model="small_cnn")
    model = models.build_model(config, 16, 2, seed=1)
    path = str(tmp_path / f"saved{ending}")
    (model.save_weights if ending == ".weights.h5" else model.save)(path)
    loaded = models.build_model(
        ModelConfig(model="small_cnn", weights=path), 16, 2, seed=2
    )
    assert models.weights_sha256(loaded) == models.weights_sha256(model)


def answers(model):
    pictures = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    return np.asarray(model(pictures))


@pytest.mark.parametrize("scaled", [False, True])
def test_vgg16_from_a_file_answers_as_it_was_trained(tmp_path, monkeypatch, scaled):
    # Caffe's scaling without the weights that belong to it, which can't be fetched.
    with monkeypatch.context() as patch:
        patch.setattr(models, "_vgg16_is_scaled", lambda weights: scaled)
        trained = models.build_model(ModelConfig(), 32, 2, seed=1)
    path = tmp_path / "best.keras"
    copy = export.copy_model(trained)
    copy.set_weights(trained.get_weights())
    export.save_model(copy, path)
    config = ModelConfig(weights=str(path))
    again = models.build_model(config, 32, 2, seed=2)
    np.testing.assert_allclose(answers(again), answers(trained), rtol=1e-5)


def test_dropout_draws_from_its_own_stream_and_ours_alone():
    def build(image_shape, num_classes):
        flat = keras.layers.Flatten()
        soft = keras.layers.Dense(num_classes, activation="softmax")
        layers = [keras.Input(image_shape), flat, keras.layers.Dropout(0.5), soft]
        return keras.Sequential(layers)

    module = types.ModuleType("dropping")
    module.build = build
    states = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "dropping", module)
        np.random.seed(3)
        random.seed(3)
        expected = (np.random.rand(), random.random())
        np.random.seed(3)
        random.seed(3)
        for seed in (0, 0, 1):
            config = ModelConfig(model="dropping:build")
            model = models.build_model(config, 8, 2, seed=seed)
            (state,) = (v for v in model.variables if "seed_generator" in v.path)
            states.append(state.numpy().tolist())
    assert states[0] == states[1] != states[2]
    assert states[0][0] == derive_seed(0, "dropout", 0) % 2**31
    assert (np.random.rand(), random.random()) == expected


def test_weights_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    for model, size in (("small_cnn", 16), ("vgg16", 32)):
        config = ModelConfig(model=model, weights=str(tmp_path / "broken.keras"))
        with pytest.raises(ValueError, match="file of this model, got"):
            models.build_model(config, size, 2, seed=0)
    path = str(tmp_path / "other.weights.h5")
    models.build_model(ModelConfig(model="small_cnn"), 16, 3, seed=0).save_weights(path)
    config = ModelConfig(model="small_cnn", weights=path)
    with pytest.raises(ValueError, match="file of this model, got"):
        models.build_model(config, 16, 2, seed=0)


def test_weights_that_cannot_be_fetched_are_explained(monkeypatch):
    def unreachable(**arguments):
        if arguments["weights"]:
            raise Exception("URL fetch failure on .../vgg16_notop.h5")

    unreachable.__module__ = keras.applications.VGG16.__module__
    monkeypatch.setattr(keras.applications, "VGG16", unreachable)
    config = ModelConfig(weights="imagenet")
    with pytest.raises(ValueError, match=r"fetched once, .*notop.h5; .*put it into"):
        models.build_model(config, 32, 2, seed=0)
