"""Publish: move finished shards into place, write the manifest, say what was done."""

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.base.progress import format_seconds
from tfpipe.data import manifest as manifests
from tfpipe.data.conversion import shards, workplace
from tfpipe.data.conversion.config import DEFAULT_RECORDS_DIR
from tfpipe.data.conversion.plan import Plan
from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.conversion.shards import ShardResult
from tfpipe.data.inputs.labels import Source
from tfpipe.data.manifest import Manifest
from tfpipe.data.overview.page import write_overview
from tfpipe.data.pictures.codecs import codec_versions


def write_rejects(
    partial: Path, sources: Sequence[Source], scanned: Sequence[Scanned]
) -> list[dict[str, str]]:
    """Write rejects.jsonl, in key order, and return its lines."""
    found: list[Source | Scanned] = [source for source in sources if source.reason]
    found += [row for row in scanned if row.reason]
    lines = [
        {"key": row.key, "reason": row.reason, "detail": row.detail}
        for row in sorted(found, key=lambda row: row.key)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    files.write_bytes(partial / manifests.REJECTS, text.encode())
    return lines


def publish(
    partial: Path,
    settings: dict[str, Any],
    plan: Plan,
    results: Sequence[ShardResult],
    counts: dict[str, Any],
    *,
    rejects: Sequence[dict[str, str]],
    num_pictures: int,
) -> Manifest:
    """Move the shards into the records folder; write the report and the manifest."""
    records_dir = partial.parent
    workplace.clear_old(records_dir, partial)
    (records_dir / manifests.INDEX_DIR).mkdir(exist_ok=True)
    for job in plan.jobs:
        workplace.move(job.path, records_dir / job.file_name)
        workplace.move(
            shards.beside(job, ".idx"),
            manifests.index_path(records_dir, job.file_name),
        )
    workplace.move(partial / manifests.REJECTS, records_dir / manifests.REJECTS)
    record_sha256 = [digest for result in results for digest in result.record_sha256]
    manifest = Manifest(
        records_dir=records_dir,
        dataset_name=settings["dataset_name"],
        class_names=plan.class_names,
        split_sizes=plan.split_sizes,
        shards=tuple(
            manifests.Shard(
                file_name=job.file_name,
                split=job.split,
                num_examples=len(result.record_sha256),
                num_bytes=result.num_bytes,
                sha256=result.sha256,
            )
            for job, result in zip(plan.jobs, results, strict=True)
        ),
        fingerprint=shards.dataset_fingerprint(
            plan.class_names, plan.split_sizes, record_sha256
        ),
        settings=settings,
        counts=counts,
    )
    write_overview(
        manifest,
        [row for job in plan.jobs for row in job.rows],
        rejects=rejects,
        versions=codec_versions(),
        num_pictures=num_pictures,
    )
    manifests.write_manifest(manifest, versions=codec_versions())
    return manifest


def print_summary(manifest: Manifest, num_scanned: int, seconds: float) -> None:
    """Say what was written, from how much, how fast, and what to type next."""
    counts = manifest.counts
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    rate = f", {num_scanned / seconds:,.0f} images/s" if num_scanned else ""
    print(
        f"wrote {counts['written']:,} of {counts['found']:,} pictures to "
        f"{manifest.records_dir} in {format_seconds(seconds)}{rate}: "
        f"{num_bytes / 1e6:,.0f} MB in {len(manifest.shards)} shards"
    )
    print_splits(manifest)
    for what in ("normalised", "rejected"):
        reasons = counts[f"{what}_by_reason"]
        details = ", ".join(f"{name} {number:,}" for name, number in reasons.items())
        print(f"  {what:<10} {counts[what]:>9,}" + (f": {details}" if details else ""))
    if counts["resized"]:
        size = manifest.settings["image_size"]
        print(f"  resized    {counts['resized']:>9,}: to {size} x {size}")
    if counts["rejected"]:
        print(f"  every reject is in {manifest.records_dir / manifests.REJECTS}")
    print(f"fingerprint {manifest.fingerprint}")
    print_next(manifest)


def print_splits(manifest: Manifest) -> None:
    """Say how many records each split has, by class."""
    for split, size in manifest.split_sizes.items():
        classes = manifest.counts["by_split"][split]
        shares = ", ".join(
            f"{name} {classes.get(name, 0):,}" for name in manifest.class_names
        )
        print(f"  {split:<10} {size:>9,}: {shares}")


def print_next(manifest: Manifest) -> None:
    """Say the next command, or why there is none."""
    if not manifest.split_sizes["validation"]:
        print(
            "training needs validation pictures and these records have none: make some "
            "with --validation_split"
        )
        return
    records_dir, size = manifest.records_dir, manifest.settings["image_size"]
    is_default = os.fspath(records_dir) == DEFAULT_RECORDS_DIR
    option = "" if is_default else f" --records_dir={shlex.quote(str(records_dir))}"
    option += f" --image_size={size}" if size else ""
    print(f"next: python -m tfpipe.train{option}")
