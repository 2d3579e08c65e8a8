"""Prove that a records folder is what was written, or name what isn't."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from tfpipe.base import machine
from tfpipe.base.progress import Progress
from tfpipe.base.quiet import hidden_stderr
from tfpipe.base.settings import check_settings, setting
from tfpipe.data import manifest
from tfpipe.data.checks import cross_check, folder_check
from tfpipe.data.checks.faults import Faults
from tfpipe.data.checks.record_check import Stored
from tfpipe.data.checks.shard_check import CheckJob, ShardReport, check_shard
from tfpipe.data.manifest import Manifest
from tfpipe.data.pool import Workers

NUM_NAMED = 3  # damaged shards named in the last line


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyConfig:
    """What `verify_records` is told."""

    records_dir: str = setting("records", "Folder of records to check.", front=True)
    decode: bool = setting(
        True, "Decode every picture with TensorFlow, as training will.", front=True
    )
    num_workers: int = setting(
        0, "Worker processes; 0: the usable cores.", minimum=0, front=True
    )

    def __post_init__(self) -> None:
        check_settings(self)


def verify(config: VerifyConfig) -> str:
    """Check a records folder; print each fault; return a line that says it is sound.

    Nothing is written, and memory is flat: some 100 bytes a record, and a record for
    each worker.

    Raises:
        ValueError: if there is no finished dataset, or there are faults.
    """
    num_workers = config.num_workers or machine.usable_cores()
    found = folder_check.open_folder(Path(config.records_dir))
    stored, faults = Stored.of(found), Faults()
    faults.extend(folder_check.folder_faults(found))
    reports = _check_shards(found, stored, num_workers)
    for report in reports:
        faults.extend(report.faults)
    num_read = sum(len(report.rows) for report in reports)
    num_examples = sum(shard.num_examples for shard in found.shards)
    cross_check.find_repeats(found, reports, faults)
    if num_read == num_examples:
        faults.extend(cross_check.sum_faults(found, reports, stored))
    if config.decode and stored.encoding == "jpeg":
        _decode(found, reports, num_workers, faults)
    if faults.num:
        _print_faults(faults)
        damaged = [
            shard.file_name
            for shard, report in zip(found.shards, reports, strict=True)
            if report.is_damaged
        ]
        raise ValueError(_verdict(faults, damaged))
    return _soundness(config, found, stored, reports)


def _check_shards(
    found: Manifest, stored: Stored, num_workers: int
) -> list[ShardReport]:
    """Return the report of every shard, in order."""
    jobs: list[CheckJob] = []
    first_id = 0
    for shard in found.shards:
        jobs.append(
            CheckJob(
                index=len(jobs),
                records_dir=os.fspath(found.records_dir),
                shard=shard,
                first_id=first_id,
                class_names=found.class_names,
                stored=stored,
            )
        )
        first_id += shard.num_examples
    reports, num_faults = [], 0
    with (
        Workers(min(num_workers, len(jobs))) as workers,
        Progress("check", first_id, "records") as progress,
    ):
        for report in workers.run(check_shard, jobs):
            reports.append(report)
            num_faults += report.faults.num
            note = f"{num_faults:,} faults" if num_faults else ""
            progress.advance(len(report.rows), note)
    return sorted(reports, key=lambda report: report.index)


def _decode(
    found: Manifest, reports: Sequence[ShardReport], num_threads: int, faults: Faults
) -> None:
    with hidden_stderr():
        from tfpipe.data.checks import tf_decode

        tf_decode.wake()
    total = sum(int(report.rows["decodes"].sum()) for report in reports)
    with Progress("decode", total, "pictures") as progress:
        for num, new in tf_decode.decode_all(found, reports, num_threads):
            faults.extend(new)
            progress.advance(num, f"{faults.num:,} faults" if faults.num else "")


def _print_faults(faults: Faults) -> None:
    for fault in faults.first:
        print(fault)
    if faults.num > len(faults.first):
        print(f"... and {faults.num - len(faults.first):,} more faults")


def _verdict(faults: Faults, damaged: Sequence[str]) -> str:
    """Return what is wrong in all, and what mends it."""
    where = f" in {_count(len(faults.shards), 'shard')}" if faults.shards else ""
    names = ", ".join(damaged[:NUM_NAMED])
    if len(damaged) > NUM_NAMED:
        names += f" and {len(damaged) - NUM_NAMED:,} more"
    mend = (
        f"the same make_records command rebuilds the shards that are damaged, alone: "
        f"{names}"
        if damaged
        else f"the shards are as they were written: make the records again with "
        f"{manifest.COMMAND} ... --overwrite"
    )
    return f"records must be sound, got {_count(faults.num, 'fault')}{where}; {mend}"


def _count(num: int, word: str) -> str:
    return f"{num:,} {word}" + ("" if num == 1 else "s")


def _soundness(
    config: VerifyConfig,
    found: Manifest,
    stored: Stored,
    reports: Sequence[ShardReport],
) -> str:
    """Return the closing line: what is sound, and what was looked at."""
    has_groups = any(report.rows["group"].any() for report in reports)
    apart = "key, content or group" if has_groups else "key or content"
    num_records = sum(found.split_sizes.values())
    if not config.decode:
        decoded = "decoding was not checked (--nodecode)"
    elif stored.encoding == "raw":
        decoded = "every picture has the bytes of its pixels, nothing to decode"
    else:
        decoded = "every picture decodes in TensorFlow"
    return (
        f"{_count(num_records, 'record')} in {_count(len(found.shards), 'shard')} are "
        "sound: checksums, index, facts of every record, counts and fingerprint agree; "
        f"no {apart} is in two splits; {decoded}"
    )
