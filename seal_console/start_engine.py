"""Starts an engine that runs the jobs of a workspace and ends by itself when none is waiting.

The engine outlives the console, reads no stdin and writes its messages to cache/engine.log. If another engine has
locked the workspace, it ends at once.
"""

from __future__ import annotations

import json
import subprocess
import threading
from typing import TYPE_CHECKING

from seal_console.engine_process import WORKER_COMMAND, engine_environment
from store.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path

LOG_NAME = "engine.log"


def start_engine(workspace: Path) -> int:
    """Start an engine in a session of its own and return its process id; its progress is in the store."""
    cache = Workspace(workspace).cache_folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / LOG_NAME).open("ab") as log:
        engine = subprocess.Popen(
            [*WORKER_COMMAND, "jobs", json.dumps({"workspace": str(workspace.resolve())})],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=engine_environment(),
            start_new_session=True,
        )
    # Wait for it, so that a dead engine does not stay in the process table while this process lives.
    threading.Thread(target=engine.wait, daemon=True).start()
    return engine.pid
