"""python benchmarks/conversion_profile.py --image_dir=YOUR_PICTURES

Measures where conversion spends its CPU seconds, in one process: what workers share
among them, in milliseconds a picture, and what only one process does, in seconds. From
these follows the most that a number of cores can reach.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import simplejpeg

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, setting
from tfpipe.data.conversion import scan, shards
from tfpipe.data.conversion.plan import make_plan
from tfpipe.data.inputs.labels import label_sources
from tfpipe.data.inputs.places import archives_kept_open
from tfpipe.data.inputs.sources import list_pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    image_dir: str = setting("data", "Folder or archive of JPEGs.", front=True)
    repeats: int = setting(3, "Times that each is timed.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)


def timed(work: Callable[[], Any], seconds: dict[str, list[float]], name: str) -> Any:
    """Run `work`, note its CPU seconds under `name`, return its result."""
    start = time.process_time()
    result = work()
    seconds.setdefault(name, []).append(time.process_time() - start)
    return result


def run_once(image_dir: Path, folder: Path, seconds: dict[str, list[float]]) -> int:
    """Do every step of a conversion once; return how many pictures there are."""
    for name in ("scan", "shards"):
        (folder / name).mkdir(parents=True)
    listing = timed(lambda: list_pictures(image_dir, folder), seconds, "list")
    labelled = timed(lambda: label_sources(listing), seconds, "label")
    with archives_kept_open():
        data = timed(
            lambda: [source.place.read() for source in labelled.sources],
            seconds,
            "of it: read",
        )
    timed(lambda: [decode(picture) for picture in data], seconds, "of it: decode")
    blocks = scan.make_blocks(labelled.sources, folder / "scan", 100_000_000, 8)
    timed(lambda: [scan.scan_block(block) for block in blocks], seconds, "scan")
    rows = timed(
        lambda: [row for block in blocks for row in scan.read_journal(block) or ()],
        seconds,
        "read journals",
    )
    plan = timed(
        lambda: make_plan(
            [row for row in rows if not row.reason],
            labelled.class_names,
            dataset_name="pictures",
            validation_split=0.25,
            test_split=0,
            num_shards=0,
            shard_dir=folder / "shards",
        ),
        seconds,
        "plan",
    )
    timed(lambda: [shards.write_shard(job) for job in plan.jobs], seconds, "write")
    return len(labelled.sources)


def decode(data: bytes) -> None:
    """Decode as a clean JPEG that passes through is decoded."""
    simplejpeg.decode_jpeg(data, "RGB", fastdct=True, fastupsample=True, strict=True)


def work(config: Config) -> int:
    """Measure, and print the table in Markdown."""
    seconds: dict[str, list[float]] = {}
    for _ in range(config.repeats):
        with tempfile.TemporaryDirectory() as folder:
            num = run_once(Path(config.image_dir), Path(folder), seconds)
    found = {name: statistics.median(values) for name, values in seconds.items()}
    facts = machine.describe()
    print(
        f"{facts['cpu']}, one of {facts['cores']} cores; simplejpeg "
        f"{metadata.version('simplejpeg')}; {num:,} pictures, median of "
        f"{config.repeats}\n"
    )
    print("| shared by workers | CPU ms a picture |\n| --- | --- |")
    for name in ("scan", "of it: read", "of it: decode", "write"):
        print(f"| {name} | {1000 * found[name] / num:.3f} |")
    print("\n| in one process | CPU seconds |\n| --- | --- |")
    serial = ("list", "label", "read journals", "plan")
    for name in serial:
        print(f"| {name} | {found[name]:.2f} |")
    cores = facts["cores"]
    shared = (found["scan"] + found["write"]) / cores
    alone = sum(found[name] for name in serial)
    print(
        f"\nMost that {cores} cores can reach: {num / (shared + alone):,.0f} images/s; "
        f"decoding alone {num * cores / found['of it: decode']:,.0f}."
    )
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
