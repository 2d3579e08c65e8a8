"""Noise, curvature, Hessian of a tiny model in float64, against dense derivatives."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipe.base import files
from tfpipe.training import derivatives, diagnostics, run_folder
from tfpipe.training.derivatives import LossSurface, dot, extreme_eigenvalues
from tfpipe.training.diagnostics import Diagnostics, noise_scale
from tfpipe.training.run import train
from tfpipe.training.surface import describe_surface


@pytest.fixture
def model():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(3, activation="tanh"),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(2, activation="softmax"),
    ]
    yield keras.Sequential(layers)
    keras.config.set_dtype_policy(before)


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    return random.normal(size=(6, 4)), np.eye(2)[random.integers(2, size=6)]


def dense_hessian(model, batch):
    """The whole matrix, by differences of a gradient written down elsewhere."""
    start = [v.numpy() for v in model.trainable_variables]
    cuts = np.cumsum([a.size for a in start])[:-1]
    flat = np.concatenate([a.ravel() for a in start])

    def gradient(point):
        parts = np.split(point, cuts)
        for variable, part in zip(model.trainable_variables, parts, strict=True):
            variable.assign(part.reshape(variable.shape))
        with tf.GradientTape() as tape:
            chosen = tf.reduce_sum(batch[1] * model(batch[0], training=False), axis=1)
            loss = -tf.reduce_mean(tf.math.log(chosen))
        found = tape.gradient(loss, [v.value for v in model.trainable_variables])
        return np.concatenate([g.numpy().ravel() for g in found])

    step = 1e-5
    rows = [
        (gradient(flat + step * unit) - gradient(flat - step * unit)) / (2 * step)
        for unit in np.eye(len(flat))
    ]
    first = gradient(flat)
    return first, np.array(rows)


def as_vector(model, flat):
    sizes = np.cumsum([int(np.prod(v.shape)) for v in model.trainable_variables])[:-1]
    parts = zip(np.split(flat, sizes), model.trainable_variables, strict=True)
    return [part.reshape(v.shape) for part, v in parts]


def flat(vector):
    return np.concatenate([array.ravel() for array in vector])


def test_gradients_and_products_are_those_of_the_dense_hessian(model, batch):
    gradient, hessian = dense_hessian(model, batch)
    surface = LossSurface(model)
    np.testing.assert_allclose(flat(surface.gradient(*batch)), gradient, rtol=1e-5)
    vector = np.random.default_rng(2).normal(size=len(gradient))
    found = flat(surface.product(*batch, as_vector(model, vector)))
    np.testing.assert_allclose(found, hessian @ vector, atol=1e-7)


def test_the_extremes_are_those_of_the_dense_hessian(model, batch):
    _, hessian = dense_hessian(model, batch)
    surface = LossSurface(model)
    shapes = [tuple(v.shape) for v in model.trainable_variables]
    (low, low_bound), (high, high_bound) = extreme_eigenvalues(
        lambda vector: surface.product(*batch, vector), shapes, 0, 40, np.float64
    )
    expected = np.linalg.eigvalsh(hessian)
    assert low == pytest.approx(expected[0], abs=1e-6)
    assert high == pytest.approx(expected[-1], abs=1e-6)
    assert max(low_bound, high_bound) < 1e-6


def test_few_steps_bound_their_error():
    values = np.concatenate([[-3.0], np.linspace(0, 1, 200), [10.0]])

    def product(vector):
        return [values * vector[0]]

    for seed in range(5):
        for value, bound in extreme_eigenvalues(product, [(202,)], seed, 8, np.float64):
            assert np.abs(values - value).min() <= bound


def test_fields_of_an_evaluation(model, batch, monkeypatch):
    monkeypatch.setattr(diagnostics, "PART", 2)
    monkeypatch.setattr(diagnostics, "SMALL_PART", 3)
    monkeypatch.setattr(diagnostics, "CURVATURE_EXAMPLES", 6)
    gradient, hessian = dense_hessian(model, batch)
    weights = [v.numpy() for v in model.trainable_variables]
    start = [w - 0.5 for w in weights]
    copy = keras.models.clone_model(model)
    found = Diagnostics(model, copy, *batch, start, seed=0, has_hessian=True).measure(
        update=[np.ones_like(w) for w in weights]
    )
    count = len(gradient)
    assert found["distance"] == pytest.approx(0.5 * np.sqrt(count))
    norm = np.linalg.norm(gradient)
    assert found["probe_gradient_norm"] == pytest.approx(norm, rel=1e-6)
    along = gradient @ hessian @ gradient / norm**2
    assert found["curvature_gradient"] == pytest.approx(along, abs=1e-6)
    ones = np.ones(count)
    assert found["curvature_update"] == pytest.approx(
        ones @ hessian @ ones / count, abs=1e-6
    )
    expected = np.linalg.eigvalsh(hessian)
    assert found["hessian_smallest"] == pytest.approx(expected[0], abs=1e-6)
    assert found["hessian_largest"] == pytest.approx(expected[-1], abs=1e-6)
    # A measurement changes nothing.
    after = [v.numpy() for v in model.trainable_variables]
    assert all(np.array_equal(a, b) for a, b in zip(weights, after, strict=True))


def test_noise_scale_of_known_noise():
    random = np.random.default_rng(0)
    signal, spread, half = np.full(50, 0.1), 0.5, 8
    traces, squares = [], []
    for _ in range(400):
        one, other = (
            signal + spread / np.sqrt(half) * random.normal(size=50) for _ in range(2)
        )
        traces.append(half * np.sum((one - other) ** 2) / 2)
        squares.append(one @ other)
    found = noise_scale(traces, squares)
    expected = 50 * spread**2 / (signal @ signal)
    assert abs(found["noise_scale"] - expected) < 3 * found["noise_scale_error"]
    assert found["noise_scale_error"] < 0.2 * expected


def test_noise_that_hides_the_gradient_has_no_scale():
    nothing = {"noise_scale": None, "noise_scale_error": None}
    assert noise_scale([1.0, 1.0], [0.1, -0.2]) == nothing
    assert noise_scale([1.0, 1.0], [0.3, -0.1]) == nothing
    assert noise_scale([1.0], [0.3]) == nothing
    assert noise_scale([], []) == nothing


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((-0.5, 0.1, 3.0, 0.1), "saddle-shaped: "),
        ((-0.05, 0.1, 3.0, 0.1), "a valley"),
        ((-0.05, 0.1, 0.05, 0.1), "a plateau"),
        ((1.0, 0.1, 3.0, 0.1), "curved upwards"),
    ],
)
def test_a_saddle_needs_an_eigenvalue_that_is_negative_beyond_its_error(values, words):
    names = ("smallest", "smallest_error", "largest", "largest_error")
    line = {f"hessian_{name}": v for name, v in zip(names, values, strict=True)}
    assert describe_surface(line).startswith(words)


def test_two_curvatures_are_no_saddle():
    line = {
        "curvature_gradient": 2.0,
        "curvature_gradient_error": 0.1,
        "curvature_update": -2.0,
        "curvature_update_error": 0.1,
    }
    assert describe_surface(line) == (
        "the loss is curved upwards along the gradient and curved downwards along the "
        "update"
    )
    line["curvature_update_error"] = 1.5
    assert describe_surface(line).endswith(
        "flat as far as can be told along the update"
    )
    assert describe_surface({}) == ""


def test_pictures_of_the_noise_are_mixed_as_batches_are(small_run):
    """In a split's own order classes take turns: its halves would be too alike."""
    seen = []

    class Watch(Diagnostics):
        def __init__(self, model, copy, pictures, labels, start, **more):
            seen.append(labels.argmax(axis=1))
            super().__init__(model, copy, pictures, labels, start, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagnostics, "Diagnostics", Watch)
        train(small_run.replace(epochs=1, diagnostics="full"), say=lambda line: None)
    [labels] = seen
    assert len(labels) == 39
    turns = np.abs(np.diff(labels)).sum()
    assert turns < 30  # 38 where they take turns


