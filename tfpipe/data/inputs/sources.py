"""Find the pictures of an input: a folder, an archive, or a list of them.

Nothing is written beside the input and nothing below its root is left out in silence:
what can't be taken is refused with a reason, what is no picture is counted.
"""

import dataclasses
import functools
import os
import posixpath
import stat
from collections.abc import Mapping
from pathlib import Path

from tfpipe.base.words import few
from tfpipe.data.inputs import archives
from tfpipe.data.inputs.archives import Entries
from tfpipe.data.inputs.places import FilePlace, Place, archives_kept_open
from tfpipe.data.inputs.tables import Table, is_table_name, looks_like_table, read_table

PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png"),
    *(".gif", ".bmp", ".webp", ".tif", ".tiff"),
)
ARCHIVE_DEPTH = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listing:
    """The pictures of an input, and in words what else lay there.

    Attributes:
        places: by POSIX path below the input's root.
        refused: (reason, detail) of each picture that can't be taken, by its path.
        table: what a CSV or TSV says about them, if there is one.
        notes: lines for people.
    """

    places: dict[str, Place]
    refused: dict[str, tuple[str, str]]
    table: Table | None
    notes: tuple[str, ...]


@archives_kept_open()
def list_pictures(image_dir: Path, spool_dir: Path, zip_encoding: str = "") -> Listing:
    """List the pictures of a folder, an archive, a CSV or TSV, or Kaggle's outer zip.

    Where there are archives but no pictures (Kaggle's zip, or its extracted folder),
    `train.zip` or the only archive is read in its place. What can't be read by position
    is unpacked into `spool_dir`, which is made when needed.

    Raises:
        ValueError: if there is neither a picture nor an archive to choose.
    """
    shown = os.fspath(image_dir)
    if not image_dir.exists():
        raise ValueError(missing_pictures(shown, "nothing there"))
    if image_dir.is_dir():
        entries = _list_folder(image_dir)
    elif is_table_name(image_dir.name):
        return _list_rows(image_dir)
    else:
        whole = FilePlace(path=shown, size=image_dir.stat().st_size)
        entries = archives.list_archive(shown, whole, spool_dir, zip_encoding)
    notes = entries.notes
    has_archive = not image_dir.is_dir()
    for _ in range(ARCHIVE_DEPTH):
        visible = {n: place for n, place in entries.places.items() if not _is_hidden(n)}
        places = {name: visible[name] for name in visible if _is_picture(name)}
        table = _find_table(visible, shown)
        if table:
            # What a list names is a picture, whatever it is called.
            everything = entries.places
            places |= {n: everything[n] for n in table.rows if n in everything}
        if places:
            if table:
                notes.append(f"labels are those of {table.name}")
                for name in table.rows.keys() - places.keys():
                    detail = f"listed in {table.name}, but not there"
                    entries.refused.setdefault(name, ("missing", detail))
            left = entries.places.keys() - places.keys()
            num_hidden = sum(_is_picture(n) and _is_hidden(n) for n in left)
            if num_hidden:
                notes.append(
                    f"left out {num_hidden:,} hidden pictures: names or folders that "
                    "begin with a dot, __MACOSX"
                )
            num_others = len(left & visible.keys()) - (table is not None)
            if num_others:
                what = "file that is" if num_others == 1 else "files that are"
                notes.append(
                    f"left out {num_others:,} {what} no picture{'s' * (num_others > 1)}"
                )
            if zip_encoding and not has_archive:
                notes.append("zip_encoding cannot act: the pictures lie in no archive")
            return Listing(
                places=places,
                refused=_refused(entries.refused, table, notes),
                table=table,
                notes=tuple(notes),
            )
        if entries.refused and not any(map(archives.is_archive, visible)):
            raise ValueError(
                f"image_dir must hold its pictures, got {len(entries.refused):,} links "
                f"or members that lead outside {shown} or nowhere, such as "
                f"{next(iter(entries.refused))}; name the folder that holds both, or "
                "copy the pictures"
            )
        name = _choose_archive(shown, visible, notes)
        shown = f"{shown}/{name}"
        whole = archives.as_file(shown, visible[name], spool_dir)
        entries = archives.list_archive(shown, whole, spool_dir, zip_encoding)
        has_archive = True
        notes += entries.notes
    raise ValueError(
        f"image_dir must hold its pictures at most {ARCHIVE_DEPTH} archives deep, got "
        f"no picture down to {shown}; unpack the outer ones"
    )


def missing_pictures(shown: str, found: str) -> str:
    """Return the error for an input without pictures: where to get some."""
    return (
        f"image_dir must be a folder or .zip of labelled pictures, got {found}: "
        f"{shown}; get pictures and name their place with --image_dir=PATH\n"
        "  from Kaggle:     kaggle competitions download -c dogs-vs-cats\n"
        "                   (403 until you accept the competition's rules on its page,"
        "\n                   https://www.kaggle.com/c/dogs-vs-cats/rules)\n"
        "  from Microsoft:  the PetImages zip, folders Cat/ and Dog/\n"
        "                   (https://www.microsoft.com/download/details.aspx?id=54765)"
        "\n  from neither:    python tools/make_demo_images.py"
    )


