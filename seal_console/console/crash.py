"""Writes the report of an unexpected failure."""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from store.clock import utc_now

if TYPE_CHECKING:
    from store.workspace import Workspace


def write_report(workspace: Workspace, error: BaseException) -> Path:
    """Write the traceback into the workspace's cache, else into the system's folder for temporary files."""
    name = f"console-{utc_now().replace(':', '-')}-{os.getpid()}.txt"
    text = "".join(traceback.format_exception(error))
    for folder in (workspace.cache_folder / "reports", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)
