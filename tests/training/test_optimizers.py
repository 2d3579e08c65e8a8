"""The table of optimizers against Keras's signatures, and references in NumPy."""

import inspect
import json

import keras
import numpy as np
import pytest

from tfpipe.training import optimizers, updates
from tfpipe.training.config import OptimizerConfig, RunConfig
from tfpipe.training.naming import run_name
from tfpipe.training.own_code import load_own

RATE = 0.01
START = np.array([0.3, -1.0, 2.0, 0.0])
GRADIENTS = np.random.default_rng(0).normal(size=(7, 4)) * [1, 10, 1e-3, 1]


def apply_all(optimizer, gradients, start=START):
    """Return the weights after every step, float64 [steps, weights]."""
    variable = keras.Variable(start, dtype="float32")
    optimizer.build([variable])
    found = []
    for gradient in gradients:
        tensor = keras.ops.convert_to_tensor(gradient, "float32")
        optimizer.apply([tensor], [variable])
        found.append(np.array(variable, np.float64))
    return np.array(found)


def build(name, *arguments, **values):
    values = {"learning_rate": RATE, "schedule": "constant"} | values
    config = OptimizerConfig(optimizer=name, optimizer_args=arguments, **values)
    return updates.build_optimizer(config, num_batches=100)


# Each takes (weight, gradient, step from 1 on, state) and returns the new weight. The
# formulas are those of the papers as Keras's documentation cites them.


def sgd(w, g, t, s, momentum=0.0, nesterov=False):
    s["m"] = momentum * s.get("m", 0) - RATE * g
    return w + (momentum * s["m"] - RATE * g if nesterov else s["m"])


def rmsprop(w, g, t, s, rho=0.9, epsilon=1e-7, momentum=0.0, centered=False):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    s["a"] = rho * s.get("a", 0) + (1 - rho) * g
    spread = s["v"] - s["a"] ** 2 if centered else s["v"]
    step = RATE * g / np.sqrt(spread + epsilon)
    s["m"] = momentum * s.get("m", 0) + step
    return w - s["m"]


def rmsprop_keras2(w, g, t, s):
    s["v"] = 0.9 * s.get("v", 0) + 0.1 * g**2
    return w - RATE * g / (np.sqrt(s["v"]) + 1e-7)


def moments(g, t, s, b1, b2):
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g**2
    return s["m"], s["v"]


def adam(w, g, t, s, b1=0.9, b2=0.999, epsilon=1e-7, amsgrad=False, decay=0.0):
    w = w - RATE * decay * w
    m, v = moments(g, t, s, b1, b2)
    if amsgrad:
        s["best"] = v = np.maximum(s.get("best", 0), v)
    # "Epsilon hat": the corrections stand outside of the root and its epsilon.
    rate = RATE * np.sqrt(1 - b2**t) / (1 - b1**t)
    return w - rate * m / (np.sqrt(v) + epsilon)


def nadam(w, g, t, s, b1=0.9, b2=0.999, epsilon=1e-7):
    def weight(t):
        return b1 * (1 - 0.5 * 0.96**t)

    m, v = moments(g, t, s, b1, b2)
    # Its first moment is weighed with 0.9, its corrections with the rising weights.
    s["u"] = s.get("u", 1.0) * weight(t)
    ahead = weight(t + 1) * m / (1 - s["u"] * weight(t + 1))
    now = (1 - weight(t)) * g / (1 - s["u"])
    return w - RATE * (ahead + now) / (np.sqrt(v / (1 - b2**t)) + epsilon)


def adagrad(w, g, t, s, initial=0.1, epsilon=1e-7):
    s["v"] = s.get("v", initial) + g**2
    return w - RATE * g / np.sqrt(s["v"] + epsilon)


def lion(w, g, t, s, b1=0.9, b2=0.99):
    m = s.get("m", 0)
    s["m"] = b2 * m + (1 - b2) * g
    return w - RATE * np.sign(b1 * m + (1 - b1) * g)


REFERENCES = [
    ("sgd", (), sgd, {}),
    ("sgd", ("momentum=0.9",), sgd, {"momentum": 0.9}),
    (
        "sgd",
        ("momentum=0.9", "nesterov=true"),
        sgd,
        {"momentum": 0.9, "nesterov": True},
    ),
    ("rmsprop", (), rmsprop, {}),
    (
        "rmsprop",
        ("rho=0.8", "epsilon=1e-3", "momentum=0.5", "centered=true"),
        rmsprop,
        {"rho": 0.8, "epsilon": 1e-3, "momentum": 0.5, "centered": True},
    ),
    ("rmsprop_keras2", (), rmsprop_keras2, {}),
    ("adam", (), adam, {}),
    (
        "adam",
        ("beta_1=0.5", "beta_2=0.9", "epsilon=0.1", "amsgrad=true"),
        adam,
        {"b1": 0.5, "b2": 0.9, "epsilon": 0.1, "amsgrad": True},
    ),
    ("adamw", (), adam, {"decay": 0.004}),
    ("adamw", ("weight_decay=0.1",), adam, {"decay": 0.1}),
    ("nadam", (), nadam, {}),
    ("adagrad", (), adagrad, {}),
    ("adagrad", ("initial_accumulator_value=0",), adagrad, {"initial": 0.0}),
    ("lion", (), lion, {}),
]


