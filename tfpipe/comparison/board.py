"""Show the runs of a study while they train: a table on a terminal, lines in a log."""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import rich.box
import rich.console
import rich.live
import rich.table
import rich.text

from tfpipe.base import files
from tfpipe.base.progress import format_seconds
from tfpipe.comparison import forecast
from tfpipe.comparison.forecast import Pace
from tfpipe.training import run_folder
from tfpipe.training.config import RunConfig
from tfpipe.training.naming import run_name

REDRAW_SECONDS, LINE_SECONDS = 1.0, 60.0
COLUMNS = ("run", "state", "epoch", "step", "time left")
FRAME_ROWS = 6
"""Rows of the table's head and caption, and some for lines above it."""
WAITING, ENDED = "waits", "ended before"


class Watch:
    """A run that trains now, seen through what it writes into its folder."""

    def __init__(self, run: RunConfig) -> None:
        self.run = run
        self.epoch = self.step = 0
        self._folder = run_folder.run_folder(run)
        self._began = time.time()
        self._facts: dict[str, Any] = {}
        self._first: tuple[int, float] | None = None
        self._step_seconds = 0.0

    def look(self) -> None:
        """Read how far the run is."""
        if not self._facts:
            path = self._folder / run_folder.CONFIG
            try:
                # Written anew by each session; until then all here is of one before.
                if path.stat().st_mtime < self._began:
                    return
                self._facts = json.loads(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                return
        line = files.read_last_json_line(self._folder / run_folder.STEPS)
        if not line:
            return
        self.epoch, self.step = line["epoch"], line["step"]
        now = time.monotonic()
        # A session's first step compiles.
        if self._first is None:
            self._first = self.step, now
        elif self.step > self._first[0]:
            step, since = self._first
            self._step_seconds = (now - since) / (self.step - step)

    @property
    def state(self) -> str:
        """What the run does, in a word."""
        return "trains" if self.step else "starts"

    @property
    def pace(self) -> Pace | None:
        """How fast it is since it was first seen at a step, None before two."""
        if not self._step_seconds:
            return None
        return Pace(
            config=self.run,
            step_seconds=self._step_seconds,
            steps_per_epoch=self._facts["steps_per_epoch"],
        )

    def seconds_left(self, pace: Pace | None) -> float | None:
        """Return the seconds that it has left at a pace, None where that isn't known.

        Before its first step that is a whole run, or what its checkpoint leaves.
        """
        if pace is None:
            return None
        done = self.step or forecast.steps_done(self.run)
        steps = forecast.num_steps(self.run, pace.steps_per_epoch) - done
        return max(0, steps) * pace.step_seconds

    def cells(self) -> tuple[str, str]:
        """Return epoch and step, each with the last one where it is known."""
        if not self.step:
            return "", ""
        steps = forecast.num_steps(self.run, self._facts["steps_per_epoch"])
        return f"{self.epoch}/{self.run.run.epochs}", f"{self.step:,}/{steps:,}"


class Board:
    """The runs of a study and how far they are, as a context manager.

    Args:
        runs: all of the study.
        left: those that are left to train, in the order in which they begin.
        num_workers: how many train at a time.
    """

    def __init__(
        self, runs: Sequence[RunConfig], left: Sequence[RunConfig], num_workers: int
    ) -> None:
        self.runs, self.left = tuple(runs), tuple(left)
        self.num_workers = num_workers
        self._states = {run_name(run): ENDED for run in runs}
        self._states |= {run_name(run): WAITING for run in left}
        self._watches: dict[str, Watch] = {}
        self.paces = forecast.measure_paces(runs, num_workers)
        self._drawn = time.monotonic()
        console = rich.console.Console()
        # Drawn by `refresh` alone: no thread stands beside the start of a process.
        self._live = (
            rich.live.Live(console=console, auto_refresh=False)
            # Colours that are forced make no terminal of a pipe.
            if console.is_terminal and console.file.isatty()
            else None
        )

    @property
    def is_live(self) -> bool:
        """Whether there is a table, which stands below all lines."""
        return self._live is not None

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            # Of a study that was stopped no run trains any more.
            self._live.transient = exception[0] is not None
            self._live.update(self.table(), refresh=True)
            self._live.stop()

    def begin(self, run: RunConfig) -> None:
        """Note that a run's process has been started."""
        self._watches[run_name(run)] = Watch(run)

    def end(self, run: RunConfig, state: str) -> None:
        """Note what became of a run."""
        del self._watches[run_name(run)]
        self._states[run_name(run)] = state
        self.paces = forecast.measure_paces(self.runs, self.num_workers)

    def say(self, line: str) -> None:
        """Print a line, above the table where there is one."""
        if self._live:
            self._live.console.print(rich.text.Text(line), soft_wrap=True)
        else:
            print(line, flush=True)

    def refresh(self) -> None:
        """Draw the table anew each second, or print a line each minute."""
        now = time.monotonic()
        if now - self._drawn < (REDRAW_SECONDS if self._live else LINE_SECONDS):
            return
        self._drawn = now
        for watch in self._watches.values():
            watch.look()
        if self._live:
            self._live.update(self.table(), refresh=True)
        else:
            print(self.line(), flush=True)

    def table(self) -> rich.table.Table:
        """Return the table: all runs where they fit on the screen, else those at work.

        Its caption says how many have ended and how long the study goes on.
        """
        table = rich.table.Table(
            box=rich.box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            caption=rich.text.Text(self._summary()),
            caption_justify="left",
        )
        for name in COLUMNS:
            table.add_column(name, overflow="fold")
        rows = self._live.console.height - FRAME_ROWS if self._live else math.inf
        for name, state in self._states.items():
            watch = self._watches.get(name)
            if watch:
                left = watch.seconds_left(self._pace(watch.run))
                row = [name, watch.state, *watch.cells(), _words(left)]
                table.add_row(*map(rich.text.Text, row))
            elif len(self._states) <= rows:
                table.add_row(rich.text.Text(name), rich.text.Text(state))
        return table

    def line(self) -> str:
        """Return the table in a line."""
        parts = [self._summary()]
        for name, watch in self._watches.items():
            epoch, step = watch.cells()
            where = f" epoch {epoch}, step {step}" if step else ""
            left = _words(watch.seconds_left(self._pace(watch.run)))
            parts.append(f"{name} {watch.state}{where}{left and f', {left} left'}")
        return "; ".join(parts)

    def _summary(self) -> str:
        num_waiting = list(self._states.values()).count(WAITING) - len(self._watches)
        num_ended = len(self._states) - num_waiting - len(self._watches)
        left = _words(self.seconds_left())
        ended = f"{num_ended} of {len(self._states)} runs ended"
        return f"{ended}, {left} left" if left else ended

    def seconds_left(self) -> float | None:
        """Return the seconds until the last run ends, None where one isn't known."""
        under_way, waiting = [], []
        for run in self.left:
            name, pace = run_name(run), self._pace(run)
            if name in self._watches:
                under_way.append(self._watches[name].seconds_left(pace))
            elif self._states[name] == WAITING:
                waiting.append(forecast.expect_seconds(run, [pace] if pace else []))
        known = [s for s in (*under_way, *waiting) if s is not None]
        if len(known) < len(under_way) + len(waiting):
            return None
        num = len(under_way)
        return forecast.study_seconds(known[:num], known[num:], self.num_workers)

    def _pace(self, run: RunConfig) -> Pace | None:
        """Return a run's pace: from whole epochs if there are any, else from steps."""
        live = [watch.pace for watch in self._watches.values()]
        return forecast.expect_pace(run, self.paces) or forecast.expect_pace(
            run, [pace for pace in live if pace]
        )


def _words(seconds: float | None) -> str:
    return "" if seconds is None else format_seconds(seconds)
