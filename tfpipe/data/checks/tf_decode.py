"""Decode every picture of checked records with TensorFlow, as training will."""

import concurrent.futures
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import numpy as np
import tensorflow as tf

from tfpipe.data.checks.cross_check import Rows, read_record
from tfpipe.data.checks.faults import Fault
from tfpipe.data.checks.folder_check import open_plain
from tfpipe.data.checks.shard_check import ShardReport
from tfpipe.data.manifest import Manifest

CHUNK = 64
LARGE_PIXELS = 10_000_000

_large = threading.Lock()  # one at a time: TensorFlow takes up to 512 MB for one


def wake() -> None:
    """Have TensorFlow look for its devices, which it may log, now."""
    tf.constant(0)


def decode_all(
    manifest: Manifest, reports: Sequence[ShardReport], num_threads: int
) -> Iterator[tuple[int, list[Fault]]]:
    """Decode the pictures that nothing speaks against yet, in parallel threads.

    Yields:
        (number of pictures, their faults) for each of the parts decoded, in order.
    """
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        for shard, report in zip(manifest.shards, reports, strict=True):
            rows = report.rows[report.rows["decodes"]]
            if not len(rows):
                continue
            with open_plain(manifest.records_dir / shard.file_name) as file:

                def decode(
                    part: Rows, name: str = shard.file_name, number: int = file.fileno()
                ) -> tuple[int, list[Fault]]:
                    return len(part), list(_decode_part(number, name, part))

                yield from pool.map(
                    decode, np.array_split(rows, -(-len(rows) // CHUNK))
                )


def _decode_part(descriptor: int, shard: str, rows: Rows) -> Iterator[Fault]:
    for row in rows:
        key = ""
        try:
            record = read_record(descriptor, row)
            key = record.file_name
            what = decode_fault(record.encoded, record.height, record.width)
        except (ValueError, OSError) as error:
            what = f"record must stay as it was checked, got {error}"
        if what:
            yield Fault(
                what=what,
                shard=shard,
                record=int(row["number"]),
                offset=int(row["offset"]),
                key=key,
            )


def decode_fault(encoded: bytes, height: int, width: int) -> str:
    """Return why TensorFlow doesn't decode a JPEG to [height, width, 3], "" if so."""
    with _large if height * width > LARGE_PIXELS else nullcontext():
        try:
            picture = tf.io.decode_jpeg(
                encoded, channels=3, dct_method="INTEGER_ACCURATE"
            )
        except tf.errors.OpError as error:
            # "{{function_node ...}} reason [Op:DecodeJpeg]"
            reason = re.sub(r"\{\{.*?\}\} *| \[Op:.*", "", error.message)
            return f"picture must decode in TensorFlow, got: {reason}"
        shape = tuple(picture.shape)
    if shape != (height, width, 3):
        return f"picture must decode to {(height, width, 3)}, got {shape}"
    return ""
