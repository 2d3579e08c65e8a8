"""Build what is trained: model and optimizer of a run, compiled together."""

import dataclasses
from typing import Any

import keras

from tfpipe.training import determinism, devices, models, precision, updates
from tfpipe.training.config import RunConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """A model with its initial weights, compiled, and what its state is.

    Attributes:
        model: takes float32 [batch, size, size, 3] in [0, 1].
        optimizer: the model's, built.
        variables: the state of both, in the order of checkpoints.
        precision: what was chosen, and why.
    """

    model: keras.Model
    optimizer: Any
    variables: list[Any]
    precision: tuple[str, str]


def build(config: RunConfig, num_classes: int, num_batches: int) -> Built:
    """Build the model and the optimizer of a run.

    Args:
        config: the run.
        num_classes: of its records.
        num_batches: of the whole run, for schedules that end with it.

    Raises:
        ValueError: for what the back end, the model or the optimizer doesn't take.
    """
    devices.set_up()
    determinism.set_up(config.run.determinism)
    chosen = precision.resolve_precision(
        config.model.precision, config.model.model, on_gpu=bool(devices.gpus())
    )
    model = models.build_model(
        config.model,
        config.data.image_size,
        num_classes,
        seed=config.run.seed,
        precision=chosen[0],
    )
    optimizer = updates.build_optimizer(config.optimizer, num_batches)
    optimizer.build(model.trainable_variables)
    model.compile(
        optimizer=optimizer,
        loss="categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=determinism.may_compile(config.run.determinism),
    )
    variables = [*model.variables, *optimizer.variables]
    return Built(
        model=model, optimizer=optimizer, variables=variables, precision=chosen
    )
