"""What of the machine this process may use: cores and memory, as affinity and control groups (v1, v2) allow."""

from __future__ import annotations

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_UNLIMITED = 2**60  # bytes; version 1 writes a number near 2^63 for no limit
_UNKNOWN_MEMORY_BYTES = 2**32


def usable_cores() -> int:
    """Return how many physical cores this process may use, at least one: two threads of a core count once."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    cores = len({_core_of(cpu) for cpu in cpus})
    quota = _cpu_quota()
    return max(1, cores if quota is None else min(cores, int(quota)))


def usable_memory_bytes() -> int:
    """Return how much memory this process may use: the machine's, or the smallest limit of its control groups."""
    known = hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else _UNKNOWN_MEMORY_BYTES
    texts = [*_group_files("", "memory.max"), *_group_files("memory", "memory.limit_in_bytes")]
    limits = [int(text) for text in texts if text.isdecimal()]
    return min([machine, *(limit for limit in limits if 0 < limit < _UNLIMITED)])


def _core_of(cpu: int) -> tuple[str, ...]:
    try:
        return tuple(
            (_CPUS / f"cpu{cpu}" / "topology" / name).read_text(encoding="ascii").strip()
            for name in ("physical_package_id", "core_id")
        )
    except OSError:
        return (str(cpu),)


def _cpu_quota() -> float | None:
    """Return the smallest share of processors, in cores, that a control group allows; None if none limits it."""
    pairs = [text.split() for text in _group_files("", "cpu.max")]
    quotas = _group_files("cpu", "cpu.cfs_quota_us")
    pairs += [list(pair) for pair in zip(quotas, _group_files("cpu", "cpu.cfs_period_us"), strict=False)]
    shares = [int(quota) / int(period) for quota, period in pairs if quota.isdecimal() and int(period) > 0]
    return min(shares, default=None)


def _group_files(controller: str, name: str) -> list[str]:
    """Return the contents of a file of this process's control group and of all above it; "" is version 2."""
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for controllers, _, path in (line.partition(":")[2].partition(":") for line in lines):
        if controller in controllers.split(",") and bool(controller) == bool(controllers):
            root = _GROUPS / controller
            own = root / path.lstrip("/")
            folders = [own, *(folder for folder in own.parents if folder.is_relative_to(root))]
            found += [text for folder in folders if (text := _read(folder / name)) is not None]
    return found


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return None
