"""Run by the crash tests in a process of its own: does one operation and kills itself at a named or counted step."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from store import live_ref, versions
from store.database import open_database
from store.git_command import GitCommand
from store.importing import AdapterOrigin
from store.policy_versions import add_policy_version
from store.workspace import Workspace


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_step(expected: str) -> Any:
    def checkpoint(step: str) -> None:
        if step == expected:
            die()

    return checkpoint


def die_at_git_call(number: int) -> None:
    """Replace git's runner by one that dies right before its `number`th call."""
    run = GitCommand._execute
    calls = [0]

    def counted(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            die()
        return run(*arguments)

    GitCommand._execute = counted  # type: ignore[assignment,method-assign]


def die_at_last_commit() -> Any:
    """Return a trace that dies before the commit of the transaction that records the change and closes its intent."""
    closing = [False]

    def trace(sql: str) -> None:
        closing[0] |= sql.startswith("DELETE FROM intents")
        if closing[0] and sql == "COMMIT":
            die()

    return trace


def main(root: str, operation: str, step: str, candidate_id: str, adapter_folder: str) -> None:
    workspace = Workspace(Path(root))
    db = open_database(workspace.database_file)
    files = {path.name: path.read_bytes() for path in Path(adapter_folder).iterdir()}
    checkpoint = live_ref.no_checkpoint
    if step.startswith("git "):
        die_at_git_call(int(step.removeprefix("git ")))
    elif step == "in transaction":
        db.conn.set_trace_callback(die_at_last_commit())
    else:
        checkpoint = die_at_step(step)
    if operation == "accept":
        versions.accept(
            workspace, db, candidate_id, files, {"name": "tiny"}, actor="Ada", reason="good", checkpoint=checkpoint
        )
    elif operation == "import":
        origin = AdapterOrigin("there", "sha256:" + "5" * 64, "other/base", 4, 8.0, 2)
        versions.import_adapter(
            workspace, db, files, {"name": "tiny"}, origin, actor="Ada", reason="ours", checkpoint=checkpoint
        )
    elif operation == "rollback":
        versions.rollback(workspace, db, None, "Ada", "worse", checkpoint=checkpoint)
    elif operation == "checkout":
        live_ref.sync_checkout(workspace, db)
    else:
        add_policy_version(
            workspace, db, files, parent_number=None, round_number=1, metrics={}, base={}, checkpoint=checkpoint
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
