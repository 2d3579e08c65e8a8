"""Which optimizer and learning rate, and at which stage of training.

    from tfpipe import RunConfig, input_fn, train

The names load on first use, so that importing tfpipe loads no TensorFlow.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

# Before anything that other systems lack or older Pythons can't read is imported.
_problem = ""
if sys.platform not in ("linux", "darwin"):
    _problem = (
        f"system must be Linux or macOS, got {sys.platform}; on Windows run tfpipe "
        "inside WSL 2"
    )
elif not (3, 11) <= sys.version_info[:2] <= (3, 13):
    _problem = (
        f"Python must be 3.11 to 3.13, got {sys.version.split()[0]}; Keras 3.15 and "
        "TensorFlow 2.21 run on no other"
    )
if _problem:
    print(f"error: {_problem}", file=sys.stderr)
    sys.exit(2)

# TensorFlow reads these once, when it loads. Its messages below errors are no news to
# a person who trains; oneDNN's kernels are on by default only on CPUs with AVX-512
# VNNI, and elsewhere VGG16 trained 1.2 (64 px) to 2.9 times (32 px) as fast with them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# JAX would take three quarters of a GPU's memory at once.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

__version__ = "0.1.0"
__all__ = ["RunConfig", "input_fn", "train"]

_HOMES = {
    "RunConfig": "tfpipe.training.config",
    "input_fn": "tfpipe.data.streaming.pipeline",
    "train": "tfpipe.training.run",
}

if TYPE_CHECKING:
    from tfpipe.data.streaming.pipeline import input_fn
    from tfpipe.training.config import RunConfig
    from tfpipe.training.run import train


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfpipe' has no attribute {name!r}")