@pytest.mark.parametrize(
    ("name", "arguments", "rule", "values"),
    REFERENCES,
    ids=[f"{name} {','.join(arguments)}" for name, arguments, *_ in REFERENCES],
)
def test_a_checked_optimizer_equals_its_formula(name, arguments, rule, values):
    got = apply_all(build(name, *arguments), GRADIENTS)
    weight, state = START.copy(), {}
    for t, gradient in enumerate(GRADIENTS, start=1):
        weight = rule(weight, gradient, t, state, **values)
        np.testing.assert_allclose(got[t - 1], weight, rtol=2e-5, atol=2e-6)


def test_the_checked_ones_are_those_with_a_reference():
    checked = {name for name, row in optimizers.OPTIMIZERS.items() if row.is_checked}
    assert checked == {name for name, *_ in REFERENCES}


@pytest.mark.parametrize("name", sorted(optimizers.OPTIMIZERS))
def test_a_row_has_the_arguments_of_its_class(name):
    row = optimizers.OPTIMIZERS[name]
    parameters = dict(inspect.signature(load_own(row.class_path)).parameters)
    if name == "rmsprop_keras2":
        assert parameters["learning_rate"].default == row.default_rate
        parameters = dict(inspect.signature(keras.optimizers.RMSprop).parameters)
        del parameters["momentum"], parameters["centered"]
    else:
        assert parameters["learning_rate"].default == row.default_rate
    named = {k: p.default for k, p in parameters.items() if p.kind != p.VAR_KEYWORD}
    del named["learning_rate"], named["name"]
    assert {k: a.default for k, a in row.arguments.items()} == named


@pytest.mark.parametrize(
    "name", sorted(n for n, r in optimizers.OPTIMIZERS.items() if not r.refused)
)
def test_every_optimizer_goes_on_bit_for_bit_from_its_variables(name):
    more = ("momentum=0.9",) if name == "sgd" else ()
    kind, given = load_own(optimizers.OPTIMIZERS[name].class_path), {}
    given = optimizers.parse_args(name, more)
    updates._refuse_hidden_state(kind, given, name)
    moved = apply_all(build(name, *more), GRADIENTS)
    assert (moved[-1] != moved[0]).any()


def test_clips_weight_decay_and_averages_are_what_keras_says():
    gradient = np.array([[3.0, 4.0, 0.0, 0.0]])

    def moved(*arguments):
        after = apply_all(build("sgd", *arguments), gradient)
        return (START - after[0]) / RATE

    np.testing.assert_allclose(moved("clipnorm=1"), gradient[0] / 5, atol=1e-4)
    np.testing.assert_allclose(moved("global_clipnorm=1"), gradient[0] / 5, atol=1e-4)
    np.testing.assert_allclose(moved("clipvalue=3.5"), [3, 3.5, 0, 0], atol=1e-4)
    # Decoupled: by the rate, before the step.
    decayed = START * (1 - RATE * 0.5) - RATE * gradient[0]
    after = apply_all(build("sgd", "weight_decay=0.5"), gradient)
    np.testing.assert_allclose(after[0], decayed, rtol=1e-6)


