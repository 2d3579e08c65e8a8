"""What metadata.json must be made of, checked before anything in it is believed."""

import reprlib
from typing import Any

# int: a whole number from 0; str: text; dict: any object; [x]: a list of x; (x, y): a
# list of exactly these; {"name": x}: an object with at least these; {str: x}: by name.
METADATA_SHAPE: dict[Any, Any] = {
    "format_version": int,
    "dataset_name": str,
    "class_names": [str],
    "split_sizes": [(str, int)],
    "shards": [
        {
            "file_name": str,
            "split": str,
            "num_examples": int,
            "num_bytes": int,
            "sha256": str,
        }
    ],
    "fingerprint": str,
    "settings": dict,
    "counts": {
        "found": int,
        "written": int,
        "rejected": int,
        "rejected_by_reason": {str: int},
        "normalised": int,
        "by_split": {str: {str: int}},
    },
}

_NAMES = {int: "a whole number from 0", str: "text", dict: "an object"}


def check_shape(value: Any, shape: Any, where: str) -> None:
    """Refuse a JSON value that isn't made as `shape` says.

    Raises:
        ValueError: naming the place, what it must be and what it was.
    """
    if isinstance(shape, type):
        if not _is_of(value, shape):
            raise _refusal(where, _NAMES[shape], value)
    elif isinstance(shape, list | tuple):
        length = "" if isinstance(shape, list) else f" of {len(shape)}"
        if not isinstance(value, list) or (length and len(value) != len(shape)):
            raise _refusal(where, f"a list{length}", value)
        shapes = shape if length else shape * len(value)
        for index, (item, inner) in enumerate(zip(value, shapes, strict=True)):
            check_shape(item, inner, f"{where}[{index}]")
    else:
        if not isinstance(value, dict):
            raise _refusal(where, "an object", value)
        for name, inner in shape.items():
            if name is str:
                for item in value:
                    check_shape(item, str, f"a name in {where}")
                    check_shape(value[item], inner, f"{where}.{item}")
            elif name not in value:
                raise _refusal(where, f"an object with {name}", list(value))
            else:
                check_shape(value[name], inner, f"{where}.{name}")


def _is_of(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and 0 <= value < 2**63
    if kind is str and isinstance(value, str):
        # JSON can spell halves of characters, which no file or terminal can hold.
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    return isinstance(value, kind)


def _refusal(where: str, expected: str, value: Any) -> ValueError:
    return ValueError(
        f"{where} must be {expected}, got {reprlib.repr(value)}; "
        "this manifest was forged or damaged: don't use it"
    )
