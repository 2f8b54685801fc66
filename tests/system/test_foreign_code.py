"""Python files that lie in a workspace are data; nothing may run them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from engine.runtime.child_environment import child_environment
from engine.settings.reading import default_settings_text
from seal_console.engine_control import start_engine
from store.workspace import create_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

_MODULES = ("seal_console", "engine", "store", "sitecustomize", "usercustomize", "textual", "torch", "json", "yaml")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = create_workspace(tmp_path / "w", default_settings_text())
    for name in _MODULES:
        planted = f"from pathlib import Path\nPath({str(made.root)!r}, 'ran-' + __name__).touch()\n"
        (made.root / f"{name}.py").write_text(planted, encoding="utf-8")
    return made


@pytest.mark.parametrize("path", [None, "", ":", ".", f"{os.pardir}/w", ":."])
def test_no_child_process_searches_the_current_folder(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    monkeypatch.chdir(workspace.root)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    if path is not None:
        monkeypatch.setenv("PYTHONPATH", path)
    environment = child_environment()
    look = "import sys, seal_console, engine.jobs, store, textual; print(*sys.path, sep='\\n')"
    finished = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    assert not {"", ".", str(workspace.root)} & set(finished.stdout.split("\n")[:-1])
    assert not list(workspace.root.glob("ran-*"))


def test_the_engine_runs_no_file_of_the_workspace(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root)
    os.waitid(os.P_PID, start_engine(workspace.root), os.WEXITED | os.WNOWAIT)
    assert not list(workspace.root.glob("ran-*"))
