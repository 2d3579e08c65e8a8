"""Let a unit of work end before Ctrl-C or SIGTERM takes effect."""

import contextlib
import signal
import threading
import types
from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Ctrl-C would be, so that both are handled the same way."""


class Postponed:
    """Signals that came while `postponed_signals` was open."""

    def __init__(self) -> None:
        self.received: int | None = None

    def handle(self, number: int, frame: types.FrameType | None) -> None:
        """Remember the signal."""
        self.received = number

    def raise_received(self) -> None:
        """Raise KeyboardInterrupt or Terminated if its signal has come."""
        if self.received == signal.SIGTERM:
            raise Terminated
        if self.received is not None:
            raise KeyboardInterrupt


@contextlib.contextmanager
def postponed_signals() -> Iterator[Postponed]:
    """Hold SIGINT and SIGTERM back until the block asks or ends.

    Outside the main thread, where signals never arrive, nothing is held back.
    """
    postponed = Postponed()
    if threading.current_thread() is not threading.main_thread():
        yield postponed
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, postponed.handle) for number in numbers}
    try:
        yield postponed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
