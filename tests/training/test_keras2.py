import keras
import numpy as np
import pytest

from tfpipe.training import models
from tfpipe.training.config import OptimizerConfig

RATE, RHO, EPSILON = 0.01, 0.9, 1e-7


def step_all(optimizer, start, gradients):
    variable = keras.Variable(start, dtype="float32")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([np.asarray(gradient, np.float32)], [variable])
    return np.asarray(variable)


@pytest.mark.parametrize("name", ["rmsprop", "rmsprop_keras2"])
@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_both_rmsprop_rules_equal_numpy(name, size):
    start = np.array([0.3, -1.0, 2.0])
    gradients = np.random.default_rng(0).normal(size=(6, 3)) * size
    config = OptimizerConfig(optimizer=name, learning_rate=RATE, decay=0.5)
    got = step_all(models.build_optimizer(config), start, gradients)
    weights, mean_square = start.copy(), np.zeros(3)
    for t, gradient in enumerate(gradients):
        rate = RATE / (1 + 0.5 * t)
        mean_square = RHO * mean_square + (1 - RHO) * gradient**2
        if name == "rmsprop":
            weights -= rate * gradient / np.sqrt(mean_square + EPSILON)
        else:
            weights -= rate * gradient / (np.sqrt(mean_square) + EPSILON)
    np.testing.assert_allclose(got, weights, rtol=1e-5)


def test_the_rules_differ_where_gradients_are_small():
    gradients = np.full((3, 1), 1e-5)
    moved = {}
    for name in ("rmsprop", "rmsprop_keras2"):
        config = OptimizerConfig(optimizer=name, learning_rate=RATE, decay=0.0)
        optimizer = models.build_optimizer(config)
        moved[name] = -step_all(optimizer, np.zeros(1), gradients)[0]
    assert moved["rmsprop_keras2"] > 20 * moved["rmsprop"]


def test_decay_is_keras_2s_formula():
    rate = models.build_optimizer(OptimizerConfig())._learning_rate
    for t in (0, 1, 586, 2930):
        assert float(rate(t)) == pytest.approx(1e-4 / (1 + 1e-6 * t), rel=1e-6)
    assert 1 - float(rate(2930)) / 1e-4 == pytest.approx(0.0029, abs=1e-4)


def test_momentum_is_refused():
    from tfpipe.training.keras2 import RMSpropKeras2

    with pytest.raises(ValueError, match="momentum and centered of rmsprop_keras2"):
        RMSpropKeras2(momentum=0.9)
