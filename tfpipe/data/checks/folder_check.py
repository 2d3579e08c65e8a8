"""Check what stands beside the shards of a records folder, without believing it."""

import collections
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfpipe.base.files import FolderLock
from tfpipe.data import manifest as manifests
from tfpipe.data.checks.faults import Fault, shown
from tfpipe.data.manifest import Manifest
from tfpipe.data.splits import SPLITS

MAX_JSON_BYTES = 1 << 28  # a million pictures take a few megabytes, if duplicates
MAX_LINE_BYTES = 1 << 16
REJECT_FIELDS = ("key", "reason", "detail")


def open_plain(path: Path) -> io.BufferedReader:
    """Open a file for reading that is neither a link nor a device nor a pipe.

    Raises:
        ValueError: if it is one of these, or absent.
    """
    try:
        kind = path.lstat().st_mode
        if not stat.S_ISREG(kind):
            what = "a symbolic link" if stat.S_ISLNK(kind) else "something else"
            raise ValueError(f"{path.name} must be a plain file, got {what}")
        # As a link may have come in between.
        return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except FileNotFoundError:
        raise ValueError(f"{path.name} must be there, got no such file") from None
    except OSError as error:
        raise ValueError(
            f"{path.name} must be readable, got {error.strerror}"
        ) from None


def read_plain(path: Path) -> bytes:
    """Return the bytes of a metadata file.

    Raises:
        ValueError: if it is no plain file, or a giant.
    """
    with open_plain(path) as file:
        data = file.read(MAX_JSON_BYTES + 1)
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(
            f"{path.name} must be at most {MAX_JSON_BYTES:,} bytes long, got more"
        )
    return data


def open_folder(records_dir: Path) -> Manifest:
    """Return the manifest of a finished records folder; shards aren't looked at.

    Raises:
        ValueError: if there is none, it is being written, or its manifest is not one
            that make_records writes.
    """
    path = records_dir / manifests.METADATA
    is_begun = (records_dir / manifests.PARTIAL_DIR / manifests.IDENTITY).exists()
    is_finished = (records_dir / manifests.DATASET_INFO).exists()
    if not is_finished and (is_begun or not path.exists()):
        raise ValueError(manifests.no_dataset(records_dir))
    if (records_dir / ".lock").is_file() and FolderLock.is_held(records_dir):
        raise ValueError(
            f"records_dir must be finished, got one being written: {records_dir}; "
            "wait for make_records to end"
        )
    read_plain(path)
    manifest = manifests.to_manifest(records_dir, manifests.read_metadata(records_dir))
    of_split = collections.Counter(shard.split for shard in manifest.shards)
    if not of_split or not set(of_split) <= set(manifest.split_sizes):
        raise ValueError(
            f"shards must be of the splits {shown(list(manifest.split_sizes))}, got "
            f"{shown(list(of_split))} in {path}; this manifest was forged or damaged: "
            "don't use it"
        )
    numbers = collections.Counter[str]()
    for shard in manifest.shards:
        name = manifests.shard_name(
            manifest.dataset_name,
            shard.split,
            numbers[shard.split],
            of_split[shard.split],
        )
        numbers[shard.split] += 1
        if shard.file_name != name or re.search(r"[^\w.-]", name):
            raise ValueError(
                f"shard must be called {shown(name)}, got {shown(shard.file_name)} in "
                f"{path}; this manifest was forged or damaged: don't use it"
            )
    return manifest


def folder_faults(manifest: Manifest) -> Iterator[Fault]:
    """Yield the faults of everything but shards and indexes."""
    for what in _number_faults(manifest):
        yield Fault(what=f"{manifests.METADATA}: {what}")
    for find in (_tfds_faults, _reject_faults, _stray_files):
        for what in find(manifest):
            yield Fault(what=what)


