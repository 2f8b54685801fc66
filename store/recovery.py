"""Start-up after a crash: finishes or removes what was interrupted. Safe to run at any time, and twice."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from store.database import fetch, transaction
from store.durable import list_leftovers, remove
from store.half_done import finish_half_done
from store.live_ref import WRITER_WAIT_S
from store.lock import hold_lock, lock_owner
from store.log_head import require_whole_log
from store.repository import Repository
from store.rounds import interrupt_round

if TYPE_CHECKING:
    from pathlib import Path

    from sqlite_utils import Database

    from store.workspace import Workspace

_GIT_LOCK_GRACE_S = 2.0
_UNFINISHED_OBJECT_S = 60.0
_POLL_S = 0.05


def recover(workspace: Workspace, db: Database, *, engine_lock_held: bool = False) -> list[str]:
    """Finish or remove what a crash interrupted; return one sentence for each repair.

    A caller that has the engine lock itself passes `engine_lock_held`; otherwise rounds that run under the lock are
    left alone. Manual checkouts are handled by `sync_checkout`. Raises CorruptError if the end of the event log is
    missing, or adapters/ cannot be used.
    """
    repository = Repository(workspace.adapters_folder)
    repository.require_folder()
    require_whole_log(db.conn, workspace.database_file)
    with hold_lock(workspace.repository_lock_file, "recover", wait_s=WRITER_WAIT_S):
        done = _remove_stale_git_locks(repository.git_folder)
        done += _remove_unfinished_objects(repository.git_folder)
        done += finish_half_done(repository, db)
        repository.require_root()
        done += _remove_leftovers(workspace)
    if engine_lock_held or lock_owner(workspace.lock_file) is None:
        done += _interrupt_rounds(db)
    return done


def _interrupt_rounds(db: Database) -> list[str]:
    done = []
    with transaction(db):
        for row in fetch(db, "SELECT number FROM rounds WHERE state = 'running' AND imported = 0"):
            interrupt_round(db, row["number"])
            done.append(
                f"Round {row['number']} was running, but no engine is; it is marked interrupted. "
                "seal-console run resumes it."
            )
    return done


def _remove_leftovers(workspace: Workspace) -> list[str]:
    done = []
    abandoned = sorted(workspace.cache_folder.glob("accepting-v*"))
    in_cache = sorted(path for path in workspace.cache_folder.glob("*") if path.is_dir() and not path.is_symlink())
    for folder in (workspace.root, workspace.cache_folder, *in_cache, workspace.adapters_folder):
        abandoned += list_leftovers(folder)
    for path in abandoned:
        remove(path)
        done.append(f"{path.relative_to(workspace.root)} was left by an unfinished write: removed.")
    return done


def _remove_stale_git_locks(git_folder: Path) -> list[str]:
    """Remove lock files of a dead git process; a git that is still running gets a moment to remove its own."""
    deadline = time.monotonic() + _GIT_LOCK_GRACE_S
    while (locks := _git_locks(git_folder)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    for path in locks:
        path.unlink(missing_ok=True)
    return [f"adapters/.git/{path.relative_to(git_folder)} was left by a dead git process: removed." for path in locks]


def _remove_unfinished_objects(git_folder: Path) -> list[str]:
    """Remove the temporary files of objects that a killed git left; those of a git that may still run are young."""
    objects = git_folder / "objects"
    oldest = time.time() - _UNFINISHED_OBJECT_S
    found = [path for path in (*objects.glob("??/tmp_obj_*"), *objects.glob("pack/tmp_*")) if _is_older(path, oldest)]
    for path in found:
        path.unlink(missing_ok=True)
    return [f"adapters/.git/{path.relative_to(git_folder)} was left by a dead git process: removed." for path in found]


def _is_older(path: Path, moment_s: float) -> bool:
    try:
        return path.stat().st_mtime < moment_s
    except FileNotFoundError:
        return False


def _git_locks(git_folder: Path) -> list[Path]:
    names = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "config.lock", "packed-refs.lock")
    return [path for name in names if (path := git_folder / name).exists()] + sorted(
        (git_folder / "refs").rglob("*.lock")
    )