def test_a_run_that_goes_on_at_an_epochs_end_measures_the_same(small_run):
    run = small_run.replace(epochs=1, diagnostics="full")
    whole = train(run, say=lambda line: None)

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 4:
                os.kill(os.getpid(), signal.SIGINT)

    parts = run.replace(run_name="parts")
    with pytest.raises(KeyboardInterrupt):
        train(parts, callbacks=[Stop()], say=lambda line: None)
    continued = train(parts, say=lambda line: None)
    lines = [
        {k: v for k, v in r.evaluations[0].items() if not k.endswith("_seconds")}
        for r in (whole, continued)
    ]
    assert lines[0]["curvature_update"] is not None
    assert lines[0] == lines[1]


@pytest.mark.parametrize(
    "kind", [pytest.param("full", marks=pytest.mark.slow), "hessian"]
)
def test_a_run_with_diagnostics_trains_as_one_without(small_run, kind):
    config = small_run.replace(epochs=1)
    plain = train(config, say=lambda line: None)
    lines = []
    measured = train(config.replace(diagnostics=kind, run_name="m"), say=lines.append)
    names = ["loss", "learning_rate"]
    steps = [
        [[line[name] for name in names] for line in files.read_json_lines(path)]
        for path in (run.folder / run_folder.STEPS for run in (plain, measured))
    ]
    assert steps[0] == steps[1]
    [line] = measured.evaluations
    assert line["distance"] > 0
    assert np.isfinite([line["curvature_gradient"], line["curvature_update"]]).all()
    assert ("hessian_smallest" in line) == (kind == "hessian")
    assert line["val_loss"] == plain.evaluations[0]["val_loss"]
    assert describe_surface(line) in "\n".join(lines)


def test_products_keep_the_precision_of_long_sums():
    ones = [np.full(1_000_000, 0.1, np.float32)]
    assert dot(ones, ones) == pytest.approx(1e4, rel=1e-6)
    assert derivatives.dot([np.zeros(3)], [np.ones(3)]) == 0