def _number_faults(manifest: Manifest) -> Iterator[str]:
    """Yield what metadata.json says against itself."""
    sizes, counts = manifest.split_sizes, manifest.counts
    splits = [split for split in SPLITS if split in sizes]
    if list(sizes) != splits:
        yield f"split_sizes must be of {', '.join(SPLITS)}, got {shown(list(sizes))}"
    in_shards = collections.Counter(dict.fromkeys(sizes, 0))
    for shard in manifest.shards:
        in_shards[shard.split] += shard.num_examples
    if dict(in_shards) != sizes:
        yield f"split_sizes must be {dict(in_shards)} as its shards, got {shown(sizes)}"
    if len(set(manifest.class_names)) < max(2, len(manifest.class_names)):
        yield f"class_names must be two or more, got {shown(manifest.class_names)}"
    written = sum(sizes.values())
    if counts["written"] != written:
        yield f"counts.written must be {written:,}, got {counts['written']:,}"
    if counts["found"] != counts["written"] + counts["rejected"]:
        yield (
            f"counts.found must be written + rejected, {counts['written']:,} + "
            f"{counts['rejected']:,}, got {counts['found']:,}"
        )
    for name in ("dataset_name", "class_names"):
        wanted = getattr(manifest, name)
        wanted = list(wanted) if isinstance(wanted, tuple) else wanted
        if manifest.settings.get(name) != wanted:
            got = manifest.settings.get(name)
            yield f"settings.{name} must be {shown(wanted)}, got {shown(got)}"


def _tfds_faults(manifest: Manifest) -> Iterator[str]:
    """Yield where the files that TFDS reads differ from what metadata.json tells."""
    for name, wanted in manifests.tfds_files(manifest).items():
        try:
            data = read_plain(manifest.records_dir / name)
        except ValueError as error:
            yield str(error)
            continue
        if name == manifests.LABEL_NAMES:
            if data != wanted:
                names = shown(manifest.class_names)
                yield f"{name} must hold {names}, a line each, got {shown(data)}"
            continue
        try:
            difference = _first_difference(json.loads(data), json.loads(wanted), name)
        except (ValueError, RecursionError):
            difference = f"{name} must be JSON, got {shown(data[:80])}"
        if difference:
            yield difference


def _first_difference(got: Any, wanted: Any, where: str) -> str:
    """Return where two JSON values differ, "" if they don't."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        pairs = [
            (f"{where}: {n}", got.get(n), wanted.get(n)) for n in {**wanted, **got}
        ]
    elif isinstance(got, list) and isinstance(wanted, list) and len(got) == len(wanted):
        pairs = [
            (f"{where}[{i}]", *pair)
            for i, pair in enumerate(zip(got, wanted, strict=True))
        ]
    elif type(got) is type(wanted) and got == wanted:
        return ""
    else:
        return f"{where} must be {shown(wanted)}, got {shown(got)}"
    for place, one, other in pairs:
        if difference := _first_difference(one, other, place):
            return difference
    return ""


def _stray_files(manifest: Manifest) -> Iterator[str]:
    """Yield shards and indexes that nothing lists: a glob would read them."""
    listed = set(manifests.dataset_files([s.file_name for s in manifest.shards]))
    index_dir = manifest.records_dir / manifests.INDEX_DIR
    if index_dir.is_symlink():
        yield "index must be a folder, got a symbolic link"
    for folder, prefix in ((manifest.records_dir, ""), (index_dir, "index/")):
        try:
            with os.scandir(folder) as entries:
                names = [e.name for e in entries if ".tfrecord-" in e.name]
        except OSError as error:
            yield f"{folder.name} must be a folder, got {error.strerror}"
            continue
        for name in sorted(names):
            if f"{prefix}{name}" not in listed:
                yield (
                    f"shards must be those of {manifests.METADATA}, got also "
                    f"{shown(prefix + name)}; move it elsewhere"
                )


def _reject_faults(manifest: Manifest) -> Iterator[str]:
    """Yield where rejects.jsonl differs from the counts."""
    name, counts = manifests.REJECTS, manifest.counts
    tally = collections.Counter[str]()
    try:
        file = open_plain(manifest.records_dir / name)
    except ValueError as error:
        yield str(error)
        return
    with file:
        while line := file.readline(MAX_LINE_BYTES):
            try:
                row = json.loads(line)
                if not all(isinstance(row[n], str) for n in REJECT_FIELDS):
                    raise TypeError
            except (TypeError, KeyError, ValueError, RecursionError):
                yield (
                    f"{name} must have {', '.join(REJECT_FIELDS)} in every line, got "
                    f"{shown(line[:80])} as line {tally.total() + 1:,}"
                )
                return
            tally[row["reason"]] += 1
    wanted = counts["rejected_by_reason"]
    if tally != wanted or tally.total() != counts["rejected"]:
        yield (
            f"{name} must list {counts['rejected']:,} sources, by reason "
            f"{shown(wanted)}, got {tally.total():,}: {shown(dict(tally))}"
        )
