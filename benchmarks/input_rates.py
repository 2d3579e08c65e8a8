"""python benchmarks/input_rates.py --image_dir=pictures

Measures how fast batches of 32 come out of tfpipe's input function and of its peers,
each fed the same pictures, at 224 pixels, with a warm page cache.

Every measurement is a process of its own that reads four epochs, the first of them to
warm up; contenders alternate; tables give medians and ranges over the repeats. Rates
are from the first batch of an epoch to its last; the time from the last batch of one
epoch to the first of the next stands apart.
"""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import build_config, check_settings, setting
from tfpipe.data.conversion.config import ConvertConfig
from tfpipe.data.conversion.convert import convert
from tfpipe.data.manifest import index_path
from tfpipe.data.pictures.resampling import is_compiled
from tfpipe.data.records import iterate_records

SIDE, QUALITY = 224, 90
TABLES = ("stored", "originals", "converting")
PACKAGES = (
    *("tensorflow", "keras", "numpy", "pillow", "simplejpeg", "torch", "ffcv"),
    "nvidia-dali-cuda130",
)
READERS = Path(__file__).with_name("readers.py")
WRITE_BETON = """
import sys
from pathlib import Path
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from PIL import Image

class Pictures:
    def __init__(self):
        self.paths = sorted(Path(sys.argv[1]).glob("*/*"))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, position):
        path = self.paths[position]
        return Image.open(path).convert("RGB"), int(path.parent.name == "cat")

image = RGBImageField(write_mode="jpg", jpeg_quality=int(sys.argv[3]))
writer = DatasetWriter(sys.argv[2], {"image": image, "label": IntField()})
writer.from_indexed_dataset(Pictures())
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    image_dir: str = setting("data", "Folder of JPEGs, cats and dogs.", front=True)
    table: str = setting("all", "Which table.", choices=("all", *TABLES), front=True)
    repeats: int = setting(5, "Processes a contender.", minimum=1, front=True)
    workers: int = setting(2, "Workers of those who must be told.", minimum=1)

    def __post_init__(self) -> None:
        check_settings(self)
        if not Path(self.image_dir).is_dir():
            raise FileNotFoundError(
                f"image_dir must be a folder, got {self.image_dir}; give --image_dir"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """A reader with its options, and the name it has in the tables."""

    name: str
    reader: str
    options: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """The same pictures in each reader's form.

    Attributes:
        folder, beton, records: the originals.
        stored_folder, stored_beton, stored_records: at 224 pixels, as JPEG.
        raw_records: at 224 pixels, as pixels.
    """

    folder: Path
    beton: Path
    records: Path
    stored_folder: Path
    stored_beton: Path
    stored_records: Path
    raw_records: Path


@contextlib.contextmanager
def prepared(config: Config) -> Iterator[Inputs]:
    """Lay the pictures out for everybody, in a folder that is removed in the end."""
    with tempfile.TemporaryDirectory() as name:
        inputs = Inputs(
            **{f.name: Path(name, f.name) for f in dataclasses.fields(Inputs)}
        )
        small = {"image_size": SIDE, "jpeg_quality": QUALITY, "jpeg_subsampling": "420"}
        make_records(config.image_dir, inputs.records, {})
        make_records(config.image_dir, inputs.stored_records, small)
        raw = {"image_size": SIDE, "encoding": "raw"}
        make_records(config.image_dir, inputs.raw_records, raw)
        for records, folder, beton in (
            (inputs.records, inputs.folder, inputs.beton),
            (inputs.stored_records, inputs.stored_folder, inputs.stored_beton),
        ):
            unpack(records, folder)
            command = [sys.executable, "-c", WRITE_BETON, folder, beton, str(QUALITY)]
            subprocess.run(command, capture_output=True, env=quiet_environment())
        yield inputs


def make_records(image_dir: str, records_dir: Path, values: dict[str, Any]) -> None:
    """Convert the pictures, all of them into train."""
    settings = {
        "image_dir": image_dir,
        "records_dir": os.fspath(records_dir),
        "validation_split": 0.0,
        "pictures": 0,
        **values,
    }
    with contextlib.redirect_stdout(sys.stderr):
        convert(build_config(ConvertConfig, settings))


def unpack(records_dir: Path, folder: Path) -> None:
    """Write the very bytes of the records into a folder for each class."""
    for shard in sorted(records_dir.glob("*.tfrecord-*")):
        for record in iterate_records(shard, index_path(records_dir, shard.name)):
            path = folder / record.class_text / Path(record.file_name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record.encoded)


def quiet_environment() -> dict[str, str]:
    """Return the environment of the measured processes."""
    return {**os.environ, "TQDM_DISABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}


def tables(inputs: Inputs, workers: int) -> dict[str, tuple[str, list[Contender]]]:
    """Return the contenders of each table under its title."""

    def tfpipe(name: str, path: Path, **options: Any) -> Contender:
        values = {"path": os.fspath(path), "image_size": SIDE, "cache": "none"}
        return Contender(
            name=f"tfpipe, {name}", reader="tfpipe", options=values | options
        )

    def peer(name: str, reader: str, path: Path, *, told: bool = True) -> Contender:
        options = {"path": os.fspath(path), "image_size": SIDE}
        if told:
            options["workers"] = workers
        return Contender(name=name, reader=reader, options=options)

    def peers(folder: Path, beton: Path) -> list[Contender]:
        return [
            peer("PyTorch's `DataLoader`, float32", "torch", folder),
            peer("FFCV, uint8", "ffcv", beton),
            peer("DALI on the CPU, float32", "dali", folder),
        ]

    keras = "Keras's `image_dataset_from_directory`, float32"
    return {
        "stored": (
            f"The same JPEGs of {SIDE} pixels for everybody",
            [
                peer(keras, "keras", inputs.stored_folder, told=False),
                tfpipe("float32", inputs.stored_records),
                tfpipe("uint8", inputs.stored_records, dtype="uint8"),
                *peers(inputs.stored_folder, inputs.stored_beton),
            ],
        ),
        "originals": (
            f"Originals, resized to {SIDE} pixels as they are read",
            [
                peer(keras, "keras", inputs.folder, told=False),
                tfpipe("area, float32", inputs.records),
                tfpipe("fast, float32", inputs.records, resize="fast"),
                tfpipe("bilinear, float32", inputs.records, resize="bilinear"),
                *peers(inputs.folder, inputs.beton),
            ],
        ),
        "converting": (
            "What converting once buys",
            [
                peer(f"{keras}, originals", "keras", inputs.folder, told=False),
                tfpipe("stored as JPEG, float32", inputs.stored_records),
                tfpipe("stored raw, float32", inputs.raw_records),
                tfpipe("stored raw, uint8", inputs.raw_records, dtype="uint8"),
                tfpipe(
                    "originals, decoded once, float32", inputs.records, cache="memory"
                ),
                tfpipe(
                    "originals, decoded once, uint8",
                    inputs.records,
                    cache="memory",
                    dtype="uint8",
                ),
            ],
        ),
    }


def measure(contender: Contender) -> dict[str, Any] | str:
    """Run a reader; return what it measured, or why it could not be run."""
    done = subprocess.run(
        [sys.executable, READERS, contender.reader, json.dumps(contender.options)],
        capture_output=True,
        text=True,
        env=quiet_environment(),
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no output"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def print_table(title: str, contenders: Sequence[Contender], repeats: int) -> None:
    """Measure the contenders in turn, and print their table; the first is the base."""
    found: dict[str, list[dict[str, Any]]] = {c.name: [] for c in contenders}
    absent: dict[str, str] = {}
    for repeat in range(repeats):
        for contender in contenders:
            if contender.name in absent:
                continue
            print(f"{contender.name}, {repeat + 1}", file=sys.stderr, flush=True)
            measured = measure(contender)
            if isinstance(measured, str):
                absent[contender.name] = measured
            else:
                found[contender.name].append(measured)
    print(f"\n## {title}\n")
    print(
        "| reader | images/s | to the first row | epoch to epoch, s | first batch, s "
        "| memory, MB |\n| --- | --- | --- | --- | --- | --- |"
    )
    base = statistics.median(
        statistics.median(m["rates"]) for m in found[contenders[0].name]
    )
    for name, measured in found.items():
        if name in absent:
            print(f"| {name} | not measured: {absent[name]} | | | | |")
            continue
        rates = [statistics.median(one["rates"]) for one in measured]
        gaps = [gap for one in measured for gap in one["gaps"]]
        first = statistics.median(one["first_batch"] for one in measured)
        peak = statistics.median(one["peak_bytes"] for one in measured) / 1e6
        ratio = statistics.median(rates) / base
        print(
            f"| {name} | {spread(rates, ',.0f')} | {ratio:.2f} "
            f"| {spread(gaps, '.3f')} | {first:.2f} | {peak:,.0f} |",
            flush=True,
        )


def spread(values: Sequence[float], form: str) -> str:
    """Return the median and the range."""
    low, high = format(min(values), form), format(max(values), form)
    return f"{format(statistics.median(values), form)} ({low} to {high})"


def print_conditions(config: Config) -> None:
    """Say what was measured on what."""
    print(f"{machine.describe_cpu()}\n")
    versions = []
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    print(f"- {', '.join(versions)}")
    print(f"- tfpipe resizes in {'C' if is_compiled() else 'NumPy'}")
    print(
        f"- repeats: {config.repeats} processes each, alternating; of each the median "
        "of three epochs behind one that warms up; memory is of the first process alone"
    )
    print(
        f"- stored: JPEG quality {QUALITY}, 4:2:0; FFCV, which takes no JPEG as it is, "
        "has encoded the same pictures anew at that quality, originals, too"
    )


def work(config: Config) -> int:
    """Measure, and print the tables in Markdown."""
    print_conditions(config)
    with prepared(config) as inputs:
        for name, (title, contenders) in tables(inputs, config.workers).items():
            if config.table in ("all", name):
                print_table(title, contenders, config.repeats)
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
