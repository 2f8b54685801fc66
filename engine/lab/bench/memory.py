"""Peak memory of one method, measured in a process of its own.

On a CPU it is the growth of the resident set from before the base is loaded to the peak of loading and training; on
CUDA the most that torch has allocated.
"""

from __future__ import annotations

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.lab.bench.baselines import make_method, tidy
from engine.lab.bench.jobs import bench_jobs
from engine.lab.bench.subject import load_subject

_EPOCHS, _SEAL_STEPS = 2, 2  # the peak is reached at once


@dataclass(frozen=True, slots=True)
class MemoryProbe:
    """What the child process runs: one method, on a few jobs."""

    method: str
    folder: Path
    precision: str
    seed: int
    updates: int
    slots: int
    seal_steps: int


def peak_memory_bytes(probe: MemoryProbe) -> int:
    """Run the method in a child process and return its peak."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as child:
        return child.submit(_measure, probe, torch.get_num_threads()).result()


def _measure(probe: MemoryProbe, threads: int) -> int:
    torch.set_num_threads(threads)
    before = _resident_bytes()
    base, subject = load_subject(probe.folder, str(probe.folder), probe.precision)
    jobs = bench_jobs(base, subject.spec, updates=probe.updates, seed=probe.seed, epochs=_EPOCHS)
    if probe.method != "bank":
        base.model.to("meta")
    tidy()
    _forget_peak()
    if subject.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(subject.device)
    method = make_method(
        probe.method,
        base,
        subject,
        slots=probe.slots,
        seal_updates=min(2, len(jobs)),
        seal_steps=min(_SEAL_STEPS, probe.seal_steps),
    )
    method.train(jobs)
    if subject.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(subject.device))
    return _peak_bytes() - before


def _status_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), None)


def _resident_bytes() -> int:
    found = _status_bytes("VmRSS")
    return _peak_bytes() if found is None else found


def _peak_bytes() -> int:
    found = _status_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if found is None else found


def _forget_peak() -> None:
    """Reset the kernel's peak counter (Linux); elsewhere the peak of loading is included."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return
