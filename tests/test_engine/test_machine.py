"""Cores and memory are what affinity and control groups leave of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from engine.runtime import machine

if TYPE_CHECKING:
    from pathlib import Path

TERABYTE = 2**40


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of eight logical processors, two of each core, without control groups."""
    for cpu in range(8):
        topology = tmp_path / "cpu" / f"cpu{cpu}" / "topology"
        topology.mkdir(parents=True)
        (topology / "core_id").write_text(f"{cpu // 2}\n")
        (topology / "physical_package_id").write_text("0\n")
    monkeypatch.setattr(machine, "_CPUS", tmp_path / "cpu")
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return tmp_path


def put(root: Path, own: str, files: dict[str, str]) -> None:
    (root / "own").write_text(own)
    for name, content in files.items():
        file = root / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")


def test_two_threads_of_a_core_count_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert root.is_dir()
    assert machine.usable_cores() == 4
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert machine.usable_cores() == 2


def test_processors_without_a_known_core_count_each(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPUS", root / "nothing")
    assert machine.usable_cores() == 8


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 4), ("250000 100000", 2), ("50000 100000", 1)])
def test_a_quota_of_version_2_limits_cores(root: Path, quota: str, cores: int) -> None:
    put(root, "0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": quota})
    assert machine.usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 4), ("300000", 3)])
def test_a_quota_of_version_1_limits_cores(root: Path, quota: str, cores: int) -> None:
    files = {"cpu/x/cpu.cfs_quota_us": quota, "cpu/x/cpu.cfs_period_us": "100000"}
    put(root, "4:memory:/m\n2:cpu:/x\n0::/\n", files)
    assert machine.usable_cores() == cores


def test_the_smallest_limit_of_memory_counts(root: Path) -> None:
    whole = machine.usable_memory_bytes()
    assert 0 < whole < TERABYTE
    put(root, "0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "1000000"})
    assert machine.usable_memory_bytes() == 1_000_000
    put(root, "4:memory:/m\n", {"memory/m/memory.limit_in_bytes": "9223372036854771712"})
    assert machine.usable_memory_bytes() == whole
    put(root, "4:memory:/m\n", {"memory/m/memory.limit_in_bytes": "2000000"})
    assert machine.usable_memory_bytes() == 2_000_000
