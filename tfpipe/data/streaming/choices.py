"""The words that settings of streaming can have."""

RESIZES = ("area", "bilinear", "fast")
AUGMENTATIONS = ("crop", "flip", "rotate", "color")
FETCHES = ("auto", "memory", "file")
CACHES = ("auto", "memory", "none")
DECODERS = ("turbo", "tensorflow")
DTYPES = ("float32", "uint8")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of `choices`.

    Raises:
        ValueError: naming the setting, what it must be and what it was.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
