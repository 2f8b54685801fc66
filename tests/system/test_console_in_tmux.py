"""The console in tmux: a terminal of its own kind between it and the operator."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from engine.settings.reading import default_settings_text
from store.version_rows import list_versions
from store.workspace import create_workspace
from tests.test_console.cli_scenario import CandidateMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

WITHIN_S = 60.0
LEFT = "the console was left with status"


class Tmux:
    """A tmux server of this test's own, with one pane of 80 × 24 in which a command runs."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._socket = folder / "tmux"
        line = f"{shlex.join(command)}; echo {LEFT} $?; exec cat"
        self.run("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", line)

    def run(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=WITHIN_S).stdout

    def keys(self, *names: str) -> None:
        self.run("send-keys", *names)

    def types(self, text: str) -> None:
        self.run("send-keys", "-l", text)

    def sees(self, *words: str) -> str:
        deadline = time.monotonic() + WITHIN_S
        while not all(word in (screen := self.run("capture-pane", "-p")) for word in words):
            assert time.monotonic() < deadline, f"{words} did not come:\n{screen}"
            time.sleep(0.05)
        return screen


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[CandidateMaker]:
    opened = CandidateMaker.begin(create_workspace(tmp_path / "w", default_settings_text()))
    yield opened
    opened.db.conn.close()


@pytest.fixture
def tmux(maker: CandidateMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    command = [sys.executable, "-m", "seal_console", "-w", str(maker.workspace.root), "--as", "ada"]
    server = Tmux(tmp_path_factory.mktemp("t"), command)
    try:
        yield server
    finally:
        server.run("kill-server")


def test_a_self_edit_is_reviewed_and_accepted_in_tmux(maker: CandidateMaker, tmux: Tmux) -> None:
    maker.examined(0.9)
    tmux.sees("What needs me?", "1 self-edit waits")
    tmux.keys("2")
    tmux.sees("1 listed", "Returns take 30 days.")
    tmux.keys("A")
    tmux.sees("Accept this self-edit as v0001?")
    tmux.types("says the new period")
    tmux.sees("says the new period")
    tmux.keys("C-s")
    tmux.sees("v0001 is live", "accepted")
    tmux.keys("C-q")
    screen = tmux.sees(f"{LEFT} 0")
    assert "Review" not in screen, "the alternate screen was left"
    assert tmux.run("display-message", "-p", "#{alternate_on} #{mouse_any_flag} #{cursor_flag}").split() == [
        "0",
        "0",
        "1",
    ]
    assert [(one.accepted_by, one.reason) for one in list_versions(maker.db)] == [("ada", "says the new period")]
