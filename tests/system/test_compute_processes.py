"""Compute processes end when they should, whoever dies: one of them, the engine, or nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.bank.job import Recipe
from engine.executors.process_pool import ProcessPool
from engine.executors.processes import ProcessExecutor
from engine.generation.prompts import TextPrompt
from engine.model.base import BaseModel, load_base
from engine.runtime.child_environment import child_environment
from store.errors import SealError
from tests.peft_alone import random_job, tiny_spec
from tests.system.engine_process import eventually, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator

PROMPTS = [TextPrompt("Question: What is it?\nAnswer:", 0, 4)] * 3
ENDLESS = Recipe(epochs=100_000)
# What an engine does in this module's tests: it trains for ever, says which processes it has, and how it ended.
ENGINE = textwrap.dedent("""
    import signal
    from engine.bank.job import Recipe
    from engine.executors.process_pool import ProcessPool
    from engine.executors.processes import ProcessExecutor
    from engine.model.base import load_base
    from tests.peft_alone import random_job, tiny_spec

    def stop(*_):
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored in what a shell started in the background
        signal.signal(number, stop)
    base = load_base("bundled")
    with ProcessPool(base, 2) as pool:
        executor = ProcessExecutor(base, pool, slots=2)
        jobs = [random_job(f"job {at}", tiny_spec(base), Recipe(epochs=100_000), 1) for at in range(2)]
        try:
            list(executor.train(jobs, tiny_spec(base), on_running=lambda _: print(*pool.process_ids, flush=True)))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
""")


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base("bundled")


@pytest.fixture
def engine() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A process that trains in two compute processes, in a process group of its own, and their ids."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**child_environment(), "PYTHONPATH": root}
    started = subprocess.Popen(
        [sys.executable, "-c", ENGINE], stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert started.stdout is not None
    ids = [int(word) for word in started.stdout.readline().split()]
    try:
        yield started, ids
    finally:
        for pid in [started.pid, *ids]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        started.communicate()


def test_a_killed_process_ends_the_work_with_a_clear_error_and_the_next_call_has_new_ones(base: BaseModel) -> None:
    spec = tiny_spec(base)
    with ProcessPool(base, 2) as pool:
        executor = ProcessExecutor(base, pool, slots=2)
        jobs = [random_job("short", spec, Recipe(epochs=1), 1)]
        jobs += [random_job(f"endless {at}", spec, ENDLESS, 1) for at in range(3)]
        results = executor.train(jobs[1:], spec, on_running=lambda _: os.kill(pool.process_ids[1], signal.SIGKILL))
        before = pool.process_ids
        with pytest.raises(SealError, match=r"A compute process of the engine was killed by SIGKILL \(often") as raised:
            list(results)
        assert "model.processes: 1" in raised.value.next_step
        eventually(lambda: not any(map(is_alive, before)), "the other process is gone too")
        assert len(executor.complete(PROMPTS, [None])) == len(PROMPTS)
        assert [result.key for result in executor.train(jobs[:1], spec)] == ["short"]
        after = pool.process_ids
        assert not set(after) & set(before)
    assert not any(map(is_alive, after))


def test_a_process_that_dies_before_it_can_work_is_said(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.executors.process_pool.sys.executable", "/bin/false")
    with ProcessPool(base, 2) as pool, pytest.raises(SealError, match="ended with exit code 1"):
        ProcessExecutor(base, pool).complete(PROMPTS, [None])


def test_a_killed_engine_leaves_no_process_behind(engine: tuple[subprocess.Popen[str], list[int]]) -> None:
    started, ids = engine
    assert len(ids) == 2
    assert all(map(is_alive, ids))
    started.kill()
    eventually(lambda: not any(map(is_alive, ids)), "no compute process is left")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [False, True])
def test_an_interrupt_ends_all_of_them(
    engine: tuple[subprocess.Popen[str], list[int]], number: signal.Signals, *, whole_group: bool
) -> None:
    started, ids = engine
    (os.killpg if whole_group else os.kill)(started.pid, number)
    said, _ = started.communicate(timeout=60)
    assert said.endswith("interrupted\n")
    assert started.returncode == 0
    assert not any(map(is_alive, ids))


def test_processes_run_no_file_of_the_current_folder(
    base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("engine", "store", "seal_console", "torch", "json", "multiprocessing", "sitecustomize"):
        planted = f"from pathlib import Path\nPath({str(tmp_path)!r}, 'ran-' + __name__).touch()\n"
        (tmp_path / f"{name}.py").write_text(planted, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ":.")
    with ProcessPool(base, 2) as pool:
        assert len(ProcessExecutor(base, pool).complete(PROMPTS, [None])) == len(PROMPTS)
    assert not list(tmp_path.glob("ran-*"))


def test_a_process_has_one_thread_that_computes_and_the_niceness_of_the_engine(base: BaseModel) -> None:
    with ProcessPool(base, 1) as pool:
        executor = ProcessExecutor(base, pool)
        executor.complete(PROMPTS, [None])
        [pid] = pool.process_ids
        assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0)
        threads_before = _busy_threads(pid)
        executor.complete([TextPrompt("Where?", 0, 100, stop="end")] * 64, [None])
        assert len(_busy_threads(pid) | threads_before) == 1


def _busy_threads(pid: int) -> set[str]:
    """The threads of a process that have computed for more than a tenth of a second."""
    ticks = os.sysconf("SC_CLK_TCK")
    busy = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        used = (thread / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        if int(used[11]) / ticks > 0.1:
            busy.add(thread.name)
    return busy
