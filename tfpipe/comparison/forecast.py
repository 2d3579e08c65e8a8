"""How long the runs of a study will take, from those of them that are under way."""

import dataclasses
import heapq
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfpipe.base.progress import format_seconds
from tfpipe.comparison import results
from tfpipe.data import manifest
from tfpipe.training import checkpoint, naming, run_folder
from tfpipe.training.config import RunConfig

WORK = (
    "model",
    "image_size",
    "batch_size",
    "precision",
    "augment",
    "train_examples",
    "validation_split",
    "diagnostics",
)
"""Settings that make a step, and an epoch, as long as another's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a run is.

    Attributes:
        config: the run's.
        step_seconds: of a step, with its part of evaluations and all else.
        steps_per_epoch: batches an epoch.
        start_seconds: before the second step: of a process, its model and its input;
            0 where that isn't known.
    """

    config: RunConfig
    step_seconds: float
    steps_per_epoch: int
    start_seconds: float = 0.0


def measure_paces(runs: Iterable[RunConfig], num_workers: int) -> list[Pace]:
    """Return the paces of those runs that have been evaluated after an epoch.

    Only of runs beside which as many trained as would now: alone, a run is faster.
    """
    folders = [run_folder.run_folder(run) for run in runs]
    paces = [_measure(f, num_workers) for f in folders if run_folder.is_run_folder(f)]
    return [pace for pace in paces if pace]


def _measure(folder: Path, num_workers: int) -> Pace | None:
    try:
        record = run_folder.read_run(folder)
    except ValueError:
        return None  # a damaged one that is started again
    lines, facts = record.evaluations, record.facts
    # In older formats a line's seconds are those of its epoch.
    is_of_today = facts["format_version"] == run_folder.FORMAT_VERSION
    is_alike = results.num_workers(facts) == num_workers
    if not (lines and is_of_today and is_alike and "wall_seconds" in lines[-1]):
        return None
    return Pace(
        config=record.config,
        step_seconds=lines[-1]["wall_seconds"] / lines[-1]["step"],
        steps_per_epoch=facts["steps_per_epoch"],
    )


def expect_pace(run: RunConfig, paces: Sequence[Pace]) -> Pace | None:
    """Return the median pace of runs of the same work, None without one.

    Those of the same optimizer count before others.
    """
    alike = [pace for pace in paces if work_of(pace.config) == work_of(run)]
    name = run.optimizer.optimizer
    same = [pace for pace in alike if pace.config.optimizer.optimizer == name]
    if not alike:
        return None
    seconds = statistics.median(pace.step_seconds for pace in same or alike)
    return dataclasses.replace(alike[0], step_seconds=seconds)


def work_of(run: RunConfig) -> list[Any]:
    """Return what makes a step, and an epoch, of a run as long as another's."""
    values = naming.in_words(run)
    return [values[name] for name in WORK]


def expect_seconds(run: RunConfig, paces: Sequence[Pace]) -> float | None:
    """Return the seconds that a run has left, None where no pace is known."""
    pace = expect_pace(run, paces)
    if pace is None:
        return None
    steps = num_steps(run, pace.steps_per_epoch) - steps_done(run)
    return pace.start_seconds + max(0, steps) * pace.step_seconds


def num_steps(run: RunConfig, steps_per_epoch: int) -> int:
    """Return the steps of a whole run."""
    steps = run.run.epochs * steps_per_epoch
    return min(steps, run.run.max_steps or steps)


def steps_done(run: RunConfig) -> int:
    """Return the step that a run goes on behind, 0 where it begins."""
    if run.run.overwrite:
        return 0
    return checkpoint.saved_step(run_folder.run_folder(run) / run_folder.CHECKPOINT)


def longest_first(runs: Sequence[RunConfig], paces: Sequence[Pace]) -> list[RunConfig]:
    """Return the runs replicate by replicate, and in each the longest first.

    Where the pace of one isn't known, the length of all is told by their pixels.
    """
    seconds = [expect_seconds(run, paces) for run in runs]
    known = [length for length in seconds if length is not None]
    lengths = known if len(known) == len(runs) else [_num_pixels(r) for r in runs]
    seeds = list(dict.fromkeys(run.run.seed for run in runs))
    order = sorted(
        range(len(runs)),
        key=lambda place: (seeds.index(runs[place].run.seed), -lengths[place]),
    )
    return [runs[place] for place in order]


def _num_pixels(run: RunConfig) -> float:
    """Return how many pixels of train pictures a run sees, about."""
    data, most = run.data, run.run.max_steps
    examples = data.train_examples
    if not examples:
        examples = manifest.read_manifest(data.records_dir).split_sizes["train"]
    pictures = run.run.epochs * examples
    if most:
        pictures = min(pictures, most * data.batch_size)
    return pictures * data.image_size**2


def study_seconds(
    under_way: Sequence[float], waiting: Sequence[float], num_workers: int
) -> float:
    """Return the seconds of runs of which `num_workers` train at a time.

    Args:
        under_way: seconds left of runs that train now.
        waiting: seconds of the others, in the order in which they begin.
        num_workers: how many train at a time.
    """
    free = num_workers - len(under_way)
    ends = [*under_way, *[0.0] * free]
    heapq.heapify(ends)
    for seconds in waiting:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def describe_left(
    left: Sequence[RunConfig], num_workers: int, paces: Sequence[Pace]
) -> str:
    """Say how many runs are left, and how long they take together where that is known.

    Args:
        left: in the order in which they begin.
        num_workers: how many train at a time.
        paces: what is known.
    """
    together = f", {num_workers} at a time" if num_workers > 1 else ""
    words = f"left: {len(left)} run{'s' * (len(left) > 1)}{together}"
    seconds = [expect_seconds(run, paces) for run in left]
    known = [length for length in seconds if length is not None]
    if not known:
        return f"{words}: time is said after their first steps"
    unknown = len(left) - len(known)
    rest = f", and {unknown} of unknown length" if unknown else ""
    return f"{words}: {about(study_seconds([], known, num_workers))}{rest}"


def about(seconds: float) -> str:
    """Return an expected duration: "about 3 min 20 s"."""
    return f"about {format_seconds(seconds)}"
