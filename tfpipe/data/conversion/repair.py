"""Write damaged shards of finished records again, and these alone."""

import os
from collections.abc import Sequence
from pathlib import Path

from tfpipe.base import files
from tfpipe.base.progress import Progress
from tfpipe.data import manifest as manifests
from tfpipe.data.conversion import shards
from tfpipe.data.conversion.scan import Scanned
from tfpipe.data.conversion.shards import ShardJob
from tfpipe.data.inputs.places import FilePlace
from tfpipe.data.manifest import Manifest, Shard, index_path
from tfpipe.data.pool import Workers
from tfpipe.data.records import FRAME_BYTES, HEADER_BYTES, iterate_records


def find_damaged(manifest: Manifest) -> list[Shard]:
    """Return the shards whose bytes or index aren't those that were written."""
    num_bytes = sum(shard.num_bytes for shard in manifest.shards)
    damaged = []
    with Progress("check", num_bytes, "bytes") as progress:
        for shard in manifest.shards:
            if not _is_whole(manifest, shard):
                damaged.append(shard)
            progress.advance(shard.num_bytes)
    return damaged


def mend_described(manifest: Manifest) -> list[str]:
    """Write the files that TFDS reads again where they differ; return their names."""
    mended = []
    for name, data in manifests.tfds_files(manifest).items():
        path = manifest.records_dir / name
        if not path.is_file() or path.read_bytes() != data:
            files.write_bytes(path, data)
            mended.append(name)
    return mended


def _is_whole(manifest: Manifest, shard: Shard) -> bool:
    path = manifest.records_dir / shard.file_name
    try:
        if path.is_symlink() or path.stat().st_size != shard.num_bytes:
            return False
        index = index_path(manifest.records_dir, shard.file_name).read_bytes()
    except OSError:
        return False
    return files.file_sha256(path) == shard.sha256 and index == _index_text(path)


def _index_text(shard: Path) -> bytes:
    """Return what the index of a sound shard says, from the lengths of its frames."""
    lines, offset = [], 0
    with open(shard, "rb") as file:
        while header := file.read(HEADER_BYTES):
            size = int.from_bytes(header[:8], "little") + FRAME_BYTES
            lines.append(f"{offset} {size}\n")
            offset += size
            file.seek(offset)
    return "".join(lines).encode()


def rejected_keys(manifest: Manifest) -> set[str]:
    """Return the keys that rejects.jsonl lists."""
    lines = files.read_json_lines(manifest.records_dir / manifests.REJECTS)
    return {line["key"] for line in lines}


def intact_rows(manifest: Manifest, damaged: Sequence[Shard]) -> list[Scanned]:
    """Return the verdicts on the pictures of all other shards, as these tell them."""
    rows = []
    for shard in manifest.shards:
        if shard in damaged:
            continue
        path = manifest.records_dir / shard.file_name
        for record in iterate_records(
            path, index_path(manifest.records_dir, shard.file_name)
        ):
            rows.append(
                Scanned(
                    key=record.file_name,
                    label=record.label,
                    stored=FilePlace(path=os.fspath(path), size=len(record.encoded)),
                    sha256=record.sha256,
                    group=record.group or "",
                )
            )
    return rows


def rewrite(
    manifest: Manifest,
    damaged: Sequence[Shard],
    jobs: Sequence[ShardJob],
    workers: Workers,
) -> None:
    """Write the damaged shards and move them into place.

    Raises:
        OSError: if one doesn't come out as it was.
    """
    names = {shard.file_name for shard in damaged}
    to_write = [job for job in jobs if job.file_name in names]
    results = shards.write_all(to_write, workers, None)
    written = dict(zip([job.file_name for job in to_write], results, strict=True))
    for shard in damaged:
        result = written.get(shard.file_name)
        if result is None or result.sha256 != shard.sha256:
            raise OSError(
                f"pictures and codecs must be those that {shard.file_name} was written "
                "from, got others; make the records again with --overwrite"
            )
    for job in to_write:
        os.replace(job.path, manifest.records_dir / job.file_name)
        os.replace(
            shards.beside(job, ".idx"), index_path(manifest.records_dir, job.file_name)
        )
    files.sync_folder(manifest.records_dir)
