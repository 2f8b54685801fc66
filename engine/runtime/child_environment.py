"""The environment of every process of Python that this program starts."""

from __future__ import annotations

import os
from pathlib import Path

import engine


def child_environment() -> dict[str, str]:
    """Return the environment of a child process that runs Python.

    This engine comes first, so that a folder `engine` elsewhere is not taken for it. The current folder is not searched
    for modules, nor are relative folders in PYTHONPATH: a workspace may come from somebody else.
    """
    added = {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
    folders = [one for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if Path(one).is_absolute()]
    root = Path(engine.__file__).resolve().parents[1]
    if root.name not in {"site-packages", "dist-packages"}:
        folders.insert(0, str(root))
    return {**os.environ, **added, "PYTHONPATH": os.pathsep.join(dict.fromkeys(folders))}
