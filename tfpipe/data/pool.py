"""Run plain, picklable jobs in processes: the local mapper."""

import concurrent.futures
import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class Workers:
    """Processes that stay for several rounds of jobs.

    Args:
        num_workers: at most so many; one is this process itself.
    """

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> "Workers":
        """Fork the processes now, where that can be: while there is little to share."""
        if self._num_workers > 1 and _start_method() == "fork":
            self._start("fork", self._num_workers)
        return self

    def _start(self, method: str, num_workers: int) -> None:
        self._pool = concurrent.futures.ProcessPoolExecutor(
            num_workers,
            mp_context=multiprocessing.get_context(method),
            initializer=_begin_worker,
        )
        # A forked child's garbage collector would copy all that it looks at.
        gc.freeze()
        for _ in range(num_workers):
            self._pool.submit(os.getpid)
        gc.unfreeze()

    def __exit__(self, *exception: object) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def run(
        self, function: Callable[[Job], Result], jobs: Sequence[Job]
    ) -> Iterator[Result]:
        """Yield the result of every job, in the order they finish.

        An error in a job is raised here; the jobs that wait are then dropped.

        Raises:
            OSError: if a worker process was killed.
        """
        if self._pool is None and min(self._num_workers, len(jobs)) > 1:
            self._start("spawn", min(self._num_workers, len(jobs)))
        if self._pool is None:
            yield from map(function, jobs)
            return
        futures = [self._pool.submit(function, job) for job in jobs]
        try:
            for future in concurrent.futures.as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise OSError(
                "worker processes must stay alive, got one killed (often for memory); "
                "give the same command with a smaller --num_workers to go on"
            ) from None
        finally:
            for future in futures:
                future.cancel()


def _start_method() -> str:
    """Return fork where it is safe: half a second of imports a worker is saved.

    A forked child shares locks with threads that it doesn't have; so there must be
    none, and none of TensorFlow's, which Python doesn't count.
    """
    is_alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    return "fork" if sys.platform == "linux" and is_alone else "spawn"


def _begin_worker() -> None:
    # Ctrl-C reaches the whole terminal group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this worker when its parent was killed, before another writer can start.

    A pool's worker would otherwise finish its job and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
