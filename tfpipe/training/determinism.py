"""How much of a run is the same bit for bit when it is done again."""

import keras
import tensorflow as tf


def set_up(level: str) -> None:
    """Make TensorFlow's operations deterministic where that was asked.

    It holds for the process, and can't be taken back.

    Raises:
        ValueError: for strict on another back end, which has no such switch.
    """
    if level != "strict":
        return
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"determinism must be off or seeded with Keras on {backend}, got strict, "
            "which is TensorFlow's; leave it out"
        )
    # Keras asks this of TensorFlow's global generator, which nothing else here uses.
    tf.random.set_seed(0)
    tf.config.experimental.enable_op_determinism()


def may_compile(level: str) -> str | bool:
    """Return Keras's `jit_compile`: whether XLA may reorder a step's sums.

    JAX compiles always, the same way each time.
    """
    is_free = level == "off" or keras.backend.backend() != "tensorflow"
    return "auto" if is_free else False
