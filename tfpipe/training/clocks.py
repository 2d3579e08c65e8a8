"""Where the seconds of a run go: one part at a time, so that they add up."""

import contextlib
import time
from collections.abc import Iterator

PARTS = (
    "start",
    "first_step",
    "train",
    "eval",
    "diagnostics",
    "save",
    "log",
    "callbacks",
    "other",
)
"""What a second can belong to.

start: opening records, building the model. first_step: of each session, which compiles.
train: all other steps, waiting for input included. eval: probes and full evaluations.
diagnostics: norms and the like. save: checkpoints and models. log: lines, TensorBoard,
plots. callbacks: a person's own. other: what is left.
"""


class Clocks:
    """Seconds of each part of a run, over all its sessions."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._part = "start"
        self._since = time.monotonic()

    def go_on(self, seconds: dict[str, float]) -> None:
        """Add what earlier sessions took."""
        for part, value in seconds.items():
            self._seconds[part] += value

    def switch(self, part: str) -> None:
        """Let the seconds from now on belong to `part`."""
        now = time.monotonic()
        self._seconds[self._part] += now - self._since
        self._part, self._since = part, now

    @contextlib.contextmanager
    def running(self, part: str) -> Iterator[None]:
        """Let the seconds of a block belong to `part`, but for blocks inside it."""
        outer = self._part
        self.switch(part)
        try:
            yield
        finally:
            self.switch(outer)

    def read(self) -> dict[str, float]:
        """Return the seconds of each part until now."""
        self.switch(self._part)
        return dict(self._seconds)

    def fields(self) -> dict[str, float]:
        """Return the fields of a line for now, see `as_fields`."""
        return as_fields(self.read())


def as_fields(seconds: dict[str, float]) -> dict[str, float]:
    """Return the fields of a line: each part's seconds, and wall_seconds."""
    found = {f"{part}_seconds": round(seconds[part], 3) for part in PARTS}
    return {**found, "wall_seconds": round(sum(seconds.values()), 3)}
