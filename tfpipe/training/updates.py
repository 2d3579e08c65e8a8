"""Build what updates the weights: the optimizer, its learning rate, class weights."""

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from tfpipe.base import named_values
from tfpipe.base.named_values import REQUIRED, Argument, Arguments
from tfpipe.training import catalog, optimizers, schedules
from tfpipe.training.config import OptimizerConfig
from tfpipe.training.own_code import load_own


@keras.saving.register_keras_serializable("tfpipe")
class WarmUp(LearningRateSchedule):  # type: ignore[misc]  # Keras is Any
    """Linear warm-up, then constant; Keras has this only in front of a cosine.

    At update t: start + (rate - start) min(1, t / steps).
    """

    def __init__(self, learning_rate: float, steps: int, start: float = 0.0) -> None:
        self.learning_rate, self.steps, self.start = learning_rate, steps, start

    def __call__(self, step: Any) -> Any:
        """Return the rate of the update after `step` of them."""
        part = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        return self.start + (self.learning_rate - self.start) * part

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "start": self.start,
        }


@keras.saving.register_keras_serializable("tfpipe")
class PerUpdate(LearningRateSchedule):  # type: ignore[misc]
    """A schedule over updates, where each takes the gradients of several batches.

    Keras hands a schedule the number of batches, so that it would run ahead by as much.
    """

    def __init__(self, schedule: Any, batches_per_update: int) -> None:
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule, self.batches_per_update = schedule, batches_per_update

    def __call__(self, step: Any) -> Any:
        """Return the rate of the update after `step` batches."""
        return self.schedule(ops.floor_divide(step, self.batches_per_update))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "batches_per_update": self.batches_per_update,
        }


def build_rate(
    config: OptimizerConfig, num_batches: int, batches_per_update: int = 1
) -> Any:
    """Return the learning rate of an optimizer, a float or a Keras schedule.

    Args:
        config: its rate and its schedule.
        num_batches: of the whole run; a decay to the end of the run ends there.
        batches_per_update: batches whose gradients are accumulated for an update.
    """
    num_updates = max(1, num_batches // batches_per_update)
    rate = _schedule(config, num_updates)
    if isinstance(rate, float) or batches_per_update == 1:
        return rate
    return PerUpdate(rate, batches_per_update)


def _schedule(config: OptimizerConfig, num_updates: int) -> Any:
    rate, kind = config.learning_rate, config.schedule
    given = schedules.parse_args(kind, config.schedule_args)
    library = keras.optimizers.schedules
    if kind == schedules.DEFAULT:
        # Keras 3 ignores an optimizer's decay; with one step this is its formula.
        if not config.decay:
            return rate
        return library.InverseTimeDecay(rate, decay_steps=1, decay_rate=config.decay)
    if kind in ("constant", "plateau"):
        return rate
    if kind == "warmup":
        return WarmUp(rate, given["warmup_steps"], given.get("warmup_start", 0.0))
    if kind == "piecewise":
        values = [rate, *given["values"]]
        return library.PiecewiseConstantDecay(given["boundaries"], values)
    if kind == "cosine":
        return _cosine(rate, num_updates, **given)
    if kind in schedules.TO_THE_END:
        given["decay_steps"] = given.get("decay_steps") or num_updates
    return {
        "inverse_time": library.InverseTimeDecay,
        "exponential": library.ExponentialDecay,
        "cosine_restarts": library.CosineDecayRestarts,
        "polynomial": library.PolynomialDecay,
    }[kind](rate, **given)


def _cosine(
    rate: float,
    num_updates: int,
    decay_steps: int = 0,
    alpha: float = 0.0,
    warmup_steps: int = 0,
    warmup_start: float = 0.0,
) -> Any:
    # Keras counts decay_steps from the end of the warm-up on.
    decay_steps = decay_steps or max(1, num_updates - warmup_steps)
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(rate, decay_steps, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        warmup_start,
        decay_steps,
        alpha=alpha,
        warmup_target=rate,
        warmup_steps=warmup_steps,
    )


def build_optimizer(config: OptimizerConfig, num_batches: int) -> Any:
    """Return the Keras optimizer of a run, with its learning rate.

    Args:
        config: the optimizer, its arguments, rate and schedule.
        num_batches: of the whole run, for schedules that end with it.

    Raises:
        ValueError: for arguments that its class refuses, or a person's own class that
            is no Keras optimizer or keeps state where no checkpoint sees it.
    """
    name = config.optimizer
    is_own = catalog.is_own(name)
    if is_own:
        kind = load_own(name)
        if not inspect.isclass(kind) or not issubclass(kind, keras.Optimizer):
            raise ValueError(
                f"{name} must be a class of keras.optimizers.Optimizer, got {kind!r}"
            )
        accepted = own_arguments(kind, name)
        given = named_values.parse(
            config.optimizer_args, accepted, "optimizer_args", name
        )
        optimizers.check_together(given, accepted)
    else:
        kind = load_own(optimizers.OPTIMIZERS[name].class_path)
        given = optimizers.parse_args(name, config.optimizer_args)
    rate = build_rate(
        config, num_batches, given.get("gradient_accumulation_steps") or 1
    )
    try:
        optimizer = kind(learning_rate=rate, **given)
        if is_own:
            _refuse_hidden_state(kind, given, name)
    except (TypeError, ValueError) as error:
        if str(error).startswith(name):
            raise
        got = ",".join(config.optimizer_args) or "none"
        raise ValueError(
            f"optimizer_args must be values that {name} takes, got {got}: {error}"
        ) from None
    return optimizer


def own_arguments(kind: Any, name: str) -> Arguments:
    """Return what a person's own optimizer class takes beside the learning rate.

    Raises:
        ValueError: where it takes no learning rate.
    """
    parameters = inspect.signature(kind).parameters
    takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "learning_rate" not in parameters and not takes_more:
        raise ValueError(
            f"{name} must take learning_rate, got {inspect.signature(kind)}; add it "
            "and hand it to the parent's __init__"
        )
    accepted = dict(optimizers.COMMON) if takes_more else {}
    for parameter in parameters.values():
        is_named = parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        )
        if not is_named or parameter.name in ("learning_rate", "name"):
            continue
        default = parameter.default
        if default is parameter.empty:
            kind_of = parameter.annotation
            known = kind_of if kind_of in (bool, int, float, str) else float
            accepted[parameter.name] = Argument(REQUIRED, known)
        elif isinstance(default, bool | int | float | str):
            accepted[parameter.name] = Argument(default)
        elif default is None:
            common = optimizers.COMMON.get(parameter.name, Argument(None, float))
            accepted[parameter.name] = common
    return accepted


