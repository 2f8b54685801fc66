"""Reports of unexpected failures: the only place where a traceback is written. Loads no torch."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from importlib import metadata
from pathlib import Path

from store.clock import utc_now
from store.sanitize import sanitize

_LIBRARIES = ("seal-console", "torch", "transformers", "textual")


def write_report(program: str, workspace: Path | None, error: BaseException) -> Path:
    """Write command line, versions and the error's traceback to a file and return its path.

    `program` ("cli", "console", "engine") begins the file's name. The file is in the workspace's `cache/reports`, or in
    the system's temporary folder if there is no workspace or it cannot be written. Returns the null device if neither
    can.
    """
    name = f"{program}-{utc_now().replace(':', '-')}-{os.getpid()}.txt"
    text = sanitize(
        f"{' '.join(sys.argv)}\n{_versions()}\n\n{''.join(traceback.format_exception(error))}",
    )
    folders = [] if workspace is None else [workspace / "cache" / "reports"]
    for folder in (*folders, Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def _versions() -> str:
    found = [f"Python {sys.version}", platform.platform()]
    for library in _LIBRARIES:
        try:
            found.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            found.append(f"{library} is not installed")
    return "\n".join(found)
