"""Writes what an unexpected failure left behind to a file: the only place where a traceback is shown."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from seal_console.sanitize import sanitize
from store.clock import utc_now
from store.errors import SealError

if TYPE_CHECKING:
    from seal_console.cli.invocation import Invocation


def write_crash_report(invocation: Invocation, error: BaseException) -> Path:
    """Write the report below the workspace's cache, or among the system's temporary files; return its path."""
    name = f"seal-console-{utc_now().replace(':', '')}-{os.getpid()}.txt"
    text = sanitize(
        f"seal-console {' '.join(sys.argv[1:])}\nPython {sys.version}\n{platform.platform()}\n\n"
        + "".join(traceback.format_exception(error))
    )
    for folder in (_workspace_folder(invocation), Path(tempfile.gettempdir())):
        if folder is None:
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def _workspace_folder(invocation: Invocation) -> Path | None:
    try:
        found = invocation.workspace_if_any()
    except (SealError, OSError):
        return None
    return None if found is None else found.cache_folder / "reports"
