"""Divide this machine among processes that work at the same time."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence

from tfpipe.base import machine


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """What one of several processes may use.

    Attributes:
        cores: numbers of CPUs; empty where the system can't bind a process to some.
        environment: variables that tell the process.
    """

    cores: frozenset[int]
    environment: dict[str, str]


def divide(num_workers: int, gpus: Sequence[str]) -> list[Share]:
    """Return a share for each of `num_workers` processes, as equal as can be.

    Cores and memory are divided; each gets one of the GPUs, in turn. With more
    processes than cores or GPUs, some have one together.

    The number of TensorFlow's threads stays that of the whole machine: it divides sums
    among them, so that with fewer the last bits would be others. The threads of a
    process then take turns on its cores.

    Args:
        num_workers: processes that work at the same time.
        gpus: names as CUDA_VISIBLE_DEVICES takes them; [] without any.
    """
    cores = _affinity()
    memory = machine.usable_memory_bytes() // num_workers
    shares = []
    for number in range(num_workers):
        environment = {
            machine.WORKERS: str(num_workers),
            machine.MEMORY_BYTES: str(max(1, memory)),
            machine.ALL_CORES: str(machine.usable_cores()),
        }
        if cores:
            environment[machine.THREADS] = str(machine.num_threads())
        if gpus:
            place = number % len(gpus)
            environment[machine.CUDA_DEVICES] = gpus[place]
            beside = len(range(place, num_workers, len(gpus)))
            environment[machine.GPU_WORKERS] = str(beside)
        first, end = (n * len(cores) // num_workers for n in (number, number + 1))
        own = cores[first:end] or cores[number % max(1, len(cores)) :][:1]
        shares.append(Share(cores=frozenset(own), environment=environment))
    return shares


def _affinity() -> list[int]:
    has_affinity = hasattr(os, "sched_setaffinity")
    return sorted(os.sched_getaffinity(0)) if has_affinity else []


@contextlib.contextmanager
def bound_to(cores: frozenset[int]) -> Iterator[None]:
    """Let processes that are started in the block run on these cores only.

    They inherit the affinity of this thread, which is given back behind the block.
    """
    before = _affinity()
    if not cores:
        yield
        return
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
