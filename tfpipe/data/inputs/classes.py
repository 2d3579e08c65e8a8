"""Which classes there are, and the order of their labels."""

import collections
import re
from collections.abc import Iterable, Sequence

DOGS_VS_CATS = ("dog", "cat")  # dog=0, cat=1, as in the experiment
_PLURALS = {"dogs": "dog", "cats": "cat"}


def check_every_class(
    names: Sequence[str], labels: Sequence[int | None], example: str
) -> None:
    """Refuse classes without a picture, and fewer than two classes.

    Raises:
        ValueError: naming the classes, and one picture's key for comparison.
    """
    for name in names:
        if not name.isprintable():
            raise ValueError(
                f"class names must be one line of printable text, got {name!r}; rename "
                "the folder or label"
            )
    counts = collections.Counter(labels)
    empty = [name for label, name in enumerate(names) if not counts[label]]
    if empty or len(names) < 2:
        got = f"none of {', '.join(empty)}" if empty else f"only {', '.join(names)}"
        raise ValueError(
            f"every class must have a picture, got {got} among "
            f"{len(labels):,} such as {example}; put each class's pictures into a "
            "folder of its name, or name the words in the file names with "
            "--class_names=a,b"
        )


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the class names that a person gave, () for none.

    Raises:
        ValueError: if they are fewer than two or not all different.
    """
    words = [name.casefold() for name in names]
    if names and (len(names) < 2 or len(set(words)) < len(words)):
        raise ValueError(
            "class_names must be at least two different names, "
            f"got {', '.join(names)}; give them as --class_names=a,b"
        )
    return tuple(names)


def in_label_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort class names: numbers by value, dog before cat, others by letters."""
    found = set(names)
    if all(re.fullmatch(r"\d+", name) for name in found):
        return tuple(sorted(found, key=lambda name: (int(name), name)))
    plain = {_PLURALS.get(name.lower(), name.lower()) for name in found}
    if len(found) == 2 and plain == set(DOGS_VS_CATS):
        return DOGS_VS_CATS
    return tuple(sorted(found))


def labels_of(words: Iterable[str], names: Sequence[str]) -> dict[str, int]:
    """Return the label of each folder or list word that is a class's name."""
    labels = {name.casefold(): label for label, name in enumerate(names)}
    if set(names) == set(DOGS_VS_CATS):
        labels |= {many: labels[one] for many, one in _PLURALS.items()}
    exact = {name: label for label, name in enumerate(names)}
    found = {word: exact.get(word, labels.get(word.casefold())) for word in words}
    return {word: label for word, label in found.items() if label is not None}


def experiments_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return dog and cat in the experiment's order, others as they are."""
    return DOGS_VS_CATS if set(names) == set(DOGS_VS_CATS) else names
