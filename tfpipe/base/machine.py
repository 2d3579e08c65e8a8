"""What this process may use: cores, memory, CPU features."""

import math
import os
import platform
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
SELF_CGROUP = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return the CPU cores this process may use: affinity and cgroup quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota_cores()
    return max(1, min(cores, math.ceil(quota))) if quota else cores


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
    """Return the bytes of memory this process may still take, cgroup limit included."""
    available = [_available_memory_bytes()]
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
