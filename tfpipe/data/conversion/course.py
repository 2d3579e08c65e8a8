"""One conversion in its course: scan, plan, shard jobs, publish, or mend."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfpipe.base import files
from tfpipe.base.words import few
from tfpipe.data import manifest as manifests
from tfpipe.data.conversion import repair, scan, shards, workplace
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.plan import Plan, count_pictures, make_plan
from tfpipe.data.conversion.publish import (
    print_next,
    print_splits,
    publish,
    write_rejects,
)
from tfpipe.data.conversion.scan import ScanBlock, Scanned
from tfpipe.data.conversion.selection import Selection
from tfpipe.data.conversion.shards import ShardResult, SourceChangedError
from tfpipe.data.inputs.labels import Source
from tfpipe.data.manifest import Manifest, Shard
from tfpipe.data.pool import Workers


class Conversion:
    """One conversion of selected sources into one records folder.

    Args:
        config, settings: what was asked for.
        selection: the sources.
        partial: the folder of unfinished work inside the records folder.
        workers: who scan and write.
    """

    def __init__(
        self,
        config: ConvertConfig,
        settings: dict[str, Any],
        selection: Selection,
        partial: Path,
        workers: Workers,
    ) -> None:
        self._config, self._settings = config, settings
        self._selection, self._partial = selection, partial
        self._records_dir, self._workers = partial.parent, workers

    def make(self) -> tuple[Manifest, int]:
        """Scan, plan, write shards, publish; tell also how many were scanned now."""
        sources = self._selection.sources
        blocks = self._blocks(sources)
        num_scanned, scanned = self._scan(blocks)
        rejects = write_rejects(self._partial, sources, scanned)
        self._check_rejects(collections.Counter(line["reason"] for line in rejects))
        plan = self._plan([row for row in scanned if not row.reason])
        for line in plan.notes:
            print(line)
        results = self._write(plan, blocks)
        counts = count_pictures(plan, sources, rejects)
        manifest = publish(
            self._partial,
            self._settings,
            plan,
            results,
            counts,
            rejects=rejects,
            num_pictures=self._config.pictures,
        )
        return manifest, num_scanned

    def mend(self, finished: Manifest) -> None:
        """Say that these records stand there, once each shard is as it was written.

        Raises:
            OSError: if the pictures are no longer those that were converted.
        """
        self._check_rejects(finished.counts["rejected_by_reason"])
        damaged = repair.find_damaged(finished)
        mended = repair.mend_described(finished)
        if damaged:
            print(
                f"{len(damaged)} of {len(finished.shards)} shards, or their index, are "
                f"damaged: writing {few([s.file_name for s in damaged])} again"
            )
            self._rebuild(finished, damaged)
        if damaged or mended:
            more = [f"wrote {', '.join(mended)} again; "] if mended else []
            print(f"{''.join(more)}{self._records_dir} holds what it held")
        else:
            print(
                f"{self._records_dir} holds these records already, as names and sizes "
                "tell, and every shard is as it was written: nothing to do"
            )
        for name in (manifests.REJECTS, manifests.REPORT):
            if not (self._records_dir / name).exists():
                print(f"WARNING: {name} is missing; only --overwrite makes it again")
        workplace.remove_partial(self._partial)
        print_splits(finished)
        print_next(finished)

    def _rebuild(self, finished: Manifest, damaged: Sequence[Shard]) -> None:
        """Write damaged shards again, reading no pictures but theirs."""
        workplace.make_folders(self._partial)
        rows = repair.intact_rows(finished, damaged)
        known = {row.key for row in rows} | repair.rejected_keys(finished)
        lost = [s for s in self._selection.sources if s.key not in known]
        splits = {s.key: s.split for s in self._selection.sources}
        blocks = self._blocks(lost)
        rows += [row for row in self._scan(blocks)[1] if not row.reason]
        rows.sort(key=lambda row: row.key)
        given = [dataclasses.replace(row, split=splits[row.key]) for row in rows]
        repair.rewrite(finished, damaged, self._plan(given).jobs, self._workers)

    def _scan(self, blocks: Sequence[ScanBlock]) -> tuple[int, list[Scanned]]:
        """Scan the unfinished blocks; return how many pictures, and all verdicts."""
        found = {block.index: scan.read_journal(block) for block in blocks}
        to_scan = [block for block in blocks if found[block.index] is None]
        num_scanned = scan.scan_all(to_scan, self._workers)
        found |= {block.index: scan.read_journal(block) for block in to_scan}
        return num_scanned, [row for rows in found.values() for row in rows or ()]

    def _write(self, plan: Plan, blocks: Sequence[ScanBlock]) -> list[ShardResult]:
        is_cleared = workplace.is_cleared(self._partial)
        published_dir = self._records_dir if is_cleared else None
        try:
            return shards.write_all(plan.jobs, self._workers, published_dir)
        except SourceChangedError as error:
            for block in blocks:
                if error.key in {source.key for source in block.sources}:
                    block.journal.unlink()
            raise

    def _blocks(self, sources: Sequence[Source]) -> list[ScanBlock]:
        return scan.make_blocks(
            sources,
            self._partial / workplace.SCAN,
            self._config.max_pixels,
            self._config.min_side,
            self._config.storing,
        )

    def _plan(self, rows: Sequence[Scanned]) -> Plan:
        return make_plan(
            rows,
            tuple(self._settings["class_names"]),
            dataset_name=self._settings["dataset_name"],
            validation_split=self._config.validation_split,
            test_split=self._config.test_split,
            num_shards=self._config.num_shards,
            shard_dir=self._partial / workplace.SHARDS,
            is_extension=self._selection.is_extension,
        )

    def _check_rejects(self, by_reason: Mapping[str, int]) -> None:
        num_rejects = sum(by_reason.values()) - by_reason.get("excluded", 0)
        limit = self._config.reject_limit(len(self._selection.sources))
        if num_rejects > limit:
            raise ValueError(
                f"rejects must be at most {limit:g} (--max_rejects), got "
                f"{num_rejects:,}; see {manifests.REJECTS} in {self._records_dir} or "
                "its .partial, mend or remove the pictures, or give a higher limit"
            )

    def check_disk(self) -> None:
        """Say what the records will take, and refuse a disk that can't hold it.

        Raises:
            OSError: where too little is free.
        """
        storing = self._config.storing
        sizes = [s.place.size for s in self._selection.sources if s.label is not None]
        # A kilobyte a record for its words and index; new bytes are spooled first.
        needed = sum(size + 1024 for size in sizes)
        if storing.image_size:
            needed = 2 * len(sizes) * (storing.expected_bytes + 512)
        free = files.free_bytes(self._records_dir)
        print(
            f"{len(sizes):,} pictures need about {needed / 1e6:,.0f} MB at "
            f"{self._records_dir}; {free / 1e6:,.0f} MB are free",
            flush=True,
        )
        files.check_free_space(self._records_dir, needed)
