"""Time a few steps of runs of which none is known, before a study begins."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from tfpipe.base import machine, settings, sharing
from tfpipe.base.sharing import Share
from tfpipe.comparison import execution, forecast
from tfpipe.comparison.forecast import Pace
from tfpipe.training.config import RunConfig

MOST_SECONDS = 300.0
"""After which a trial is given up."""


def measure_paces(
    runs: Sequence[RunConfig], workers: str, say: Callable[[str], None]
) -> list[Pace]:
    """Return the paces of a study: known, or timed by a trial.

    A trial takes a few steps of a run whose work no run has done, in a process of its
    own that writes nothing, and beside as many others as the run would have.

    Args:
        runs: of the study.
        workers: how many train at a time, see `execution.train_runs`.
        say: gets a line before each trial, and one where it told nothing.
    """
    left = execution.runs_left(runs)
    num_workers = execution.count_workers(workers, len(left))
    paces = forecast.measure_paces(runs, num_workers)
    tried = []
    for run in left:
        work = forecast.work_of(run)
        if work in tried or forecast.expect_pace(run, paces):
            continue
        tried.append(work)
        model, size = run.model.model, run.data.image_size
        beside = f", {num_workers} at a time" if num_workers > 1 else ""
        say(
            f"none was trained like this{beside} yet: timing steps of {model} at "
            f"{size} pixels"
        )
        try:
            paces.append(_time(run, num_workers))
        except ValueError as error:
            say(f"their time isn't known: {error}")
    return paces


def _time(run: RunConfig, num_workers: int) -> Pace:
    """Return the pace of a run.

    Raises:
        ValueError: where there is none to tell.
    """
    shares = [Share(cores=frozenset(), environment={})]  # the whole machine
    if num_workers > 1:
        shares = sharing.divide(num_workers, machine.visible_gpus())
    processes: list[subprocess.Popen[str]] = []
    began = time.monotonic()
    try:
        for share in shares:
            with sharing.bound_to(share.cores):
                processes.append(_start(run, share))
        first = processes[0]
        output, errors = first.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"the first steps took longer than {MOST_SECONDS:.0f} s"
        ) from None
    else:
        whole = time.monotonic() - began
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    if first.returncode:
        said = errors.strip().splitlines()
        raise ValueError(said[-1] if said else f"exit code {first.returncode}")
    found = json.loads(output.splitlines()[-1])
    return Pace(
        config=run,
        step_seconds=found["step_seconds"] * (1 + found["evaluation_share"]),
        steps_per_epoch=found["steps_per_epoch"],
        start_seconds=max(0.0, whole - found["num_steps"] * found["step_seconds"]),
    )


def _start(run: RunConfig, share: Share) -> subprocess.Popen[str]:
    values = json.dumps(settings.flatten(run))
    return subprocess.Popen(
        [sys.executable, "-m", "tfpipe.training.bare_steps", values],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **share.environment},
        start_new_session=True,
    )
