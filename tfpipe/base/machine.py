"""What this process may use: cores, memory, GPUs, CPU features.

Four variables of the environment say that it shares the machine; `sharing` sets them.
TFPIPE_WORKERS: processes that work at the same time, this one among them.
TFPIPE_GPU_WORKERS: those of them on its GPU. TFPIPE_MEMORY_BYTES: the most memory it
may count on, in bytes. TFPIPE_ALL_CORES: the cores of all of them.
"""

import math
import os
import platform
import subprocess
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
SELF_CGROUP = Path("/proc/self/cgroup")
WORKERS, GPU_WORKERS = "TFPIPE_WORKERS", "TFPIPE_GPU_WORKERS"
MEMORY_BYTES, ALL_CORES = "TFPIPE_MEMORY_BYTES", "TFPIPE_ALL_CORES"
CUDA_DEVICES = "CUDA_VISIBLE_DEVICES"
THREADS = "TF_NUM_INTRAOP_THREADS"
"""TensorFlow's, among which it divides a sum."""
GPU_SECONDS = 20.0
"""After which nvidia-smi, which hangs with some broken drivers, is given up."""


def usable_cores() -> int:
    """Return the CPU cores this process may use: affinity, cgroup quota, its share.

    Who shares the machine is bound to its share of the cores, where the system has
    affinity; a quota is of all who share it.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = max(1, (os.cpu_count() or 1) // num_workers())
    quota = (_cgroup_quota_cores() or cores * num_workers()) / num_workers()
    return max(1, min(cores, math.ceil(quota)))


def num_threads() -> int:
    """Return among how many threads TensorFlow divides a sum: all cores' unless told.

    It counts those of the affinity, whatever the quota of a control group.
    """
    text = os.environ.get(THREADS, "")
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_workers() -> int:
    """Return how many processes share the machine, this one among them."""
    return _from_environment(WORKERS) or 1


def num_gpu_workers() -> int:
    """Return how many processes share this one's GPU, this one among them."""
    return _from_environment(GPU_WORKERS) or 1


def _from_environment(name: str) -> int | None:
    text = os.environ.get(name, "")
    if text and not (text.isdecimal() and int(text) > 0):
        raise ValueError(
            f"{name} must be a whole number of at least 1, got {text!r}; unset it"
        )
    return int(text) if text else None


def visible_gpus() -> list[str]:
    """Return NVIDIA's GPUs that this process sees, as CUDA_VISIBLE_DEVICES names them.

    None where nvidia-smi is absent or fails: without a driver nothing runs on them.
    """
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"],
            capture_output=True,
            text=True,
            check=True,
            timeout=GPU_SECONDS,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    # "GPU 0: NVIDIA H100 (UUID: GPU-5c0b...)"; parts of one are indented.
    gpus = [line[4:] for line in listed.splitlines() if line.startswith("GPU ")]
    numbers = [gpu.partition(":")[0] for gpu in gpus]
    if CUDA_DEVICES not in os.environ:
        return numbers
    found: list[str] = []
    for word in os.environ[CUDA_DEVICES].replace(" ", "").split(","):
        is_uuid = word.startswith(("GPU-", "MIG-")) and word in listed
        if not (word in numbers or is_uuid) or word in found:
            break  # CUDA, too, sees none from the first wrong one on
        found.append(word)
    return found


def _cgroup_dirs() -> list[Path]:
    """Return this process's control group (version 2) and those that hold it."""
    lines = _lines(SELF_CGROUP)
    inner = next((line[3:] for line in lines if line.startswith("0::/")), "/")
    folder = CGROUP / inner.strip("/")
    dirs = [folder, *folder.parents]
    return dirs[: dirs.index(CGROUP) + 1] if CGROUP in dirs else [CGROUP]


def _cgroup_quota_cores() -> float | None:
    quotas = []
    for folder in _cgroup_dirs():
        words = _first_line(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            quotas.append(int(words[0]) / int(words[1]))
    if quotas:
        return min(quotas)
    quota = _first_line(CGROUP / "cpu/cpu.cfs_quota_us")
    period = _first_line(CGROUP / "cpu/cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def usable_memory_bytes() -> int:
    """Return the bytes of memory this process may still take.

    What is available, within the limits of its cgroups, and its share of that.
    """
    available = [_available_memory_bytes()]
    share = _from_environment(MEMORY_BYTES)
    available += [share] if share else []
    places = [(folder, "memory.max", "memory.current") for folder in _cgroup_dirs()]
    old = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for folder, limit_name, usage_name in [*places, (CGROUP / "memory", *old)]:
        limit = _first_line(folder / limit_name)
        usage = _first_line(folder / usage_name)
        if limit.isdigit() and usage.isdigit():
            used = int(usage) - _reclaimable_bytes(folder)
            available.append(max(0, int(limit) - used))
    return min(available)


def _reclaimable_bytes(folder: Path) -> int:
    """Return the bytes of files read long ago that a control group would give back."""
    for line in _lines(folder / "memory.stat"):
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0


def _available_memory_bytes() -> int:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def cpu_model() -> str:
    """Return the CPU's model name as the operating system gives it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the CPU's feature flags (Linux), empty elsewhere."""
    return frozenset(_cpuinfo("flags").split())


def describe() -> dict[str, object]:
    """Return the facts of this machine that change speeds or float results."""
    interesting = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd")
    return {
        "cpu": cpu_model(),
        "cpu_flags": sorted(cpu_flags().intersection(interesting)),
        "cores": usable_cores(),
        # Of all who share it.
        "all_cores": _from_environment(ALL_CORES) or usable_cores(),
        "threads": num_threads(),
        "memory_bytes": usable_memory_bytes(),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


def describe_cpu() -> str:
    """Return the processor, its usable cores and its flags as one line."""
    facts = describe()
    flags: object = facts["cpu_flags"]
    words = ", ".join(flags) if isinstance(flags, list) else ""
    return f"{facts['cpu']}, {facts['cores']} cores, {words or 'no flags of note'}"


def _cpuinfo(name: str) -> str:
    for line in _lines(Path("/proc/cpuinfo")):
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _first_line(path: Path) -> str:
    lines = _lines(path)
    return lines[0].strip() if lines else ""
