"""Let a unit of work end before Ctrl-C or SIGTERM takes effect."""

import contextlib
import os
import signal
import threading
import types
from collections.abc import Iterator


class Terminated(KeyboardInterrupt):
    """SIGTERM or a closed terminal, raised where Ctrl-C would be."""


class Postponed:
    """Signals that came while `postponed_signals` was open."""

    def __init__(self) -> None:
        self.received: int | None = None

    def handle(self, number: int, frame: types.FrameType | None) -> None:
        """Remember the first signal; at a second end the process where it stands."""
        if self.received is not None:
            os.write(2, b"\nstopped at once; what was saved before stands\n")
            os._exit(128 + number)
        self.received = number
        os.write(2, b"\nstopping after this step; once more stops at once, unsaved\n")

    def raise_received(self) -> None:
        """Raise KeyboardInterrupt or Terminated if its signal has come."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise Terminated


@contextlib.contextmanager
def postponed_signals() -> Iterator[Postponed]:
    """Hold SIGINT, SIGTERM and SIGHUP back until the block asks or ends.

    Outside the main thread, where signals never arrive, nothing is held back.
    """
    postponed = Postponed()
    if threading.current_thread() is not threading.main_thread():
        yield postponed
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, postponed.handle) for number in numbers}
    try:
        yield postponed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
