"""What a person adds to what the input says: left out, grouped, split as before."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base.words import few
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.inputs.classes import check_every_class
from tfpipe.data.inputs.labels import LabelledSources, Source
from tfpipe.data.manifest import Manifest, index_path, read_manifest
from tfpipe.data.records import iterate_records


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """The sources as they are to be converted.

    Attributes:
        sources: in key order.
        class_names: in label order.
        facts: digests of what decided, for the settings in metadata.json.
        is_extension: whether earlier records give the splits.
        notes: lines for people.
    """

    sources: tuple[Source, ...]
    class_names: tuple[str, ...]
    facts: dict[str, Any]
    is_extension: bool
    notes: tuple[str, ...]


def select(labelled: LabelledSources, config: ConvertConfig) -> Selection:
    """Apply --exclude, --group_regex and --split_like.

    Raises:
        ValueError: if one of them can't act on this input.
    """
    sources, notes = list(labelled.sources), []
    facts: dict[str, Any] = {"excluded_sha256": "", "split_like": ""}
    if config.exclude:
        keys = _read_keys(Path(config.exclude))
        sources, line = _without(sources, keys, config.exclude)
        notes.append(line)
        left_out = [source.key for source in sources if source.reason == "excluded"]
        facts["excluded_sha256"] = _digest(left_out)
    if config.group_regex:
        sources, line = _grouped(sources, config.group_regex)
        notes.append(line)
    given = {source.split for source in sources} - {""}
    if given and config.test_split:
        raise ValueError(
            f"test_split must be 0 where the input gives its splits, got "
            f"{config.test_split}; leave it out"
        )
    if config.split_like:
        if given:
            raise ValueError(
                "split_like must stand alone, got an input that gives its splits "
                f"({', '.join(sorted(given))}); leave --split_like out"
            )
        try:
            old = read_manifest(config.split_like)
        except ValueError as error:
            raise ValueError(f"split_like: {error}") from None
        sources, line = _split_like(sources, old)
        notes.append(line)
        facts["split_like"] = old.fingerprint
    check_every_class(labelled.class_names, [s.label for s in sources], sources[0].key)
    return Selection(
        sources=tuple(sources),
        class_names=labelled.class_names,
        facts=facts,
        is_extension=bool(config.split_like),
        notes=tuple(notes),
    )


def _read_keys(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"exclude must be a UTF-8 file of keys, got {path} ({error}); name the "
            "file with --exclude=FILE"
        ) from None
    return {_key(line.strip()) for line in lines if line.strip()}


def _key(line: str) -> str:
    if line.startswith('{"key": '):
        try:
            return str(json.loads(line)["key"])
        except (ValueError, KeyError):
            pass
    return line


def _without(
    sources: Sequence[Source], keys: set[str], name: str
) -> tuple[list[Source], str]:
    known = keys & {source.key for source in sources}
    left = [
        dataclasses.replace(
            source, label=None, reason="excluded", detail=f"named in {Path(name).name}"
        )
        if source.key in known
        else source
        for source in sources
    ]
    line = f"left out {len(known):,} pictures that {name} names"
    unknown = sorted(keys - known)
    if unknown:
        line += f"; {len(unknown):,} of its keys are no picture here: {few(unknown, 3)}"
    return left, line


def _grouped(sources: Sequence[Source], pattern: str) -> tuple[list[Source], str]:
    if any(source.group for source in sources):
        raise ValueError(
            "group_regex must be left out where the list has a group column, got "
            f"{pattern!r}; keep one of them"
        )
    find = re.compile(pattern)
    grouped = []
    for source in sources:
        match = find.search(source.key)
        group = (match[1] if find.groups else match[0]) if match else ""
        grouped.append(dataclasses.replace(source, group=group or ""))
    names = {source.group for source in grouped} - {""}
    alone = sum(1 for source in grouped if not source.group)
    if not names:
        raise ValueError(
            f"group_regex must match a part of some keys, got {pattern!r} and keys "
            f"such as {sources[0].key}; mend it"
        )
    return (
        grouped,
        f"{len(names):,} groups by --group_regex; {alone:,} pictures in none",
    )


def _split_like(sources: Sequence[Source], old: Manifest) -> tuple[list[Source], str]:
    split_of = {
        record.file_name: shard.split
        for shard in old.shards
        for record in iterate_records(
            old.records_dir / shard.file_name,
            index_path(old.records_dir, shard.file_name),
        )
    }
    kept = [
        dataclasses.replace(source, split=split_of.get(source.key, ""))
        for source in sources
    ]
    num_known = sum(1 for source in kept if source.split)
    if not num_known:
        raise ValueError(
            f"split_like must be records with some of these keys, got none of "
            f"{len(sources):,} such as {sources[0].key} in {old.records_dir}; "
            "compare its keys (image/filename)"
        )
    return kept, (
        f"{num_known:,} pictures keep their split of {old.records_dir}; "
        f"{len(sources) - num_known:,} are new"
    )


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
