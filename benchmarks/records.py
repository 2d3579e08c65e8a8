"""python benchmarks/records.py --zip=pictures.zip --originals=pictures

Measures conversion against peers: how fast tfpipe, TFDS, FFCV and a Pillow loop turn
the same pictures into records; how much memory tfpipe takes, and how soon it begins.

Every measurement is a process of its own and writes into an empty folder; contenders
alternate; tables give medians and ranges over the repeats. Rates are of the writing
alone, with everything imported and the workers' start counted, for everybody; memory
and start are those of the command as people type it.
"""

import contextlib
import dataclasses
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfpipe import cli
from tfpipe.base import machine
from tfpipe.base.settings import check_settings, setting
from tfpipe.data import manifest
from tfpipe.data.conversion import scan, workplace
from tfpipe.data.pictures.codecs import codec_versions
from tfpipe.data.pictures.resampling import is_compiled

ROOT = Path(__file__).resolve().parents[1]
ROWS = ("small", "originals", "resized", "memory")
SIDE, QUALITY = 224, 95
GROWTH_STEPS = (16, 4, 1)
MEMORY_PICTURES = 2_000
SAMPLE_SECONDS = 0.05
TIMEOUT_SECONDS = 3600
PACKAGES = (
    *("tensorflow-datasets", "tensorflow", "ffcv", "opencv-python", "pillow"),
    *("torch", "numba", "numpy"),
)

# What is run. Each prints, last, pictures, seconds and CPU seconds of its writing.
CLOCK = """
import io, json, multiprocessing, os, resource, sys, time, zipfile

def cpu_seconds():
    used = [resource.getrusage(who) for who in (0, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)

def timed(write):
    start, cpu = time.perf_counter(), cpu_seconds()
    num_pictures = write()
    seconds = time.perf_counter() - start
    for process in multiprocessing.active_children():
        process.join()  # its CPU seconds count from then on
    print(json.dumps([num_pictures, seconds, cpu_seconds() - cpu]))

def paths_below(folder):
    found = os.walk(folder)
    return sorted(os.path.join(at, name) for at, _, names in found for name in names)
"""

BY_TFPIPE = """
sys.path.insert(0, sys.argv[3])
from tfpipe.base.settings import build_config
from tfpipe.data.conversion.convert import convert
from tfpipe.data.conversion.config import ConvertConfig

def write():
    settings = json.loads(sys.argv[4]) | {
        "image_dir": sys.argv[1], "records_dir": os.path.join(sys.argv[2], "records")}
    return convert(build_config(ConvertConfig, settings)).counts["found"]

if __name__ == "__main__":  # workers load this file, too
    timed(write)
"""

# A dataset as TFDS's own guide has it: a generator of keys and values.
BY_TFDS = """
import importlib_resources  # which TFDS's builder needs, and doesn't say
import tensorflow_datasets as tfds

def pictures(source):
    if os.path.isdir(source):
        yield from ((path, path) for path in paths_below(source))
    else:
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                if not name.endswith("/"):
                    yield name, io.BytesIO(archive.read(name))

class Pictures(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for key, picture in pictures(sys.argv[1]):
            is_dog = os.path.basename(key).startswith("dog")
            yield key, {"image": picture, "label": int(is_dog)}

def write():
    builder = Pictures(data_dir=sys.argv[2])
    builder.download_and_prepare()
    return builder.info.splits["train"].num_examples

import tensorflow  # TFDS would load it within its writing
timed(write)
"""

BY_FFCV = """
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from PIL import Image

class Pictures:
    def __init__(self, folder):
        self.paths = paths_below(folder)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, position):
        path = self.paths[position]
        is_dog = os.path.basename(path).startswith("dog")
        return Image.open(path).convert("RGB"), int(is_dog)

def write():
    pictures = Pictures(sys.argv[1])
    fields = {
        "image": RGBImageField(
            write_mode="jpg", max_resolution=int(sys.argv[3]),
            jpeg_quality=int(sys.argv[4])),
        "label": IntField(),
    }
    path = os.path.join(sys.argv[2], "pictures.beton")
    writer = DatasetWriter(path, fields, num_workers=int(sys.argv[5]))
    writer.from_indexed_dataset(pictures)
    return len(pictures)

timed(write)
"""

