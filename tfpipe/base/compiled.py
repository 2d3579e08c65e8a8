"""Our functions in C: plain libraries called through ctypes, without Python's lock."""

import ctypes
from pathlib import Path
from typing import Any


def find_function(folder: Path, library: str, name: str) -> Any | None:
    """Return a function of a library that was built into a folder.

    Args:
        folder: of the module that calls it.
        library: the file's name without its endings.
        name: of the function; it ends with a number that changes with the arguments.

    Returns:
        None where no C compiler was there when tfpipe was installed.
    """
    for path in sorted(folder.glob(f"{library}*.so")):
        try:
            return getattr(ctypes.CDLL(str(path)), name)
        except (OSError, AttributeError):  # of another machine, or of an older tfpipe
            continue
    return None
