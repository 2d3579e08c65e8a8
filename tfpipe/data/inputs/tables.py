"""Read a list of pictures: CSV or TSV with path, label and maybe split and group."""

import csv
import dataclasses
import io
import os
import posixpath

from tfpipe.data.inputs.places import Place

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_REQUIRED = ("path", "label")
_COLUMNS = (*_REQUIRED, "split", "group")
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
HEAD_BYTES = 4096
MAX_TABLE_BYTES = 1 << 28  # some three million pictures


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What a list says of one picture; "" where it says nothing."""

    label: str
    split: str = ""
    group: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A list of pictures.

    Attributes:
        name: of its file, for messages.
        rows: by POSIX path below the input's root.
        twice: paths that stand in it with different words.
    """

    name: str
    rows: dict[str, Row]
    twice: frozenset[str]


def is_table_name(name: str) -> bool:
    """Tell by its name whether a file is a CSV or TSV."""
    return posixpath.splitext(name.lower())[1] in _DELIMITERS


def looks_like_table(place: Place, name: str) -> bool:
    """Tell by its first line whether a CSV or TSV has the columns of a list."""
    head = dataclasses.replace(place, size=min(place.size, HEAD_BYTES))
    try:
        data = head.read() if head.size else b""
    except ValueError:  # packed: only the whole can be read
        _check_size(place)
        data = place.read()
    first = data.partition(b"\n")[0].decode("utf-8-sig", "replace")
    is_table = set(_REQUIRED) <= set(_columns([first], name))
    if is_table:
        _check_size(place)
    return is_table


def _check_size(place: Place) -> None:
    if place.size > MAX_TABLE_BYTES:
        raise ValueError(f"{place.size:,} bytes, above {MAX_TABLE_BYTES:,}")


def _columns(lines: list[str], name: str) -> list[str]:
    delimiter = _DELIMITERS[posixpath.splitext(name.lower())[1]]
    try:
        header = next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error:
        return []
    return [word.strip().lower() for word in header]


def read_table(data: bytes, name: str, folder: str, root: str = "") -> Table:
    """Read a list whose paths start from `folder`.

    Args:
        data: the file's bytes, UTF-8.
        name: its name; the ending tells commas (.csv) from tabs (.tsv).
        folder: POSIX path below the input's root that the paths start from.
        root: absolute paths below it are taken, too; "" for none.

    Raises:
        ValueError: for another encoding, missing columns, an unknown split, or a split
            in some rows only.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} must be UTF-8 text, got other bytes ({error}); save it as UTF-8"
        ) from None
    columns = _columns(text.splitlines()[:1], name)
    missing = [word for word in _REQUIRED if word not in columns]
    if missing:
        raise ValueError(
            f"{name} must have the columns {', '.join(_REQUIRED)} and may have split "
            f"and group, got {', '.join(columns) or 'no header'}; rename its columns"
        )
    delimiter = _DELIMITERS[posixpath.splitext(name.lower())[1]]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    where = {word: columns.index(word) for word in _COLUMNS if word in columns}
    rows: dict[str, Row] = {}
    twice = set()
    try:
        next(reader)
        for cells in reader:
            if not any(cells):
                continue
            values = {
                word: cells[place].strip() if place < len(cells) else ""
                for word, place in where.items()
            }
            path = _path(values.pop("path"), folder, root)
            values["split"] = _split(values.get("split", ""), name, reader.line_num)
            row = Row(**values)
            if rows.setdefault(path, row) != row:
                twice.add(path)
    except csv.Error as error:
        raise ValueError(
            f"{name} must be a well-formed table, got {error} in line "
            f"{reader.line_num}; mend that line"
        ) from None
    with_split = sum(1 for row in rows.values() if row.split)
    if with_split not in (0, len(rows)):
        raise ValueError(
            f"{name} must give a split in every row or in none, got it in "
            f"{with_split:,} of {len(rows):,}; fill the column or leave it out"
        )
    return Table(
        name=name,
        rows=rows,
        twice=frozenset(twice),
    )


def _path(text: str, folder: str, root: str) -> str:
    if root and os.path.isabs(text):
        folder, base = os.path.split(text)
        below = os.path.relpath(os.path.join(os.path.realpath(folder), base), root)
        return text if below.startswith("..") else below
    return posixpath.normpath(posixpath.join(folder, text))


def _split(word: str, name: str, line: int) -> str:
    if word and word.lower() not in SPLIT_WORDS:
        raise ValueError(
            f"split must be one of train, validation, test, got {word!r} in line "
            f"{line} of {name}; mend that line"
        )
    return SPLIT_WORDS.get(word.lower(), "")
