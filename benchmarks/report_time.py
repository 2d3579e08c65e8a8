"""python benchmarks/report_time.py

Times `python -m tfpipe.report` on copies of run folders, each time in a process of its
own. The copies differ in their seeds alone, so that each configuration has many.
"""

import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfpipe import cli
from tfpipe.base import files, machine
from tfpipe.base.settings import check_settings, setting
from tfpipe.training import run_folder


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What is measured."""

    runs_dir: str = setting(
        "docs/results/vgg16-32px", "Folder of the runs that are copied.", front=True
    )
    num_runs: int = setting(60, "Run folders in the report.", minimum=1, front=True)
    repeats: int = setting(5, "Times that it is drawn.", minimum=1, front=True)

    def __post_init__(self) -> None:
        check_settings(self)


def copy_runs(runs_dir: Path, num_runs: int, into: Path) -> int:
    """Copy each run in turn, under another seed each time, until there are enough.

    Returns:
        Evaluations of all copies together.

    Raises:
        FileNotFoundError: there is no run.
    """
    runs = sorted(path.parent for path in runs_dir.glob(f"*/{run_folder.CONFIG}"))
    if not runs:
        raise FileNotFoundError(
            f"runs_dir must hold run folders, got none in {runs_dir}; name a folder "
            "with --runs_dir"
        )
    evaluations = 0
    for number in range(num_runs):
        source, seed = runs[number % len(runs)], 1_000 + number // len(runs)
        copy = into / f"{number}-{source.name}"
        copy.mkdir()
        for name in (run_folder.METRICS, run_folder.STATUS):
            shutil.copyfile(source / name, copy / name)
        facts = json.loads((source / run_folder.CONFIG).read_text())
        facts["config"]["run"] |= {"seed": seed, "run_name": copy.name}
        (copy / run_folder.CONFIG).write_text(json.dumps(facts))
        evaluations += len(files.read_json_lines(copy / run_folder.METRICS))
    return evaluations


def seconds_of(runs_dir: Path, out: Path) -> float:
    """Return the seconds that one report takes, from starting Python to its end."""
    command = [sys.executable, "-m", "tfpipe.report", str(runs_dir), f"--out={out}"]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--pictures=0"],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def work(config: Config) -> int:
    """Measure, and print the result."""
    with tempfile.TemporaryDirectory() as temporary:
        runs_dir, out = Path(temporary) / "runs", Path(temporary) / "report"
        runs_dir.mkdir()
        evaluations = copy_runs(Path(config.runs_dir), config.num_runs, runs_dir)
        first = seconds_of(runs_dir, out)  # which may compile, and read the fonts' list
        seconds = [seconds_of(runs_dir, out) for _ in range(config.repeats)]
        written = sum(path.is_file() for path in out.rglob("*"))
    facts = machine.describe()
    print(
        f"{facts['cpu']}, {facts['cores']} cores, one used; matplotlib "
        f"{metadata.version('matplotlib')}\n"
        f"{config.num_runs} runs with {evaluations:,} evaluations into {written} "
        f"files: {statistics.median(seconds):.1f} s, the median of {config.repeats} "
        f"({min(seconds):.1f} to {max(seconds):.1f}); the first time {first:.1f} s"
    )
    return cli.EXIT_OK


if __name__ == "__main__":
    cli.run_binary(__doc__, Config, work)
