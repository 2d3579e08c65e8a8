"""Give every picture its key and its class, or the reason why it has none."""

import collections
import dataclasses
import os
import re
from collections.abc import Mapping, Sequence

from tfpipe.data.sources import Place

DOGS_VS_CATS = ("dog", "cat")  # dog=0, cat=1, as in the experiment
_PLURALS = {"dogs": "dog", "cats": "cat"}
_TEST_FOLDERS = {"test", "test1"}
_VALIDATION_FOLDERS = {"val", "valid", "validation"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """One input picture.

    Attributes:
        key: its POSIX path below the deepest folder that holds all pictures.
        place: where its bytes are.
        label: its class, or None if it has none.
        reason, detail: why it has none, for rejects.jsonl.
    """

    key: str
    place: Place
    label: int | None
    reason: str = ""
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledSources:
    """All pictures in key order, the classes in label order, lines for people."""

    sources: tuple[Source, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def label_sources(
    places: Mapping[str, Place], class_names: Sequence[str] = ()
) -> LabelledSources:
    """Label pictures by the folder of their class, or by the class word in their name.

    Folders it is where at least two stand side by side (or one bears a class's name);
    the class is then the top folder, however deep the picture lies. Otherwise a
    picture's class is the one class name that occurs in its base name as a whole word,
    in any case.

    Args:
        places: by POSIX path.
        class_names: in label order; empty to find them: the folders' names, sorted,
            else dog and cat.

    Raises:
        ValueError: if there are not two classes with a picture each.
    """
    notes: list[str] = []
    places = _below_common_folder(places)
    places = _training_folder(places, notes)
    folders = {key.partition("/")[0] for key in places if "/" in key}
    names = _check_names(class_names) or _names_from_folders(folders)
    label_of_folder = _match_folders(folders, names)
    if not label_of_folder:
        names = names if class_names else DOGS_VS_CATS
    if set(names) == set(DOGS_VS_CATS) and names != DOGS_VS_CATS:
        if class_names:
            notes.append("labels are dog=0, cat=1, as in the experiment")
        names = DOGS_VS_CATS
        label_of_folder = _match_folders(folders, names)
    sources = tuple(
        _by_folder(key, place, label_of_folder)
        if label_of_folder
        else _by_word(key, place, names)
        for key, place in sorted(places.items())
    )
    check_every_class(names, [s.label for s in sources], sources[0].key)
    return LabelledSources(sources=sources, class_names=names, notes=tuple(notes))


def check_every_class(
    names: Sequence[str], labels: Sequence[int | None], example: str
) -> None:
    """Refuse classes without a picture.

    Raises:
        ValueError: naming the classes, and one picture's key for comparison.
    """
    counts = collections.Counter(labels)
    empty = [name for label, name in enumerate(names) if not counts[label]]
    if empty:
        raise ValueError(
            f"every class must have a picture, got none of {', '.join(empty)} among "
            f"{len(labels):,} such as {example}; put each class's pictures into a "
            "folder of its name, or name the words in the file names with "
            "--class_names=a,b"
        )


def _below_common_folder(places: Mapping[str, Place]) -> dict[str, Place]:
    # A slash before each: commonpath takes no empty path, and a root has one.
    common = os.path.commonpath([f"/{os.path.dirname(key)}" for key in places])
    start = len(common.rstrip("/"))
    return {key[start:].lstrip("/"): place for key, place in places.items()}


def _training_folder(places: dict[str, Place], notes: list[str]) -> dict[str, Place]:
    """Take train/ alone where test folders stand beside it, as Kaggle lays them out."""
    tops = collections.Counter(key.partition("/")[0] for key in places if "/" in key)
    by_name = {top.lower(): top for top in tops}
    others = set(by_name) - {"train"}
    known = _TEST_FOLDERS | _VALIDATION_FOLDERS
    if "train" not in by_name or not others or not others <= known:
        return places
    if others & _VALIDATION_FOLDERS:
        raise ValueError(
            f"image_dir must hold one set of pictures, got the splits "
            f"{', '.join(sorted(tops))}; name one of them with --image_dir"
        )
    train = by_name["train"]
    for top in sorted(set(tops) - {train}):
        notes.append(f"reading {train}/; left out {top}/ with {tops[top]:,} pictures")
    inside = {key: p for key, p in places.items() if key.startswith(f"{train}/")}
    return _below_common_folder(inside)


def _check_names(names: Sequence[str]) -> tuple[str, ...]:
    words = [name.casefold() for name in names]
    if names and (len(names) < 2 or len(set(words)) < len(words)):
        raise ValueError(
            "class_names must be at least two different names, "
            f"got {', '.join(names)}; give them as --class_names=a,b"
        )
    return tuple(names)


def _names_from_folders(folders: set[str]) -> tuple[str, ...]:
    """Return the class names that sibling folders give, () for fewer than two."""
    if len(folders) < 2:
        return ()
    plain = {_PLURALS.get(name.lower(), name.lower()) for name in folders}
    if len(folders) == 2 and plain == set(DOGS_VS_CATS):
        return DOGS_VS_CATS
    return tuple(sorted(folders))


def _match_folders(folders: set[str], names: Sequence[str]) -> dict[str, int]:
    """Return the label of each folder that bears a class's name."""
    labels = {name.casefold(): label for label, name in enumerate(names)}
    if set(names) == set(DOGS_VS_CATS):
        labels |= {many: labels[one] for many, one in _PLURALS.items()}
    exact = {name: label for label, name in enumerate(names)}
    found = {f: exact.get(f, labels.get(f.casefold())) for f in folders}
    return {folder: label for folder, label in found.items() if label is not None}


def _by_folder(key: str, place: Place, labels: Mapping[str, int]) -> Source:
    folder, slash, _ = key.partition("/")
    if slash and folder in labels:
        return Source(key=key, place=place, label=labels[folder])
    detail = f"folder {folder} is no class" if slash else "lies in no class folder"
    return Source(key=key, place=place, label=None, reason="unlabelled", detail=detail)


def _by_word(key: str, place: Place, names: Sequence[str]) -> Source:
    stem = os.path.splitext(key.rpartition("/")[2])[0]
    found = [label for label, name in enumerate(names) if _has_word(stem, name)]
    if len(found) == 1:
        return Source(key=key, place=place, label=found[0])
    if found:
        reason, which = "ambiguous", " and ".join(names[label] for label in found)
        detail = f"name has the words {which}"
    else:
        reason, detail = "unlabelled", f"name has none of {', '.join(names)}"
    return Source(key=key, place=place, label=None, reason=reason, detail=detail)


def _has_word(text: str, word: str) -> bool:
    """Tell whether `word` stands in `text`, not as a part of a longer word or number.

    Digits and underscores end a word made of letters: cat01 and my_cat are cats.
    """
    return (
        re.search(
            _edge(word[0], "<!") + re.escape(word) + _edge(word[-1], "!"),
            text,
            re.IGNORECASE,
        )
        is not None
    )


def _edge(character: str, look: str) -> str:
    same_kind = r"\d" if character.isdigit() else r"[^\W\d_]"
    return f"(?{look}{same_kind})"