BY_PILLOW = """
from PIL import Image
side, quality = map(int, sys.argv[3:5])

def write():
    paths = paths_below(sys.argv[1])
    for path in paths:
        with open(path, "rb") as file:
            picture = Image.open(io.BytesIO(file.read()))
        if side:
            filter = Image.Resampling.BOX
            square = picture.convert("RGB").resize((side, side), filter)
            square.save(io.BytesIO(), "JPEG", quality=quality, subsampling=0)
        else:
            picture.load()
    return len(paths)

timed(write)
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    zip: str = setting("data.zip", "Zip of many small JPEGs.", front=True)
    originals: str = setting(
        "data", "Folder of JPEGs as cameras left them.", front=True
    )
    row: str = setting("all", "What to measure.", choices=("all", *ROWS), front=True)
    repeats: int = setting(5, "Processes a contender.", minimum=1, front=True)
    workers: int = setting(2, "Worker processes of tfpipe and FFCV.", minimum=1)
    limit: int = setting(
        0, "At most so many pictures of each input, for a look; 0: all.", minimum=0
    )
    growth: int = setting(
        0,
        "Also convert the zip's pictures repeated up to a sixteenth, a quarter and all "
        "of this number; takes long, and three times their bytes of disk.",
        minimum=0,
        front=True,
    )
    peers_python: str = setting(
        sys.executable, "Python in which TFDS and FFCV are installed.", front=True
    )
    work_dir: str = setting(
        "", "Folder for what is written meanwhile; empty: the system's for such."
    )

    def __post_init__(self) -> None:
        check_settings(self)
        for name in ("zip", "originals"):
            if not Path(getattr(self, name)).exists():
                raise FileNotFoundError(
                    f"{name} must be pictures, got nothing at {getattr(self, name)}; "
                    f"give --{name}"
                )


class PeerAbsentError(Exception):
    """A peer could not be run here; its message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One process.

    Attributes:
        num_pictures: read and written.
        seconds: that this took, by the wall's clock.
        whole_seconds: of the whole process, its imports counted.
        cpu_seconds: of all its processes, user and system.
        peak_bytes: of all its processes together; 0 where it wasn't watched.
        first_seconds: until the first block of pictures was scanned, or 0.
    """

    num_pictures: int
    seconds: float
    cpu_seconds: float
    whole_seconds: float
    peak_bytes: int = 0
    first_seconds: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """Who is measured, `times` how fast the others are compared with, and how."""

    name: str
    measure: Callable[[Path], Measured]
    times: int = 1


def watch_tfpipe(source: Path, out: Path, workers: int) -> Measured:
    """Convert by the command that people type; look at its memory meanwhile.

    Raises:
        RuntimeError: if it fails.
    """
    records_dir = out / "records"
    command = [
        *(sys.executable, str(ROOT / "tools" / "make_records.py")),
        *(f"--image_dir={source}", f"--records_dir={records_dir}"),
        f"--num_workers={workers}",
    ]
    scan_dir = records_dir / manifest.PARTIAL_DIR / workplace.SCAN
    peak, first, has_ended = 0, 0.0, False
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        while not has_ended:
            peak = max(peak, tree_bytes(process.pid))
            if not first and any(scan_dir.glob("*.json")):
                first = time.perf_counter() - start
            time.sleep(SAMPLE_SECONDS)
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            has_ended = os.waitid(os.P_PID, process.pid, options) is not None
        seconds = time.perf_counter() - start
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise RuntimeError(f"{shlex.join(command)}: {errors.read().decode()}")
    return Measured(
        num_pictures=manifest.read_manifest(records_dir).counts["found"],
        seconds=seconds,
        cpu_seconds=used.ru_utime + used.ru_stime,
        whole_seconds=seconds,
        peak_bytes=peak,
        first_seconds=first,
    )


def run_writer(python: str, code: str, *arguments: object) -> Measured:
    """Run a writer's code in a process of its own.

    Raises:
        PeerAbsentError: if what it imports isn't installed there.
        RuntimeError: if it fails otherwise.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Progress bars would take some of its time; TFDS leaves folders behind.
        environment = {**os.environ, "TQDM_DISABLE": "1", "TMPDIR": folder}
        # In a file: TFDS looks where a builder's class was written.
        script = Path(folder, "writer.py")
        script.write_text(CLOCK + code)
        start = time.perf_counter()
        done = subprocess.run(
            [python, script, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
        whole_seconds = time.perf_counter() - start
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        if reason.startswith(("ModuleNotFoundError", "ImportError")):
            raise PeerAbsentError(reason)
        raise RuntimeError(done.stderr)
    num_pictures, seconds, cpu_seconds = json.loads(done.stdout.splitlines()[-1])
    return Measured(
        num_pictures=num_pictures,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        whole_seconds=whole_seconds,
    )


def tree_bytes(pid: int) -> int:
    """Return the memory of a process and all below it, pages they share counted once.

    That is the sum of their PSS as Linux gives it; 0 for a process that just ended.
    """
    total, found = 0, [pid]
    while found:
        folder = Path("/proc", str(found.pop()))
        # It may end between one look and the next.
        with contextlib.suppress(OSError, ValueError):
            for children in folder.glob("task/*/children"):
                found += map(int, children.read_text().split())
            for line in (folder / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def picture_names(archive: zipfile.ZipFile) -> list[str]:
    """Return the names of a zip's pictures, sorted."""
    return sorted(name for name in archive.namelist() if not name.endswith("/"))


def spread(values: Sequence[str | Path], number: int) -> list[str | Path]:
    """Return `number` of the values, evenly taken; all of them for 0."""
    if not 0 < number < len(values):
        return list(values)
    return [values[i * len(values) // number] for i in range(number)]


def take_from_zip(source: Path, target: Path, number: int) -> int:
    """Write a zip of `number` of the pictures of another; return how many they are."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        names = spread(picture_names(old), number)
        for name in names:
            new.writestr(str(name), old.read(str(name)))
    return len(names)


def grow_zip(source: Path, target: Path, number: int) -> None:
    """Write a zip of `number` pictures: those of another, again and again.

    A comment within each JPEG differs, so that no two are the same bytes.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        names = spread(picture_names(old), number)
        for i in range(number):
            name = str(names[i % len(names)])
            data, comment = old.read(name), f"{i:08d}".encode()
            marker = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            path = Path(name)
            new_name = path.with_name(f"{path.stem}.{i // len(names)}{path.suffix}")
            new.writestr(new_name.as_posix(), data[:2] + marker + data[2:])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """The config, and the inputs made ready from it."""

    config: Config
    folder: Path
    zip_path: Path
    unpacked: Path
    originals: Path

    @classmethod
    def prepare(cls, config: Config, folder: Path) -> "Bench":
        """Cut the inputs to the limit, unpack the zip, and read all of it once."""
        zip_path, originals = Path(config.zip), Path(config.originals)
        if config.limit:
            zip_path = folder / "pictures.zip"
            take_from_zip(Path(config.zip), zip_path, config.limit)
            paths = sorted(p for p in originals.rglob("*") if p.is_file())
            for path in map(Path, spread(paths, config.limit)):
                target = folder / "originals" / path.relative_to(originals)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
            originals = folder / "originals"
        with zipfile.ZipFile(zip_path) as archive:
            archive.extractall(folder / "unpacked")
        for path in (zip_path, *originals.rglob("*")):
            if path.is_file():
                path.read_bytes()
        return cls(
            config=config,
            folder=folder,
            zip_path=zip_path,
            unpacked=folder / "unpacked",
            originals=originals,
        )

    def tfpipe(self, source: Path, what: str = "", **settings: int | str) -> Contender:
        """Return tfpipe, converting `source`; `what` says by which settings."""
        told = json.dumps({"num_workers": self.config.workers, **settings})
        return Contender(
            name=f"tfpipe, {self.config.workers} workers{what}",
            measure=lambda out: run_writer(
                sys.executable, BY_TFPIPE, source, out, ROOT, told
            ),
        )

    def watched(self, source: Path) -> Contender:
        """Return tfpipe's command, converting `source`, with its memory."""
        return Contender(
            name=f"tfpipe, {self.config.workers} workers",
            measure=lambda out: watch_tfpipe(source, out, self.config.workers),
        )

    def tfds(self, source: Path) -> Contender:
        """Return TFDS's writer, copying `source`."""
        return Contender(
            name="TFDS's `GeneratorBasedBuilder`, 1 process, nothing decoded",
            measure=lambda out: run_writer(
                self.config.peers_python, BY_TFDS, source, out
            ),
        )

    def ffcv(self, source: Path) -> Contender:
        """Return FFCV's writer, making JPEGs of at most SIDE pixels."""
        return Contender(
            name=f"FFCV's `DatasetWriter`, {self.config.workers} workers",
            measure=lambda out: run_writer(
                *(self.config.peers_python, BY_FFCV, source, out),
                *(SIDE, QUALITY, self.config.workers),
            ),
        )

    def pillow(self, source: Path, what: str, side: int) -> Contender:
        """Return a loop over `source` by Pillow in one thread."""
        return Contender(
            name=f"Pillow, 1 thread: {what}",
            measure=lambda out: run_writer(
                sys.executable, BY_PILLOW, source, out, side, QUALITY
            ),
            times=2,
        )

    def alternate(
        self, contenders: Sequence[Contender]
    ) -> list[list[Measured] | PeerAbsentError]:
        """Measure every contender once, then again, ...; an absent one says why."""
        found: list[list[Measured] | PeerAbsentError] = [[] for _ in contenders]
        for repeat in range(self.config.repeats):
            for place, contender in enumerate(contenders):
                so_far = found[place]
                if isinstance(so_far, PeerAbsentError):
                    continue
                print(f"{contender.name}, {repeat + 1}", file=sys.stderr, flush=True)
                with tempfile.TemporaryDirectory(dir=self.folder) as out:
                    try:
                        so_far.append(contender.measure(Path(out)))
                    except PeerAbsentError as error:
                        found[place] = error
        return found


def median_range(values: Sequence[float], pattern: str = "{:,.0f}") -> str:
    """Return "median (least to most)"."""
    median = pattern.format(statistics.median(values))
    if len(values) == 1:
        return median
    return f"{median} ({pattern.format(min(values))} to {pattern.format(max(values))})"


def print_rates(bench: Bench, title: str, contenders: Sequence[Contender]) -> None:
    """Measure; print a table of rates, and how much faster the first one is."""
    print(f"\n## {title}\n")
    print(
        "| writer | pictures | images/s | images per CPU second | tfpipe to it | whole "
        "process, s | tfpipe to it |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    ours = our_whole = 0.0
    found = bench.alternate(contenders)
    for contender, measured in zip(contenders, found, strict=True):
        if isinstance(measured, PeerAbsentError):
            print(f"| {contender.name} | | not installed: {measured} | | | | |")
            continue
        rates = [m.num_pictures / m.seconds for m in measured]
        per_cpu = [m.num_pictures / m.cpu_seconds for m in measured]
        ours = ours or statistics.median(rates)
        ratio = f"{ours / statistics.median(rates) / contender.times:.2f}"
        if contender.times > 1:
            ratio += f" to {contender.times} times it"
        whole = [m.whole_seconds for m in measured]
        our_whole = our_whole or statistics.median(whole)
        cells = [
            *(contender.name, f"{measured[0].num_pictures:,}"),
            *(median_range(rates), median_range(per_cpu), ratio),
            *(median_range(whole, "{:.1f}"),),
            f"{statistics.median(whole) / our_whole:.2f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def print_memory(bench: Bench, title: str, sources: Sequence[Path]) -> None:
    """Measure tfpipe watched; print its memory, speed and start."""
    print(f"\n## {title}\n")
    first = f"first {scan.BLOCK_SIZE} scanned, s"
    print(f"| pictures | peak memory, MB | images/s | {first} |")
    print("| --- | --- | --- | --- |", flush=True)
    contenders = [bench.watched(source) for source in sources]
    for measured in bench.alternate(contenders):
        if isinstance(measured, PeerAbsentError):
            raise measured
        cells = [
            f"{measured[0].num_pictures:,}",
            median_range([m.peak_bytes / 1e6 for m in measured]),
            median_range([m.num_pictures / m.seconds for m in measured]),
            median_range([m.first_seconds for m in measured], "{:.2f}"),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def print_conditions(config: Config) -> None:
    """Print the command, the machine and everybody's versions and settings."""
    facts = machine.describe()
    print(f"`python {shlex.join(sys.argv)}`\n")
    print(f"{machine.describe_cpu()}")
    ours = ", ".join(f"{name} {version}" for name, version in codec_versions().items())
    print(f"\n- tfpipe: Python {facts['python']}, {ours}")
    code = (
        "import sys\nfrom importlib import metadata\nfound = []\n"
        "for name in sys.argv[1:]:\n"
        "    try: found.append(f'{name} {metadata.version(name)}')\n"
        "    except metadata.PackageNotFoundError: found.append(f'no {name}')\n"
        "print(', '.join(found))"
    )
    done = subprocess.run(
        [config.peers_python, "-c", code, *PACKAGES],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(f"- peers: {done.stdout.strip()}")
    print(
        f"- repeats: {config.repeats}, alternating, page cache warm; rates are of the "
        "writing alone, with everything imported; whole processes count the imports"
    )
    print(f"- tfpipe resizes in {'C' if is_compiled() else 'NumPy'}")
    print(
        "- resized: tfpipe (area) and Pillow (box, its fastest that is antialiased) "
        f"stretch to {SIDE} x {SIDE} and encode at quality {QUALITY}, 4:4:4; FFCV's "
        f"`RGBImageField(write_mode='jpg', max_resolution={SIDE}, "
        f"jpeg_quality={QUALITY})` keeps the shape, so that the longer side is {SIDE}, "
        "and encodes 4:2:0: fewer pixels and bytes"
    )


def work(config: Config) -> int:
    """Measure, and print the tables in Markdown."""
    print_conditions(config)
    with prepared(config) as bench:
        if config.row in ("all", "small"):
            for what, source in (
                ("zip", bench.zip_path),
                ("folder", bench.unpacked),
            ):
                print_rates(
                    bench,
                    f"Small pictures out of a {what}",
                    [bench.tfpipe(source), bench.tfds(source)],
                )
        if config.row in ("all", "originals"):
            print_rates(
                bench,
                "Originals, passed through; every one decoded in full",
                [
                    bench.tfpipe(bench.originals),
                    bench.pillow(bench.originals, "decodes, writes nothing", 0),
                ],
            )
        if config.row in ("all", "resized"):
            print_rates(
                bench,
                f"Originals to {SIDE} pixels",
                [
                    bench.tfpipe(bench.originals, image_size=SIDE),
                    bench.tfpipe(
                        bench.originals,
                        ", 4:2:0",
                        image_size=SIDE,
                        jpeg_subsampling="420",
                    ),
                    bench.ffcv(bench.originals),
                    bench.pillow(
                        bench.originals, "decodes, resizes, encodes, no file", SIDE
                    ),
                ],
            )
        if config.row in ("all", "memory"):
            print_memory(
                bench,
                "Memory and start: PSS of all processes together, sampled every "
                f"{SAMPLE_SECONDS * 1000:.0f} ms",
                memory_inputs(bench),
            )
        if config.growth:
            print_memory(
                bench,
                "Growth: the zip's pictures repeated, no two the same bytes",
                grown_inputs(bench),
            )
    return cli.EXIT_OK


@contextlib.contextmanager
def prepared(config: Config) -> Iterator[Bench]:
    """Yield the inputs, in a folder that goes when all is measured."""
    with tempfile.TemporaryDirectory(dir=config.work_dir or None) as folder:
        yield Bench.prepare(config, Path(folder))


def memory_inputs(bench: Bench) -> list[Path]:
    """Return a small part of the zip's pictures, and all of them."""
    part = bench.folder / "part.zip"
    with zipfile.ZipFile(bench.zip_path) as archive:
        num_pictures = len(picture_names(archive))
    take_from_zip(bench.zip_path, part, min(MEMORY_PICTURES, num_pictures // 2))
    return [part, bench.zip_path]


def grown_inputs(bench: Bench) -> list[Path]:
    """Return zips of a sixteenth, a quarter and all of the growth asked for."""
    paths = []
    for step in GROWTH_STEPS:
        number = max(1, bench.config.growth // step)
        paths.append(bench.folder / f"grown-{number}.zip")
        grow_zip(bench.zip_path, paths[-1], number)
    return paths


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
