"""Plan: what goes where, a pure function of the scan's verdicts."""

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base.words import few
from tfpipe.data import splits
from tfpipe.data.allotment import Allotment, allot
from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.conversion.shards import ShardJob
from tfpipe.data.inputs.classes import check_every_class
from tfpipe.data.inputs.labels import Source
from tfpipe.data.manifest import shard_name

MOST_SHOWN = 5  # warnings of one kind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """The shards to write, in global order.

    Attributes:
        class_names: in label order.
        split_sizes: records of each split.
        jobs: one a shard.
        duplicates: groups of byte-identical pictures, their keys.
        num_groups: groups that a person named, of two pictures or more.
        moved: keys of pictures that left the split that the input gave them.
        notes: lines for people.
    """

    class_names: tuple[str, ...]
    split_sizes: dict[str, int]
    jobs: tuple[ShardJob, ...]
    duplicates: tuple[tuple[str, ...], ...]
    num_groups: int
    moved: tuple[str, ...]
    notes: tuple[str, ...]


def make_plan(
    rows: Sequence[Scanned],
    class_names: tuple[str, ...],
    *,
    dataset_name: str,
    validation_split: float,
    test_split: float,
    num_shards: int,
    shard_dir: Path,
    is_extension: bool = False,
) -> Plan:
    """Order the pictures to write, split them, cut the shards.

    Raises:
        ValueError: if a class or train is left without pictures, or `num_shards`
            doesn't fit.
    """
    labels = [row.label for row in rows]
    if not rows:
        raise ValueError(
            "pictures must decode, got none that does; rejects.jsonl in the .partial "
            "folder of --records_dir says why for each"
        )
    check_every_class(class_names, labels, rows[0].key)
    contents, names = [row.sha256 for row in rows], [row.group for row in rows]
    groups = duplicates = splits.find_groups(contents)
    named = splits.find_groups(names)
    if named:
        groups = splits.find_groups(contents, names)
    allotment = allot(
        [row.key for row in rows],
        labels,
        groups,
        given=[row.split for row in rows],
        validation_split=validation_split,
        test_split=test_split,
        is_extension=is_extension,
    )
    sizes = allotment.sizes
    num_bytes = sum(row.stored.size for row in rows)
    num_splits = sum(1 for size in sizes.values() if size)
    num_shards = num_shards or splits.auto_num_shards(len(rows), num_bytes, num_splits)
    ordered = [rows[position] for position in allotment.order]
    has_groups = any(names)
    jobs = tuple(
        ShardJob(
            file_name=shard_name(dataset_name, split, index, count),
            split=split,
            first_id=start,
            rows=tuple(ordered[start:end]),
            class_names=class_names,
            shard_dir=os.fspath(shard_dir),
            has_groups=has_groups,
        )
        for split, index, count, start, end in splits.shard_ranges(sizes, num_shards)
    )
    return Plan(
        class_names=class_names,
        split_sizes=sizes,
        jobs=jobs,
        duplicates=tuple(
            tuple(sorted(rows[i].key for i in group)) for group in duplicates
        ),
        num_groups=len(named),
        moved=tuple(sorted(rows[i].key for i in allotment.moved)),
        notes=_notes(rows, duplicates, named, class_names, allotment),
    )


def _notes(
    rows: Sequence[Scanned],
    duplicates: Sequence[list[int]],
    named: Sequence[list[int]],
    class_names: Sequence[str],
    allotment: Allotment,
) -> tuple[str, ...]:
    notes = []
    if duplicates:
        notes.append(
            f"{sum(map(len, duplicates)):,} pictures are byte-identical with another, "
            f"in {len(duplicates):,} groups: none is parted by a split"
        )
    if named:
        notes.append(
            f"{sum(map(len, named)):,} pictures stand in {len(named):,} named groups "
            "of two or more: none is parted by a split"
        )
    if allotment.moved:
        keys = sorted(rows[i].key for i in allotment.moved)
        notes.append(
            f"WARNING: {len(keys):,} pictures left the split given to them, because "
            f"others of their group have another: {few(keys)}; metadata.json lists them"
        )
    off = {
        split: size
        for split, size in allotment.sizes.items()
        if size != allotment.targets[split]
    }
    if off:
        sizes = ", ".join(
            f"{split} {size:,} instead of {allotment.targets[split]:,}"
            for split, size in off.items()
        )
        notes.append(f"whole groups and kept splits give other totals: {sizes}")
    notes += _missing_classes(rows, class_names, allotment)
    twice = []
    for group in duplicates:
        if len({rows[i].label for i in group}) > 1:
            names = [f"{rows[i].key} ({class_names[rows[i].label]})" for i in group]
            twice.append(f"WARNING: the same bytes under two classes: {few(names)}")
    if len(twice) > MOST_SHOWN:
        more = f"... and {len(twice) - MOST_SHOWN:,} more such groups: report.html"
        twice = [*twice[:MOST_SHOWN], more]
    return (*notes, *twice)


def _missing_classes(
    rows: Sequence[Scanned], class_names: Sequence[str], allotment: Allotment
) -> list[str]:
    """Return a warning for each split that lacks some class."""
    lines, start = [], 0
    for split, size in allotment.sizes.items():
        found = {rows[i].label for i in allotment.order[start : start + size]}
        start += size
        missing = [n for label, n in enumerate(class_names) if label not in found]
        if size and missing:
            lines.append(f"WARNING: {split} has no picture of {few(missing)}")
    return lines


def count_pictures(
    plan: Plan, sources: Sequence[Source], rejects: Sequence[dict[str, str]]
) -> dict[str, Any]:
    """Return the counts of a conversion, by reason, split and class.

    Raises:
        RuntimeError: unless found = written + rejected.
    """
    rows = [row for job in plan.jobs for row in job.rows]
    by_split: dict[str, collections.Counter[str]] = {
        split: collections.Counter(dict.fromkeys(plan.class_names, 0))
        for split in plan.split_sizes
    }
    for job in plan.jobs:
        by_split[job.split].update(plan.class_names[row.label] for row in job.rows)
    if len(sources) != len(rows) + len(rejects):
        raise RuntimeError(
            f"{len(sources)} pictures found, but {len(rows)} written and "
            f"{len(rejects)} rejected"
        )
    return {
        "found": len(sources),
        "written": len(rows),
        "rejected": len(rejects),
        "rejected_by_reason": _tally(reject["reason"] for reject in rejects),
        "normalised": sum(1 for row in rows if row.changes),
        "normalised_by_reason": _tally(c for row in rows for c in row.changes),
        "resized": sum(1 for row in rows if row.is_resized),
        "by_split": {split: dict(counts) for split, counts in by_split.items()},
        "duplicate_groups": [list(group) for group in plan.duplicates],
        "named_groups": plan.num_groups,
        "in_groups": sum(1 for row in rows if row.group),
        "moved": list(plan.moved),
    }


def _tally(words: Any) -> dict[str, int]:
    return dict(sorted(collections.Counter(words).items()))
