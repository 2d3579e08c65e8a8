"""python benchmarks/input_limits.py --image_dir=data.zip

Measures what the input function takes and how soon it begins, at 224 pixels in batches
of 32: peak memory of a process that iterates over all pictures once and twice, with
each way to fetch; seconds to the first batch, from the first epoch's beginning and
from the middle of a later one; and the same for a million records (tiny pictures).

Every measurement is a process of its own; tables give medians and ranges.
"""

import dataclasses
import hashlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from PIL import Image

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import build_config, check_settings, setting
from tfpipe.data import manifest as manifests
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.data.conversion.shards import dataset_fingerprint
from tfpipe.data.manifest import Manifest, Shard
from tfpipe.data.records import Record, frame_record
from tfpipe.data.storing import Storing

SIDE, BATCH = 224, 32
SHARDS_OF_MANY = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    image_dir: str = setting("data", "Pictures, cats and dogs.", front=True)
    repeats: int = setting(3, "Processes a row.", minimum=1, front=True)
    many: int = setting(
        1_000_000, "Records of the large dataset; 0: none.", minimum=0, front=True
    )
    one: str = setting("", "For its own use: one measurement, as JSON.")

    def __post_init__(self) -> None:
        check_settings(self)


def measure(options: dict[str, Any]) -> dict[str, float]:
    """Iterate in this process; return seconds and bytes."""
    import tensorflow as tf  # its import isn't the input's time

    from tfpipe.data.streaming.pipeline import Batches
    from tfpipe.data.streaming.source import Source

    before = peak_bytes()
    start = time.perf_counter()
    source = Source(options["records_dir"], fetch=options["fetch"])
    ids = source.split_ids("train")
    batches = Batches(source, image_size=options["image_size"], batch_size=BATCH)
    dataset = batches.epoch_dataset(
        ids,
        seed=0,
        epoch=options["epoch"],
        start_step=len(ids) // BATCH // 2 if options["epoch"] else 0,
    )
    batch = next(iter(dataset))
    first = time.perf_counter() - start
    del batch
    num_batches = 0
    for epoch in range(options["epochs"]):
        for _ in batches.epoch_dataset(ids, seed=0, epoch=epoch):
            num_batches += 1
            if options["most"] and num_batches >= options["most"]:
                break
    tf.constant(0)
    return {"first": first, "peak": peak_bytes(), "before": before}


def peak_bytes() -> int:
    """Return the most memory that this process has taken so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(records_dir: Path, repeats: int, **options: Any) -> list[dict[str, float]]:
    """Measure in processes of their own."""
    values = {
        "records_dir": os.fspath(records_dir),
        "image_size": SIDE,
        "epoch": 0,
        "epochs": 1,
        "most": 0,
        **options,
    }
    found = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, __file__, f"--one={json.dumps(values)}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def make_many(folder: Path, number: int) -> None:
    """Write records of one tiny picture under `number` keys."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50)
    encoded = buffer.getvalue()
    sha256 = hashlib.sha256(encoded).hexdigest()
    names = ("dog", "cat")
    (folder / manifests.INDEX_DIR).mkdir(parents=True)
    edges = [number * i // SHARDS_OF_MANY for i in range(SHARDS_OF_MANY + 1)]
    shards = []
    for index in range(SHARDS_OF_MANY):
        name = manifests.shard_name("many", "train", index, SHARDS_OF_MANY)
        lines, offset = [], 0
        with open(folder / name, "wb") as file:
            for source_id in range(edges[index], edges[index + 1]):
                record = Record(
                    encoded=encoded,
                    format="jpeg",
                    height=8,
                    width=8,
                    label=source_id % 2,
                    class_text=names[source_id % 2],
                    file_name=f"{names[source_id % 2]}.{source_id}.jpg",
                    sha256=sha256,
                    source_id=source_id,
                )
                block = frame_record(record.to_bytes())
                file.write(block)
                lines.append(f"{offset} {len(block)}\n")
                offset += len(block)
        manifests.index_path(folder, name).write_text("".join(lines))
        shards.append(
            Shard(
                file_name=name,
                split="train",
                num_examples=edges[index + 1] - edges[index],
                num_bytes=offset,
                sha256="0" * 64,
            )
        )
    sizes = {"train": number, "validation": 0}
    half = {"dog": number - number // 2, "cat": number // 2}
    manifest = Manifest(
        records_dir=folder,
        dataset_name="many",
        class_names=names,
        split_sizes=sizes,
        shards=tuple(shards),
        fingerprint=dataset_fingerprint(names, sizes, []),
        settings=Storing().facts,
        counts={
            "found": number,
            "written": number,
            "rejected": 0,
            "rejected_by_reason": {},
            "normalised": 0,
            "by_split": {"train": half, "validation": {"dog": 0, "cat": 0}},
        },
    )
    manifests.write_manifest(manifest, versions={})


def row(name: str, found: list[dict[str, float]]) -> None:
    """Print one line of the table."""

    def spread(values: list[float], form: str) -> str:
        low, high = format(min(values), form), format(max(values), form)
        return f"{format(statistics.median(values), form)} ({low} to {high})"

    peaks = [one["peak"] / 1e6 for one in found]
    own = [(one["peak"] - one["before"]) / 1e6 for one in found]
    firsts = [one["first"] for one in found]
    print(
        f"| {name} | {spread(firsts, '.2f')} | {spread(peaks, ',.0f')} "
        f"| {spread(own, ',.0f')} |",
        flush=True,
    )


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    if config.one:
        print(json.dumps(measure(json.loads(config.one))))
        return cli.EXIT_OK
    with tempfile.TemporaryDirectory() as name:
        records, many = Path(name, "records"), Path(name, "many")
        settings = {"image_dir": config.image_dir, "records_dir": os.fspath(records)}
        settings |= {"validation_split": 0.0, "pictures": 0}
        finished = convert(build_config(ConvertConfig, settings))
        number = finished.counts["written"]
        size = sum(shard.num_bytes for shard in finished.shards) / 1e6
        print(f"\n{machine.describe_cpu()}")
        print(f"{number:,} pictures, {size:,.0f} MB of records, to {SIDE} pixels\n")
        print(
            "| what | first batch, s | peak memory, MB | of it beyond TensorFlow's |\n"
            "| --- | --- | --- | --- |"
        )
        for fetch in ("file", "memory"):
            for epochs in (1, 2):
                found = run(records, config.repeats, fetch=fetch, epochs=epochs)
                row(f"--fetch={fetch}, {epochs} epoch{'s' * (epochs > 1)}", found)
        found = run(records, config.repeats, fetch="file", epoch=3, epochs=0)
        row("from the middle of epoch 4", found)
        if config.many:
            make_many(many, config.many)
            found = run(
                many, config.repeats, fetch="file", epoch=3, most=500, image_size=32
            )
            row(f"{config.many:,} records, middle of epoch 4, --fetch=file", found)
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
