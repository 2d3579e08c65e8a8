"""What settings of streaming can be, and refusing what they can't."""

import numpy as np

RESIZES = ("area", "bilinear", "fast")
AUGMENTATIONS = ("crop", "flip", "rotate", "color")
FETCHES = ("auto", "memory", "file")
CACHES = ("auto", "memory", "none")
DECODERS = ("turbo", "tensorflow")
DTYPES = ("float32", "uint8")
MOST_VALIDATION = 0.9


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of `choices`.

    Raises:
        ValueError: naming the setting, what it must be and what it was.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_whole(name: str, value: object, least: int) -> None:
    """Refuse what isn't a whole number of at least `least`.

    Raises:
        ValueError: naming it.
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least:  # type: ignore[operator]  # a number by now
        raise ValueError(
            f"{name} must be a whole number of at least {least}, got {value!r}"
        )


def check_share(name: str, value: object) -> None:
    """Refuse what isn't a fraction from 0 to MOST_VALIDATION.

    Raises:
        ValueError: naming it.
    """
    is_number = isinstance(value, int | float | np.floating)
    if not is_number or not 0 <= value <= MOST_VALIDATION:  # type: ignore[operator]
        raise ValueError(
            f"{name} must be a number from 0 to {MOST_VALIDATION}, got {value!r}"
        )