def test_evaluations_see_averaged_weights_and_training_its_own():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(inputs))
    model.set_weights([START[:, None].astype(np.float32)])
    optimizer = build("sgd", "use_ema=true", "ema_momentum=0.5")
    optimizer.build(model.trainable_variables)
    # Keras's average begins with the weights behind the first step.
    weight, average = START.copy(), None
    for gradient in GRADIENTS[:3]:
        tensor = keras.ops.convert_to_tensor(gradient[:, None], "float32")
        optimizer.apply([tensor])
        weight = weight - RATE * gradient
        average = weight if average is None else 0.5 * average + 0.5 * weight
    before = model.get_weights()[0].copy()
    with updates.averaged_weights(model, optimizer):
        averaged = model.get_weights()[0][:, 0]
    np.testing.assert_allclose(averaged, average, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(model.get_weights()[0], before)
    np.testing.assert_allclose(before[:, 0], weight, rtol=1e-5, atol=1e-6)


def test_accumulated_gradients_are_one_update_and_schedules_count_updates():
    optimizer = build(
        "sgd",
        "gradient_accumulation_steps=2",
        schedule="keras2_decay",
        decay=1.0,
    )
    got = apply_all(optimizer, GRADIENTS[:6])
    weight = START.copy()
    for update in range(3):
        mean = GRADIENTS[2 * update : 2 * update + 2].mean(axis=0)
        np.testing.assert_allclose(got[2 * update], weight, rtol=1e-5, atol=1e-6)
        weight = weight - RATE / (1 + update) * mean
        np.testing.assert_allclose(got[2 * update + 1], weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("adam", ("beta2=0.9",), "of adam must be some of .* did you mean beta_2"),
        ("adam", ("beta_2=high",), "beta_2 in optimizer_args must be a number, got"),
        ("adam", ("beta_2",), "optimizer_args must be name=value, got 'beta_2'"),
        ("adam", ("beta_2=0.9", "beta_2=0.8"), "must name beta_2 once"),
        ("adam", ("amsgrad=1",), "amsgrad in optimizer_args must be true or false"),
        ("adam", ("epsilon=nan",), "epsilon in optimizer_args must be a number"),
        ("adam", ("learning_rate=1",), "must be some of .* got 'learning_rate'"),
        ("rmsprop_keras2", ("momentum=0.9",), "must be some of .* got 'momentum'"),
        (
            "adam",
            ("use_ema=true", "gradient_accumulation_steps=2"),
            "must not have both use_ema and gradient_accumulation_steps",
        ),
        ("adam", ("beta_2=1.5",), "beta_2 in .* a number of at most 1, got 1.5"),
        ("sgd", ("momentum=2",), "momentum in .* a number of at most 1, got 2"),
        ("adam", ("clipnorm=0",), "clipnorm in .* must be a number above 0, got 0"),
        (
            "adam",
            ("epsilon=-1e-8",),
            "epsilon in .* a number of at least 0, got -1e-08",
        ),
        ("adam", ("gradient_accumulation_steps=1",), "number of at least 2, got 1"),
        (
            "adam",
            ("clipnorm=1", "clipvalue=1"),
            "one way of clipping, got clipnorm and",
        ),
        ("sgd", ("nesterov=true",), "must give momentum for nesterov, which does noth"),
        ("adam", ("ema_momentum=0.9",), "must give use_ema for ema_momentum"),
        ("schedulefreeadamw", (), "one whose rule is kept, got schedulefreeadamw"),
    ],
)
def test_wrong_arguments_are_named_without_keras(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        RunConfig.of(optimizer=name, optimizer_args=arguments)


def test_equal_arguments_are_one_configuration():
    def name(*arguments):
        config = RunConfig.of(optimizer="adam", optimizer_args=arguments)
        return run_name(config)

    one = name("epsilon=0.00001", "beta_1=0.90", "beta_2=1e-1")
    assert one == name("beta_2=.1", "epsilon=1e-5")
    assert one == "adam-lr0.0001-beta_2=0.1+epsilon=1e-05-s0"
    assert optimizers.parse_args("muon", ["exclude_layers=dense:head"]) == {
        "exclude_layers": ["dense", "head"]
    }


OWN = """
import keras

class Plain(keras.optimizers.SGD):
    def __init__(self, learning_rate=0.1, strength: float = 2.0, **more):
        super().__init__(learning_rate=learning_rate, **more)
        self.strength = strength

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient * self.strength, variable, learning_rate)

class Hidden(keras.optimizers.SGD):
    def update_step(self, gradient, variable, learning_rate):
        self.seen = getattr(self, "seen", 0) + 1
        super().update_step(gradient * self.seen, variable, learning_rate)

class Rateless(keras.optimizers.Optimizer):
    def __init__(self):
        super().__init__(learning_rate=0.1)

class Strict(keras.optimizers.SGD):
    def __init__(self, learning_rate=0.1, power: float = 1.0):
        if power > 1:
            raise ValueError("too much power")
        super().__init__(learning_rate=learning_rate)

nothing = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_rules.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_persons_own_class_takes_its_own_arguments(own):
    doubled = apply_all(build("own_rules:Plain"), GRADIENTS[:1])
    halved = apply_all(build("own_rules:Plain", "strength=1"), GRADIENTS[:1])
    np.testing.assert_allclose(doubled[0] - START, 2 * (halved[0] - START), atol=1e-6)
    optimizer = build("own_rules:Plain", "clipnorm=1")
    assert optimizer.clipnorm == 1
    json.dumps(keras.saving.serialize_keras_object(optimizer))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("own_rules:Plain", ("strenght=1",), "did you mean strength"),
        ("own_rules:Hidden", (), "must keep its state in variables"),
        ("own_rules:Rateless", (), "must take learning_rate"),
        ("own_rules:nothing", (), "must be a class of keras.optimizers.Optimizer"),
        ("own_rules:Strict", ("power=2",), "that own_rules:Strict takes, got power=2"),
        ("own_rules:absent", (), "must be a name in own_rules, got none"),
    ],
)
def test_a_persons_own_class_is_checked(own, name, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(name, *arguments)
