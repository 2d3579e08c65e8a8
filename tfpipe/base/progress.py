"""Show long work: one live line on a terminal, plain lines in a log."""

import sys
import time

LOG_INTERVAL_SECONDS = 15.0


class Progress:
    """Count work up to `total` on standard error, as a context manager.

    On a terminal one line is redrawn; elsewhere a plain line appears at most every
    15 seconds, so that logs stay short.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = 0
        self._start = self._shown = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            # Only here, so that workers and logs don't wait for its import.
            import rich.console
            import rich.progress

            console = rich.console.Console(stderr=True)
            self._bar = rich.progress.Progress(
                rich.progress.TextColumn("{task.description}"),
                rich.progress.BarColumn(bar_width=20),
                rich.progress.MofNCompleteColumn(),
                rich.progress.TextColumn(f"{unit} {{task.fields[rate]}}"),
                rich.progress.TimeRemainingColumn(),
                rich.progress.TextColumn("{task.fields[note]}"),
                console=console,
                transient=True,
                # What is printed meanwhile goes above the bar only on a terminal.
                redirect_stdout=sys.stdout.isatty(),
            )
            self._task = self._bar.add_task(label, total=total, note="", rate="")

    def __enter__(self) -> "Progress":
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more units, or none; `note` is shown behind the counts."""
        self.done += count
        now = time.monotonic()
        rate = self.done / max(now - self._start, 1e-9)
        if self._bar:
            self._bar.update(
                self._task, advance=count, note=note, rate=f"{rate:,.1f}/s"
            )
        elif now - self._shown >= LOG_INTERVAL_SECONDS:
            self._shown = now
            left = (self.total - self.done) / rate if rate else 0.0
            line = (
                f"{self.label} {self.done:,}/{self.total:,} {self.unit}, "
                f"{rate:,.1f}/s, {format_seconds(left)} left"
            )
            print(f"{line}, {note}" if note else line, file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """Return a duration as people say it: "8 s", "3 min 20 s", "2 h 05 min"."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
