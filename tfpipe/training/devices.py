"""What a run computes on, for Keras on TensorFlow and on JAX."""

import contextlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfpipe.base import machine


def set_up() -> None:
    """Leave the memory of GPUs to those who use it.

    TensorFlow takes of a GPU what it needs, not all of it; with Keras on another back
    end it takes nothing: it only streams records then.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        # A process that used its GPUs before can't be told any more.
        with contextlib.suppress(RuntimeError):
            if keras.backend.backend() == "tensorflow":
                tf.config.experimental.set_memory_growth(gpu, True)
            else:
                tf.config.set_visible_devices([], "GPU")


def gpus() -> list[str]:
    """Return the names of the GPUs that Keras computes on."""
    if keras.backend.backend() == "jax":
        import jax

        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    found = []
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        found.append(str(details.get("device_name", "GPU")))
    return found


def describe() -> str:
    """Name what a run computes on: GPUs, or the CPU."""
    names = gpus()
    return f"{len(names)} x {names[0]}" if names else machine.cpu_model()


def as_input(tensor: Any) -> Any:
    """Return a batch of tf.data as Keras's back end takes it; nothing is copied."""
    is_native = keras.backend.backend() == "tensorflow"
    return tensor if is_native else np.asarray(tensor)
