"""Give every picture its key and its class, or the reason why it has none."""

import collections
import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from tfpipe.data.inputs.classes import (
    DOGS_VS_CATS,
    check_every_class,
    check_names,
    experiments_order,
    in_label_order,
    labels_of,
)
from tfpipe.data.inputs.places import FilePlace, Place
from tfpipe.data.inputs.sources import Listing
from tfpipe.data.inputs.tables import SPLIT_WORDS, Table

_SPLIT_FOLDERS = {**SPLIT_WORDS, "test1": "test"}
_NOWHERE = FilePlace(path="", size=0)

# What a path or a word tells: (label, reason, detail).
Verdict = tuple[int | None, str, str]


# Slots: there can be a million of them.
@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One input picture.

    Attributes:
        key: its POSIX path below the deepest folder that holds all pictures.
        place: where its bytes are.
        label: its class, or None if it isn't to be written.
        reason, detail: why it isn't, for rejects.jsonl.
        split: the split that the input gives it, "" where it is ours to choose.
        group: the name of what it shows, "" if it has none; pictures of one group
            stay in one split.
    """

    key: str
    place: Place
    label: int | None
    reason: str = ""
    detail: str = ""
    split: str = ""
    group: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledSources:
    """All pictures in key order, the classes in label order, lines for people."""

    sources: tuple[Source, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def label_sources(listing: Listing, class_names: Sequence[str] = ()) -> LabelledSources:
    """Label pictures by a list, by the folder of their class, or by a word of the name.

    Folders it is where at least two stand side by side (or one bears a class's name);
    the class is then the top folder, however deep the picture lies. Otherwise a
    picture's class is the one class name that occurs in its base name as a whole word,
    in any case. Where train/ stands beside validation/ or test/ folders that hold the
    same classes, these are the splits.

    Args:
        listing: what was found.
        class_names: in label order; empty to find them: a list's labels or the folders'
            names, sorted, else dog and cat.

    Raises:
        ValueError: if there are not two classes with a picture each.
    """
    notes: list[str] = []
    chosen = check_names(class_names)
    start = _common_folder(listing.places)
    places = {path[start:]: place for path, place in listing.places.items()}
    if listing.table:
        names, sources = _by_table(listing.table, places, listing.places, chosen)
    else:
        places, splits = _take_splits(places, chosen, notes)
        names, judge = _judge_of(_inner(places, splits), chosen)
        sources = [_by_path(key, place, judge, splits) for key, place in places.items()]
    if chosen and names != chosen:
        notes.append("labels are dog=0, cat=1, as in the experiment")
    folder = next(iter(listing.places))[:start]
    sources += [
        Source(
            key=path.removeprefix(folder),
            place=_NOWHERE,
            label=None,
            reason=reason,
            detail=detail,
        )
        for path, (reason, detail) in listing.refused.items()
    ]
    sources.sort(key=lambda source: source.key)
    sources = _without_train_alone(sources, notes)
    check_every_class(names, [s.label for s in sources], sources[0].key)
    return LabelledSources(
        sources=tuple(sources), class_names=names, notes=tuple(notes)
    )


def _common_folder(paths: Iterable[str]) -> int:
    """Return how many characters the deepest folder of all pictures takes."""
    # A slash before each: commonpath takes no empty path, and a root has one.
    folders = {path.rpartition("/")[0] for path in paths}
    common = os.path.commonpath([f"/{folder}" for folder in folders])
    return len(common) if len(common) > 1 else 0


def _take_splits(
    places: dict[str, Place], chosen: tuple[str, ...], notes: list[str]
) -> tuple[dict[str, Place], dict[str, str]]:
    """Return the places to take and the split of each top folder, {} for no such.

    Folders beside train/ count where they hold pictures of train's classes. Kaggle's
    test1/, whose pictures have none, is left out; with train/ alone left, keys begin
    below it.
    """
    tops = collections.Counter(key.partition("/")[0] for key in places if "/" in key)
    splits = {top: _SPLIT_FOLDERS.get(top.lower(), "") for top in tops}
    found = set(splits.values()) - {""}
    if len(found) < 2:
        return places, {}
    if "train" not in found or not all(splits.values()):
        others = [top for top, split in splits.items() if not split] or ["no train/"]
        raise ValueError(
            f"image_dir must hold the folders of splits alone, train/ among them, got "
            f"{', '.join(sorted(splits))} with {', '.join(sorted(others))}; move or "
            "rename what is no split, name one folder with --image_dir, or list the "
            "pictures in a CSV"
        )
    if len(set(splits.values())) < len(splits):
        raise ValueError(
            "image_dir must hold one folder a split, got "
            f"{', '.join(f'{top}/' for top in sorted(tops))}; keep one name for each "
            "of train, validation and test, or name one folder with --image_dir"
        )
    train = next(top for top, split in splits.items() if split == "train")
    inner = _inner(places, splits)
    in_train = {key: inner[key] for key in inner if key.startswith(f"{train}/")}
    _, judge = _judge_of(in_train, chosen)
    labelled = {
        key.partition("/")[0] for key in inner if judge(inner[key])[0] is not None
    }
    taken = {top: split for top, split in splits.items() if top in labelled | {train}}
    for top in sorted(set(splits) - set(taken)):
        what = f"left out {top}/ with {tops[top]:,} pictures"
        line = f"reading {train}/; {what}" if len(taken) == 1 else f"{what} of no class"
        notes.append(line)
    left = {
        k: p
        for k, p in places.items()
        if k.partition("/")[0] not in set(splits) - set(taken)
    }
    if len(taken) == 1:
        inside = {
            key: place for key, place in left.items() if key.startswith(f"{train}/")
        }
        if len(inside) < len(left):
            beside = len(left) - len(inside)
            notes.append(f"left out {beside:,} pictures that lie beside {train}/")
        start = _common_folder(inside)
        return {key[start:]: place for key, place in inside.items()}, {}
    said = ", ".join(
        f"{top}/" for top in sorted(taken, key=lambda t: taken[t] != "train")
    )
    notes.append(f"taking {said} as the splits that they are")
    return left, taken


def _inner(places: Iterable[str], splits: Mapping[str, str]) -> dict[str, str]:
    """Return, by key, each picture's path below its split's folder."""
    return {key: key.partition("/")[2] if splits else key for key in places}


def _without_train_alone(sources: list[Source], notes: list[str]) -> list[Source]:
    """Open train to validation where the input gives no validation pictures."""
    given = {source.split for source in sources} - {""}
    if "validation" in given:
        notes.append("the input gives its splits: --validation_split isn't used")
    if "train" not in given or "validation" in given:
        return sources
    notes.append("no validation pictures are given: they are chosen out of train")
    return [
        dataclasses.replace(source, split="") if source.split == "train" else source
        for source in sources
    ]


def _by_table(
    table: Table,
    places: Mapping[str, Place],
    paths: Iterable[str],
    chosen: tuple[str, ...],
) -> tuple[tuple[str, ...], list[Source]]:
    """Label pictures by the rows of a list; `paths` are theirs there, in order."""
    words = {row.label for row in table.rows.values() if row.label}
    names = experiments_order(chosen or in_label_order(words))
    labels = labels_of(words, names)
    sources = []
    for (key, place), path in zip(places.items(), paths, strict=True):
        row = table.rows.get(path)
        if row is None:
            why = ("unlabelled", f"not listed in {table.name}")
        elif path in table.twice:
            why = ("ambiguous", f"listed twice in {table.name} with different words")
        elif row.label not in labels:
            why = ("unlabelled", f"label {row.label!r} is no class")
        else:
            source = Source(
                key=key,
                place=place,
                label=labels[row.label],
                split=row.split,
                group=row.group,
            )
            sources.append(source)
            continue
        sources.append(
            Source(key=key, place=place, label=None, reason=why[0], detail=why[1])
        )
    return names, sources


def _judge_of(
    inner: Mapping[str, str], chosen: tuple[str, ...]
) -> tuple[tuple[str, ...], Callable[[str], Verdict]]:
    """Return the class names and what tells a picture's class by its path."""
    folders = {path.partition("/")[0] for path in inner.values() if "/" in path}
    found = in_label_order(folders) if len(folders) > 1 else ()
    names = experiments_order(chosen or found)
    label_of_folder = labels_of(folders, names)
    if label_of_folder:
        return names, lambda path: _folder_verdict(path, label_of_folder)
    names = experiments_order(chosen or DOGS_VS_CATS)
    return names, lambda path: _word_verdict(path, names)


def _by_path(
    key: str, place: Place, judge: Callable[[str], Verdict], splits: Mapping[str, str]
) -> Source:
    top, slash, path = key.partition("/")
    if splits and not slash:
        label, reason, detail = None, "unlabelled", "lies in no split's folder"
    else:
        label, reason, detail = judge(path if splits else key)
    split = splits.get(top, "") if label is not None else ""
    return Source(
        key=key, place=place, label=label, reason=reason, detail=detail, split=split
    )


def _folder_verdict(path: str, labels: Mapping[str, int]) -> Verdict:
    folder, slash, _ = path.partition("/")
    if slash and folder in labels:
        return labels[folder], "", ""
    detail = f"folder {folder} is no class" if slash else "lies in no class folder"
    return None, "unlabelled", detail


def _word_verdict(path: str, names: Sequence[str]) -> Verdict:
    stem = os.path.splitext(path.rpartition("/")[2])[0]
    found = [label for label, name in enumerate(names) if _word(name).search(stem)]
    if len(found) == 1:
        return found[0], "", ""
    if found:
        words = " and ".join(names[label] for label in found)
        return None, "ambiguous", f"name has the words {words}"
    return None, "unlabelled", f"name has none of {', '.join(names)}"


@functools.cache
def _word(word: str) -> re.Pattern[str]:
    """Return what finds `word` where it is no part of a longer word or number.

    Digits and underscores end a word made of letters: cat01 and my_cat are cats.
    """
    edges = _edge(word[0], "<!"), _edge(word[-1], "!")
    return re.compile(edges[0] + re.escape(word) + edges[1], re.IGNORECASE)


def _edge(character: str, look: str) -> str:
    same_kind = r"\d" if character.isdigit() else r"[^\W\d_]"
    return f"(?{look}{same_kind})"
