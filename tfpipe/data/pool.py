"""Run plain, picklable jobs in processes: the local mapper."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_jobs(
    function: Callable[[Job], Result], jobs: Sequence[Job], num_workers: int
) -> Iterator[Result]:
    """Yield the result of every job, in the order they finish.

    One worker is this process itself. An error in a job ends the others and is raised
    here.

    Raises:
        OSError: if a worker process was killed.
    """
    num_workers = min(num_workers, len(jobs))
    if num_workers <= 1:
        yield from map(function, jobs)
        return
    # spawn: a forked child would share locks and threads of whoever imported us.
    pool = concurrent.futures.ProcessPoolExecutor(
        num_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
    )
    try:
        futures = [pool.submit(function, job) for job in jobs]
        for future in concurrent.futures.as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise OSError(
            "worker processes must stay alive, got one killed (often for memory); "
            "give the same command with a smaller --num_workers to go on"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    # Ctrl-C reaches the whole terminal group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """End this worker when its parent was killed, before another writer can start.

    A pool's worker would otherwise finish its job and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
