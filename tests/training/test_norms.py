"""Norms of a step and dead units, against the same in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfpipe.training.activity import WatchedModel
from tfpipe.training.measure import Evaluation
from tfpipe.training.norms import Norms


@pytest.fixture
def model():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture(autouse=True)
def float64():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    labels = np.eye(3)[random.integers(3, size=8)]
    return random.normal(size=(8, 6)), labels


def flat(arrays):
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])


@pytest.mark.parametrize("clip", [{}, {"global_clipnorm": 1e-3}])
def test_norms_of_a_step_are_those_of_its_arrays(model, batch, clip):
    optimizer = keras.optimizers.SGD(0.1, **clip)
    optimizer.build(model.trainable_variables)
    norms = Norms(optimizer, model.trainable_variables, every=3)
    model.compile(optimizer, loss="categorical_crossentropy")
    for number, is_measured in ((1, True), (2, False), (3, True), (4, False)):
        before = model.get_weights()
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                keras.losses.categorical_crossentropy(batch[1], model(batch[0]))
            )
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        norms.begin_step(number)
        model.train_on_batch(*batch)
        is_finite, found = norms.end_step()
        assert is_finite
        after = model.get_weights()
        if not is_measured:
            assert found == {}
            continue
        assert found["grad_norm"] == pytest.approx(
            np.linalg.norm(flat(gradients)), rel=1e-6
        )
        change = flat(after) - flat(before)
        assert found["update_norm"] == pytest.approx(np.linalg.norm(change), rel=1e-6)
        assert found["weight_norm"] == pytest.approx(np.linalg.norm(flat(after)))


def test_measuring_takes_no_other_steps(batch):
    answers = []
    for every in (100, 1):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(3, activation="softmax")]
        )
        optimizer = keras.optimizers.Adam(0.1)
        optimizer.build(model.trainable_variables)
        norms = Norms(optimizer, model.trainable_variables, every)
        model.compile(optimizer, loss="categorical_crossentropy")
        for number in (2, 3, 4):
            norms.begin_step(number)
            model.train_on_batch(*batch)
            norms.end_step()
        answers.append(flat(model.get_weights()))
    assert np.array_equal(*answers)


def test_a_gradient_that_is_not_finite_is_seen_where_clipping_hides_it(model, batch):
    optimizer = keras.optimizers.SGD(0.1, clipvalue=0.5)
    optimizer.build(model.trainable_variables)
    norms = Norms(optimizer, model.trainable_variables, every=20)
    weights = [tf.zeros(v.shape) for v in model.trainable_variables]
    norms.begin_step(2)
    optimizer.apply([*weights[:3], tf.fill([3], np.inf)], model.trainable_variables)
    assert norms.end_step() == (False, {})
    assert np.isfinite(flat(model.get_weights())).all()


def test_a_large_gradient_is_finite_though_its_square_is_not(model):
    optimizer = keras.optimizers.SGD(1e-30)
    optimizer.build(model.trainable_variables)
    norms = Norms(optimizer, model.trainable_variables, every=1)
    gradients = [tf.fill(v.shape, tf.constant(1e25, v.dtype)) for v in model.variables]
    norms.begin_step(1)
    optimizer.apply(gradients, model.trainable_variables)
    is_finite, found = norms.end_step()
    assert is_finite
    count = sum(int(np.prod(v.shape)) for v in model.variables)
    assert found["grad_norm"] == pytest.approx(1e25 * np.sqrt(count))


def test_of_accumulated_gradients_the_updates_are_measured(model, batch):
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    optimizer.build(model.trainable_variables)
    norms = Norms(optimizer, model.trainable_variables, every=2)
    model.compile(optimizer, loss="categorical_crossentropy")
    measured = {}
    for number in range(1, 13):
        norms.begin_step(number)
        model.train_on_batch(*batch)
        _, found = norms.end_step()
        if found:
            measured[number] = found["update_norm"]
    assert list(measured) == [3, 6, 12]  # updates 1, 2 and 4
    assert min(measured.values()) > 0


def test_a_scaled_loss_has_the_gradient_of_the_plain_one(batch):
    found = []
    for scale in (None, 1024.0):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [keras.Input((6,)), keras.layers.Dense(3, activation="softmax")]
        )
        optimizer = keras.optimizers.SGD(0.1, loss_scale_factor=scale)
        optimizer.build(model.trainable_variables)
        norms = Norms(optimizer, model.trainable_variables, every=1)
        model.compile(optimizer, loss="categorical_crossentropy")
        norms.begin_step(1)
        model.train_on_batch(*batch)
        found.append(norms.end_step()[1]["grad_norm"])
    assert found[0] == pytest.approx(found[1])


def test_dead_units_are_those_no_picture_wakes(model, batch):
    kernel, bias, *rest = model.get_weights()
    bias[:2] = -1e3
    model.set_weights([kernel, bias, *rest])
    watched = WatchedModel(model)
    watched.begin()
    for part in (batch[0][:3], batch[0][3:]):
        np.testing.assert_allclose(
            watched.predict(part), model.predict_on_batch(part), rtol=1e-6
        )
    found = watched.dead_units()
    hidden = np.maximum(batch[0] @ kernel + bias, 0)
    share = float((hidden.max(axis=0) == 0).mean())
    assert share >= 0.4
    assert found == pytest.approx([share])


def test_a_channel_of_a_convolution_is_a_unit():
    inputs = keras.Input((4, 4, 3))
    hidden = keras.layers.Conv2D(8, 3, use_bias=True)(inputs)
    hidden = keras.layers.ReLU()(hidden)
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(hidden))
    model = keras.Model(inputs, outputs)
    kernel, _ = model.layers[1].get_weights()
    model.layers[1].set_weights([kernel, np.where(np.arange(8) < 2, -1e3, 1e3)])
    watched = WatchedModel(model)
    watched.predict(np.ones((2, 4, 4, 3), np.float32))
    assert watched.dead_units() == [0.25]


def test_a_model_without_relus_has_no_dead_units():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    watched = WatchedModel(model)
    assert watched.predict(np.ones((1, 6), np.float32)).shape == (1, 2)
    assert watched.dead_units() == []


def test_logits_that_ignore_the_picture_have_no_spread():
    logits = np.random.default_rng(0).normal(size=(50, 4))
    for scale, expected in ((0.0, 0.0), (3.0, None)):
        z = scale * logits + [5.0, 0, 0, 0]
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        evaluation = Evaluation(
            source_ids=np.arange(50),
            labels=np.zeros(50, np.int64),
            probabilities=p.astype(np.float32),
        )
        centred = z - z.mean(axis=1, keepdims=True)
        by_hand = np.sqrt((centred.std(axis=0) ** 2).mean())
        assert evaluation.logit_spread == pytest.approx(by_hand, abs=1e-5)
        if expected is not None:
            assert evaluation.logit_spread == pytest.approx(expected, abs=1e-6)
