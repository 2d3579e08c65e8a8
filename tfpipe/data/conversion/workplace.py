"""The records folder while it is written: whose it is, what is left of a last time."""

import contextlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.data import manifest as manifests
from tfpipe.data.manifest import Manifest

SCAN, SHARDS, SPOOL = "scan", "shards", "spool"
# What we write below .partial: nothing else there is ever removed.
_OURS = (
    f"{SCAN}/[0-9]*.json*",
    f"{SCAN}/[0-9]*.jpegs*",
    f"{SHARDS}/*.tfrecord-*",
    f"{SPOOL}/*.zip*",
    f"{SPOOL}/*.tar*",
    "cleared",
    f"{manifests.REJECTS}*",
    f"{manifests.IDENTITY}*",
)


@contextlib.contextmanager
def open_records_dir(records_dir: Path) -> Iterator[Path]:
    """Lock a records folder and yield its .partial folder.

    A folder that was made here and got nothing (a wrong input) goes again.
    """
    refuse_foreign(records_dir)
    records_dir.mkdir(parents=True, exist_ok=True)
    with files.FolderLock(records_dir) as lock:
        try:
            yield records_dir / manifests.PARTIAL_DIR
        finally:
            remove_if_empty(records_dir, lock.path)


def refuse_foreign(records_dir: Path) -> None:
    """Refuse a folder with files that aren't ours, before anything is written there.

    Raises:
        ValueError: naming one of them.
    """
    if not records_dir.exists():
        return
    if not records_dir.is_dir():
        raise ValueError(
            f"records_dir must be a folder, got the file {records_dir}; choose another "
            "with --records_dir"
        )
    names = {entry.name for entry in records_dir.iterdir()} - {".lock"}
    if names and not names & {manifests.METADATA, manifests.PARTIAL_DIR}:
        raise ValueError(
            f"records_dir must be empty or hold our records, got {min(names)} in "
            f"{records_dir}; choose another folder with --records_dir"
        )


def remove_if_empty(records_dir: Path, lock_path: Path) -> None:
    """Remove a records folder in which there is nothing but its lock."""
    if list(records_dir.iterdir()) == [lock_path]:
        lock_path.unlink()
        records_dir.rmdir()


def finished_equal(records_dir: Path, settings: dict[str, Any]) -> Manifest | None:
    """Return the manifest if these very records stand there finished.

    Raises:
        ValueError: if what stands there is foreign, of other settings, or damaged.
    """
    if not (records_dir / manifests.DATASET_INFO).exists():
        return None
    metadata = manifests.read_metadata(records_dir)
    found = manifests.to_manifest(records_dir, metadata)
    _refuse_other(records_dir, "finished records", found.settings, settings)
    return found


def begin(partial: Path, identity: dict[str, Any], overwrite: bool) -> bool:
    """Make or take up the .partial folder; tell whether there was one to take up.

    Args:
        partial: the folder.
        identity: settings, versions and command of this conversion.
        overwrite: drop unfinished work of other settings, and take a records folder
            with finished records.

    Raises:
        ValueError: if unfinished work is of other settings, or the records folder
            holds files that aren't ours.
    """
    if is_begun(partial):
        try:
            refuse_other_work(partial, identity)
        except ValueError:
            if not overwrite:
                raise
            remove_moved(partial)
            remove_partial(partial)
        else:
            return True
    if (partial.parent / manifests.METADATA).exists():
        manifests.read_metadata(partial.parent)
    # What a stopped mending left there; the spool is this conversion's own.
    _remove(partial, [pattern for pattern in _OURS if not pattern.startswith(SPOOL)])
    make_folders(partial)
    files.write_json(partial / manifests.IDENTITY, identity)
    return False


def is_begun(partial: Path) -> bool:
    """Tell whether there is unfinished work."""
    return (partial / manifests.IDENTITY).exists()


def refuse_other_work(partial: Path, identity: dict[str, Any]) -> None:
    """Refuse unfinished work of other settings.

    Raises:
        ValueError: naming what differs.
    """
    found = json.loads((partial / manifests.IDENTITY).read_bytes())
    for part in ("settings", "versions"):
        _refuse_other(partial.parent, "unfinished work", found[part], identity[part])


def make_folders(partial: Path) -> None:
    """Make the folders of unfinished work."""
    for name in (SCAN, SHARDS):
        (partial / name).mkdir(parents=True, exist_ok=True)


def _refuse_other(
    records_dir: Path, what: str, found: dict[str, Any], wanted: dict[str, Any]
) -> None:
    names = [n for n in {**found, **wanted} if found.get(n) != wanted.get(n)]
    if names:
        differences = ", ".join(
            "other pictures"
            if name == "pictures_sha256"
            else f"{name} {_shown(wanted.get(name))} instead of "
            f"{_shown(found.get(name))}"
            for name in names
        )
        raise ValueError(
            f"{what} in {records_dir} must have the settings asked for, got "
            f"{differences}; start again with --overwrite, or choose another "
            "--records_dir"
        )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    text = str(value)
    # Digests by their beginning; what a person wrote, whole.
    return text[:16] if re.fullmatch("[0-9a-f]{64}", text) else text


def remove_partial(partial: Path) -> None:
    """Remove what we wrote below .partial; the identity goes last."""
    _remove(partial, _OURS)
    for folder in (SCAN, SHARDS, SPOOL, "."):
        with contextlib.suppress(OSError):  # absent, or not ours alone
            (partial / folder).rmdir()


def _remove(partial: Path, patterns: Sequence[str]) -> None:
    for pattern in patterns:
        for path in partial.glob(pattern):
            path.unlink()


def remove_moved(partial: Path) -> None:
    """Remove what a conversion stopped in publishing had moved into place already."""
    if not is_cleared(partial):
        return
    names = [path.stem for path in (partial / SHARDS).glob("*.tfrecord-*.json")]
    for name in manifests.dataset_files(names):
        (partial.parent / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # absent
        (partial.parent / manifests.INDEX_DIR).rmdir()


def is_cleared(partial: Path) -> bool:
    """Tell whether the records folder is ready for the new shards."""
    return (partial / "cleared").exists()


def clear_old(records_dir: Path, partial: Path) -> None:
    """Remove the dataset that is overwritten: what its own manifest lists, no more.

    Its dataset_info.json goes first and its metadata.json, the list, last, so that
    a kill in between leaves no half dataset and can be taken up.
    """
    if is_cleared(partial):
        return
    if (records_dir / manifests.METADATA).exists():
        shards = manifests.read_metadata(records_dir)["shards"]
        names = [shard["file_name"] for shard in shards]
        for name in manifests.dataset_files(names):
            (records_dir / name).unlink(missing_ok=True)
    (partial / "cleared").touch()


def move(source: Path, target: Path) -> None:
    """Move a finished file into place, unless that was done before a kill."""
    if source.exists():
        os.replace(source, target)