def _is_picture(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in PICTURE_SUFFIXES


def _is_hidden(name: str) -> bool:
    is_first = name.startswith((".", "__MACOSX/"))
    return is_first or "/." in name or "/__MACOSX/" in name


def _refused(
    refused: Mapping[str, tuple[str, str]], table: Table | None, notes: list[str]
) -> dict[str, tuple[str, str]]:
    """Return the pictures among what was refused; count the rest."""
    # Dots and slashes hide nothing here: "../cat.jpg" is refused as what it is.
    listed = table.rows if table else {}
    pictures = {
        name: why
        for name, why in refused.items()
        if _is_picture(name) or name in listed
    }
    if len(pictures) < len(refused):
        notes.append(
            f"left out {len(refused) - len(pictures):,} links or members that lead "
            "outside the input or nowhere"
        )
    return pictures


def _list_folder(root: Path) -> Entries:
    """List the files below `root`; links are followed as long as they stay inside."""
    found, inside, num_others = Entries(), os.path.realpath(root), 0
    stack: list[tuple[str, str, tuple[str, ...]]] = [(os.fspath(root), "", (inside,))]
    while stack:
        folder, prefix, chain = stack.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                # A name that isn't UTF-8 couldn't be written into a record.
                name = prefix + os.fsencode(entry.name).decode(
                    "utf-8", "backslashreplace"
                )
                real = os.path.realpath(entry.path) if entry.is_symlink() else ""
                if real and not _is_below(real, inside):
                    goal = os.path.relpath(real, inside)
                    found.refused[name] = ("outside_link", f"links to {goal}")
                elif entry.is_dir():
                    real = real or f"{chain[-1]}/{entry.name}"
                    # A link to a folder that holds it would go round for ever.
                    if real not in chain:
                        stack.append((entry.path, f"{name}/", (*chain, real)))
                elif entry.is_file():
                    size = entry.stat().st_size
                    found.places[name] = FilePlace(path=entry.path, size=size)
                elif real and not os.path.exists(real):
                    goal = os.path.relpath(real, inside)
                    found.refused[name] = ("missing", f"links to {goal}, not there")
                else:
                    num_others += 1
    if num_others:
        found.notes.append(f"left out {num_others:,} pipes, sockets or devices")
    return found


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _find_table(visible: Mapping[str, Place], shown: str) -> Table | None:
    """Read the one CSV or TSV with the columns of a label list, if there is one.

    It is looked for in the deepest folder that holds all pictures and above it.
    """
    folders = {name.rpartition("/")[0] for name in visible if _is_picture(name)}
    folder = os.path.commonpath([f"/{name}" for name in folders or {""}])
    candidates = [
        name
        for name in sorted(visible)
        if is_table_name(name) and _is_below(folder, f"/{os.path.dirname(name)}")
    ]
    tables = []
    for name in candidates:
        try:
            if looks_like_table(visible[name], name):
                tables.append(name)
        except ValueError as error:
            raise ValueError(
                f"lists in {shown} must be readable, got {error} for {name}; unpack "
                "the archive, or name its pictures' folder"
            ) from None
    if len(tables) > 1:
        raise ValueError(
            f"image_dir must hold one list of labels, got {', '.join(tables[:5])} in "
            f"{shown}; name the one to use with --image_dir"
        )
    if not tables:
        return None
    name = tables[0]
    return read_table(visible[name].read(), name, os.path.dirname(name))


def _list_rows(path: Path) -> Listing:
    """List the pictures that the rows of a CSV or TSV name, below its folder."""
    root = os.path.realpath(path.parent)
    table = read_table(path.read_bytes(), path.name, "", root)
    found = Entries()
    real_folder = functools.cache(os.path.realpath)
    for name in table.rows:
        place = os.path.join(path.parent, name)
        try:
            status = os.stat(place)
        except (OSError, ValueError) as error:  # ValueError: no file has such a name
            detail = error.strerror if isinstance(error, OSError) else error
            found.refused[name] = ("missing", str(detail))
            continue
        real = real_folder(os.path.dirname(place))
        if os.path.islink(place):
            real = os.path.realpath(place)
        if not _is_below(real, root):
            detail = f"lies outside the folder of {path.name}"
            found.refused[name] = ("outside_link", detail)
        elif not stat.S_ISREG(status.st_mode):
            found.refused[name] = ("missing", "no plain file")
        else:
            found.places[name] = FilePlace(path=place, size=status.st_size)
    if not found.places:
        raise ValueError(
            f"{path} must list pictures below {root}, got none that is there among "
            f"{len(table.rows):,} rows such as {next(iter(table.rows), '')!r}; put the "
            "list into the folder that its paths start from"
        )
    return Listing(places=found.places, refused=found.refused, table=table, notes=())


def _choose_archive(shown: str, entries: Mapping[str, Place], notes: list[str]) -> str:
    """Return the name of the archive to read: train's, or the only one."""
    names = sorted(filter(archives.is_archive, entries))
    train = [
        name
        for name in names
        if posixpath.basename(name).lower().partition(".")[0] == "train"
    ]
    if not names:
        raise ValueError(missing_pictures(shown, "no picture below"))
    if len(train) != 1 and len(names) != 1:
        raise ValueError(
            f"image_dir must hold pictures, one archive or one train.zip, got "
            f"{few(names, 5)} in {shown}; name the one to read with --image_dir"
        )
    chosen = train[0] if len(train) == 1 else names[0]
    others = [name for name in sorted(entries) if name != chosen]
    line = f"reading {chosen} in {shown}"
    notes.append(line + (f"; left out {few(others, 3)}" if others else ""))
    return chosen
