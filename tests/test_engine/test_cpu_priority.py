"""An engine in the background lets others come first, by itself and, where Linux groups by session, as a session."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.runtime.tuning import POLITENESS
from seal_console.engine_control import start_engine
from store.workspace import create_workspace

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
GROUP = Path("/proc/self/autogroup")
SAYS_WHAT_IT_GETS = """
import os
from pathlib import Path
from engine.runtime.tuning import lower_priority

def group():  # empty where the process is in no group of a session's: it was there before any session was begun
    file = Path("/proc/self/autogroup")
    return file.read_text().strip().rpartition(" ")[2] if file.exists() else ""

before = os.getpriority(os.PRIO_PROCESS, 0), group()
lower_priority()
print(*before, os.getpriority(os.PRIO_PROCESS, 0), group(), sep=",")
"""

by_session = pytest.mark.skipif(not GROUP.exists(), reason="this system does not group tasks by session")


def _niceness(*, own_session: bool) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", SAYS_WHAT_IT_GETS], cwd=ROOT, start_new_session=own_session, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    return ran.stdout.strip().split(",")


def test_an_engine_becomes_nicer_than_who_started_it() -> None:
    before, _, after, _ = _niceness(own_session=True)
    assert int(after) == min(19, int(before) + POLITENESS)


@by_session
def test_a_session_of_its_own_becomes_nicer_too() -> None:
    assert _niceness(own_session=True)[1::2] == ["0", str(POLITENESS)]


@by_session
def test_a_session_that_is_shared_with_others_stays_as_it_is() -> None:
    _, before, _, after = _niceness(own_session=False)
    assert before == after


@by_session
def test_the_engine_that_a_console_starts_lets_its_session_come_last(tmp_path: Path) -> None:
    pid = start_engine(create_workspace(tmp_path / "w", "model: {path: bundled}\n").root)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while Path(f"/proc/{pid}/autogroup").read_text(encoding="utf-8").split()[-1] != str(POLITENESS):
            assert time.monotonic() < deadline, "it did not become nicer"
            time.sleep(0.01)
    finally:
        os.kill(pid, signal.SIGKILL)
