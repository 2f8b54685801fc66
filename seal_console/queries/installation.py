"""Facts for `info`: versions of this program and its libraries, and the state of a workspace. Loads no torch."""

from __future__ import annotations

import platform
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

from engine.model.context_window import window_of
from engine.model.model_folder import model_folder
from engine.settings.reading import load_settings
from seal_console.queries.guardrails import guardrail_figures
from seal_console.queries.guards import guards_off_in
from store.database import fetch, fetch_value
from store.errors import SealError
from store.lock import lock_owner
from store.rounds import open_round
from store.version_rows import list_policy_versions, live_version
from store.version_tags import live_name, policy_tag

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace

_LIBRARIES = (
    "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy", "sqlite-utils", "GitPython", "pydantic",
    "PyYAML", "click", "rich", "textual",
)  # fmt: skip
_COUNTED = {"documents": "documents", "tasks": "tasks", "questions": "questions", "rounds": "rounds"}


def program_version() -> str:
    """Return this program's version."""
    return _version("seal-console") or "not installed"


def installation() -> dict[str, Any]:
    """Return the versions of everything that matters, without loading it."""
    return {
        "seal-console": program_version(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "git": _git_version(),
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: _version(name) or "not installed" for name in _LIBRARIES},
    }


def workspace_facts(workspace: Workspace, db: Database) -> dict[str, Any]:
    """Return every path of a workspace and the state of everything in it."""
    policies = list_policy_versions(db)
    open_one = open_round(db)
    owner = lock_owner(workspace.lock_file)
    return {
        "paths": _paths(workspace),
        "model": _model(workspace),
        "live": live_name(live_version(db)),
        "policy": policy_tag(policies[-1].number) if policies else "the base model (no policy kept yet)",
        "guardrails": None if (figures := guardrail_figures(db)) is None else asdict(figures),
        "guards_off": {one.setting: f"{one.meaning} ({one.since})" for one in guards_off_in(workspace, db)},
        "counts": _counts(db),
        "open_round": None if open_one is None else {"number": open_one.number, "state": open_one.state},
        "engine_lock": None if owner is None else asdict(owner),
    }


def _paths(workspace: Workspace) -> dict[str, str]:
    named: dict[str, Path] = {
        "workspace": workspace.root,
        "settings": workspace.settings_file,
        "tasks": workspace.tasks_folder,
        "retention": workspace.retention_folder,
        "guardrails": workspace.guardrails_file,
        "database": workspace.database_file,
        "adapters": workspace.adapters_folder,
        "cache": workspace.cache_folder,
        "engine lock": workspace.lock_file,
    }
    return {name: str(path) for name, path in named.items()}


def _model(workspace: Workspace) -> dict[str, Any]:
    try:
        settings = load_settings(workspace.settings_file).model
    except SealError as error:
        return {"problem": error.message}
    folder = model_folder(settings.path)
    return {
        "path": settings.path,
        "folder": str(folder),
        "found": folder.is_file() or (folder / "config.json").is_file(),  # a file: GGUF, converted by the first round
        "window_tokens": window_of(settings.path),
        "device": settings.device,
        "precision": settings.precision,
    }


def _counts(db: Database) -> dict[str, int]:
    counts = {name: int(fetch_value(db, f'SELECT count(*) FROM "{table}"')) for name, table in _COUNTED.items()}  # noqa: S608
    by_state = fetch(db, "SELECT state, count(*) AS n FROM candidates GROUP BY state ORDER BY state")
    counts |= {f"candidates {row['state']}": row["n"] for row in by_state}
    counts["versions"] = int(fetch_value(db, "SELECT count(*) FROM versions"))
    counts["policy versions"] = int(fetch_value(db, "SELECT count(*) FROM policy_versions"))
    return counts


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git_version() -> str:
    try:
        answer = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not found"
    return answer.stdout.strip().removeprefix("git version ")
