"""What this process may use: cores, memory, CPU features."""

import math
import os
import platform
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Return the CPU cores this process may use: affinity and cgroup quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota_cores()
    return max(1, min(cores, math.ceil(quota))) if quota else cores


def _cgroup_quota_cores() -> float | None:
    words = _first_line(CGROUP / "cpu.max").split()
    if len(words) == 2 and words[0] != "max":
        return int(words[0]) / int(words[1])
    quota = _first_line(CGROUP / "cpu/cpu.cfs_quota_us")
    period = _first_line(CGROUP / "cpu/cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def usable_memory_bytes() -> int:
    """Return the bytes of memory this process may still take, cgroup limit included."""
    available = [_available_memory_bytes()]
    for limit_name, usage_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        limit, usage = (
            _first_line(CGROUP / limit_name),
            _first_line(CGROUP / usage_name),
        )
        if limit.isdigit() and usage.isdigit():
            available.append(max(0, int(limit) - int(usage)))
    return min(available)


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
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }


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
