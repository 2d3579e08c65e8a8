import keras
import numpy as np
import pytest

from tfpipe.training import stopping, updates
from tfpipe.training.config import OptimizerConfig, StoppingConfig

RATE = 0.01


def build(**values):
    return updates.build_optimizer(OptimizerConfig(**values), num_batches=1)


def step_all(optimizer, start, gradients):
    variable = keras.Variable(start, dtype="float32")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([np.asarray(gradient, np.float32)], [variable])
    return np.asarray(variable)


def test_the_rules_differ_where_gradients_are_small():
    gradients = np.full((3, 1), 1e-5)
    moved = {}
    for name in ("rmsprop", "rmsprop_keras2"):
        optimizer = build(optimizer=name, learning_rate=RATE, decay=0.0)
        moved[name] = -step_all(optimizer, np.zeros(1), gradients)[0]
    assert moved["rmsprop_keras2"] > 20 * moved["rmsprop"]


def test_decay_is_keras_2s_formula():
    rate = build()._learning_rate
    for t in (0, 1, 586, 2930):
        assert float(rate(t)) == pytest.approx(1e-4 / (1 + 1e-6 * t), rel=1e-6)
    assert 1 - float(rate(2930)) / 1e-4 == pytest.approx(0.0029, abs=1e-4)


class Model:
    stop_training = False


def stops_after(rule, values):
    """Return the epoch behind which a rule stops, 1-based; 0 for never."""
    rule.set_model(Model())
    rule.on_train_begin()
    for epoch, value in enumerate(values):
        rule.on_epoch_end(epoch, {rule.monitor: value})
        if rule.model.stop_training:
            return epoch + 1
    return 0


# Worked by hand, patience 2, baseline 0.6. Keras 2 counts every epoch that doesn't beat
# the best, which begins at the baseline; Keras 3.15 never stops at one that improves.
RISING_BELOW = [0.1, 0.2, 0.3, 0.4, 0.5]
FALLS = [0.7, 0.65, 0.66, 0.9]
LATE = [0.5, 0.7, 0.69, 0.71, 0.70, 0.70, 0.8]
EQUAL = [0.6, 0.6, 0.6]


@pytest.mark.parametrize(
    ("values", "keras2_epoch", "keras_epoch"),
    [(RISING_BELOW, 2, 0), (FALLS, 3, 3), (LATE, 6, 6), (EQUAL, 2, 2)],
    ids=["rising below the baseline", "falls", "late", "equal"],
)
def test_when_each_rule_stops(values, keras2_epoch, keras_epoch):
    for name, epoch in (("keras2", keras2_epoch), ("keras", keras_epoch)):
        config = StoppingConfig(early_stopping=name, baseline=0.6, patience=2)
        assert stops_after(stopping.build_early_stopping(config), values) == epoch
        loss = StoppingConfig(
            early_stopping=name, monitor="val_loss", baseline=-0.6, patience=2
        )
        rule = stopping.build_early_stopping(loss)
        assert stops_after(rule, [-value for value in values]) == epoch


@pytest.mark.parametrize("name", ["keras2", "keras"])
@pytest.mark.parametrize("values", [RISING_BELOW, FALLS, LATE, EQUAL])
def test_a_rules_counters_survive_at_every_epoch(name, values):
    config = StoppingConfig(early_stopping=name, baseline=0.6, patience=2)
    whole = stops_after(stopping.build_early_stopping(config), values)
    for cut in range(1, len(values)):
        first = stopping.build_early_stopping(config)
        if stops_after(first, values[:cut]):
            break
        rest = stopping.build_early_stopping(config)
        rest.set_model(Model())
        rest.on_train_begin()
        stopping.set_state(rest, stopping.get_state(first))
        for epoch, value in enumerate(values[cut:], start=cut):
            rest.on_epoch_end(epoch, {"val_accuracy": value})
            if rest.model.stop_training:
                break
        assert (epoch + 1 if rest.model.stop_training else 0) == whole


def test_momentum_is_refused():
    from tfpipe.training.keras2 import RMSpropKeras2

    with pytest.raises(ValueError, match="momentum and centered of rmsprop_keras2"):
        RMSpropKeras2(momentum=0.9)
