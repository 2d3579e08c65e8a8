"""A person's own code: `package.module:attribute`."""

import importlib
from typing import Any


def load_own(name: str) -> Any:
    """Return what `package.module:attribute` names.

    Raises:
        ValueError: where it doesn't import, or there is none.
    """
    module, _, attribute = name.partition(":")
    try:
        loaded = importlib.import_module(module)
    except Exception as error:
        raise ValueError(
            f"{module} must import, got {type(error).__name__}: {error}; mend it or "
            "name another"
        ) from error
    if not hasattr(loaded, attribute):
        raise ValueError(
            f"{name} must be a name in {module}, got none called {attribute}"
        )
    return getattr(loaded, attribute)
