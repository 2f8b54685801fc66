"""Files that people edit and that decide about candidates: settings, guardrails, suites. Rounds keep their hashes.

A changed file is no mismatch: the next round is meant to use it. Tasks are not among these files: they are in seal.db.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.hashing import hash_file
from store.rounds import list_rounds

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace

# A round's settings hold the hashes under this key.
FILES_KEY = "files"


def hash_deciding_files(workspace: Workspace) -> dict[str, str]:
    """Return the hash of each file that decides, by its name in the workspace."""
    files = [path for path in (workspace.settings_file, workspace.guardrails_file) if path.is_file()]
    files += [
        path for path in workspace.retention_folder.rglob("*") if path.is_file() and not _is_hidden(workspace, path)
    ]
    return {path.relative_to(workspace.root).as_posix(): hash_file(path) for path in sorted(files)}


def changed_since_last_round(workspace: Workspace, db: Database) -> list[str]:
    """Return one sentence for each file that is not as the newest round found it; none for rounds of older releases."""
    rounds = [one for one in list_rounds(db, imported=False) if FILES_KEY in one.settings]
    if not rounds:
        return []
    then, now = rounds[-1].settings[FILES_KEY], hash_deciding_files(workspace)
    began = f"since round {rounds[-1].number} began"
    return [
        f"{name} {'was added' if name not in then else 'was removed' if name not in now else 'has changed'} {began}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def _is_hidden(workspace: Workspace, path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(workspace.root).parts)
