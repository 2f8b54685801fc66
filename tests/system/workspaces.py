"""Workspaces for whole-system tests: the bundled model on a handful of made-up documents."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from engine.demo.documents import write_documents
from engine.tasks.reading import read_tasks
from store.database import open_database
from store.tasks import add_documents, add_tasks
from store.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SMALL = """\
model:
  path: {model}
round:
  tasks_per_round: {train}
  held_out_tasks: {held_out}
  held_out_edits: 1
self_edit:
  per_task: {per_task}
inner_update:
  epochs: {epochs}
  repeats: {repeats}
gates:
  min_reward: null
  min_audit_gain: null
retention:
  gate: null
"""


def small_workspace(
    folder: Path,
    *,
    model: str = "bundled",
    pages: int = 6,
    train: int = 4,
    held_out: int = 2,
    per_task: int = 2,
    epochs: int = 3,
    repeats: int = 1,
) -> Workspace:
    """Make a workspace with a few documents; its gates are off, so that every candidate can be accepted."""
    settings = SMALL.format(
        model=model, train=train, held_out=held_out, per_task=per_task, epochs=epochs, repeats=repeats
    )
    workspace = create_workspace(folder, settings)
    documents = write_documents(workspace.tasks_folder, pages=pages, notes=0, untouched=0, seed=1)
    found = read_tasks([documents.pages], audit_share=0.25, root=workspace.root)
    db = open_database(workspace.database_file)
    add_documents(db, found.documents)
    add_tasks(db, found.tasks)
    db.close()
    return workspace


def last_word(worker: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Wait for a worker to end, with its stdin open as somebody waiting keeps it; exit status and last message."""
    assert worker.stdout is not None
    lines = worker.stdout.read().splitlines()
    status = worker.wait(timeout=60)
    worker.communicate()
    return status, json.loads(lines[-1]) if lines else {}


WORKER = (sys.executable, "-m", "engine.jobs.worker")


def start_worker(operation: str, parameters: dict[str, Any], command: Sequence[str] = WORKER) -> subprocess.Popen[str]:
    """Start the engine as the console does, with its parameters already handed over."""
    worker = subprocess.Popen(
        [*command, operation],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(parameters) + "\n")
    worker.stdin.flush()
    return worker