def _refuse_hidden_state(kind: Any, given: dict[str, Any], name: str) -> None:
    """Take steps with one optimizer and with another that goes on from its variables.

    Raises:
        ValueError: where they part: a run that is continued would be another.
    """
    random = np.random.default_rng(0)
    shapes = [(3, 3, 2, 4), (4, 2), (2,)]
    starts = [random.normal(size=shape).astype(np.float32) for shape in shapes]
    gradients = [
        [random.normal(size=shape).astype(np.float32) for shape in shapes]
        for _ in range(6)
    ]

    def begin() -> tuple[Any, list[Any]]:
        weights = [keras.Variable(start) for start in starts]
        optimizer = kind(learning_rate=0.01, **given)
        optimizer.build(weights)
        return optimizer, weights

    (whole, weights), (rest, others) = begin(), begin()
    for step, one in enumerate(gradients):
        if step == 3:
            known, unknown = [*whole.variables, *weights], [*rest.variables, *others]
            for variable, from_variable in zip(unknown, known, strict=True):
                variable.assign(from_variable)
        whole.apply([ops.convert_to_tensor(g) for g in one], weights)
        if step >= 3:
            rest.apply([ops.convert_to_tensor(g) for g in one], others)
    for weight, other in zip(weights, others, strict=True):
        if not np.array_equal(np.asarray(weight), np.asarray(other), equal_nan=True):
            raise ValueError(
                f"{name} must keep its state in variables, got another step from an "
                "optimizer with the same ones; make them with add_variable in build, "
                "so that a run can go on exactly"
            )


@contextlib.contextmanager
def averaged_weights(model: Any, optimizer: Any) -> Iterator[None]:
    """Put the moving averages of `use_ema` in place of the weights for a while."""
    # Keras begins averages with zeros, and fills them at the first update.
    if not optimizer.use_ema or int(optimizer.iterations) == 0:
        yield
        return
    weights = list(model.trainable_variables)
    averages = optimizer._model_variables_moving_average  # Keras has no public name
    before = [ops.convert_to_numpy(weight).copy() for weight in weights]
    for weight, average in zip(weights, averages, strict=True):
        weight.assign(average)
    try:
        yield
    finally:
        for weight, value in zip(weights, before, strict=True):
            weight.assign(value)


def class_weights(kind: str, class_counts: Sequence[int]) -> dict[int, float] | None:
    """Return what a picture of each class counts in the loss; None: all the same.

    "balanced": pictures / (classes x pictures of the class), as scikit-learn's
    `compute_class_weight`. Over the pictures the mean is 1.
    """
    if kind == "none":
        return None
    total, present = sum(class_counts), sum(count > 0 for count in class_counts)
    return {
        label: total / (present * count) if count else 0.0
        for label, count in enumerate(class_counts)
    }
