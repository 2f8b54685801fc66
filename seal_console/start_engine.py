"""Starts an engine that answers the requests in a workspace and ends by itself when none waits any more.

It is nobody's child: it outlives the console, reads no stdin, and writes what it has to say to cache/engine.log. Where
another engine holds the workspace already, it ends at once.
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
    """Start an engine in a session of its own and return its process id; how it does is seen in the store."""
    cache = Workspace(workspace).cache_folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / LOG_NAME).open("ab") as log:
        engine = subprocess.Popen(
            [*WORKER_COMMAND, "serve", json.dumps({"workspace": str(workspace.resolve())})],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=engine_environment(),
            start_new_session=True,
        )
    # Somebody has to take its exit status while this process lives; otherwise a dead engine stays in the process table.
    threading.Thread(target=engine.wait, daemon=True).start()
    return engine.pid
