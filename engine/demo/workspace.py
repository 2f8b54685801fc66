"""The demonstration's workspace: its settings, and its documents as tasks. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.demo.documents import DemoDocuments, write_anchors, write_documents, write_known_facts
from engine.guardrails.kinds import default_guardrails_text
from engine.tasks.reading import read_tasks
from store.database import open_database
from store.tasks import add_documents, add_tasks
from store.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.records import Task

PAGES, NOTES, UNTOUCHED = 64, 4, 40
# Things that the retention suite asks about, five facts each, and how many of these answers an update may lose.
_GUARDED, _ALLOWED_LOSSES = 8, 8

SETTINGS = """\
# Settings of the demonstration. Keys that are missing take their defaults (`seal-console init` writes them all).
model:
  path: bundled
round:
  seed: {seed}
  tasks_per_round: 24
  held_out_tasks: 20
"""


def make_demo_workspace(folder: Path, seed: int) -> tuple[Workspace, DemoDocuments]:
    """Make a workspace in `folder` with its documents; none of them is a task yet."""
    workspace = create_workspace(folder, SETTINGS.format(seed=seed), default_guardrails_text())
    documents = write_documents(workspace.tasks_folder, pages=PAGES, notes=NOTES, untouched=UNTOUCHED, seed=seed)
    write_known_facts(workspace.retention_folder, documents.untouched[:_GUARDED], _ALLOWED_LOSSES)
    write_anchors(workspace.retention_folder, documents.anchored)
    return workspace, documents


def take_in(workspace: Workspace, folder: Path) -> list[Task]:
    """Add the documents in a folder as tasks, and return the tasks."""
    found = read_tasks([folder], audit_share=0.25, root=workspace.root)
    db = open_database(workspace.database_file)
    try:
        add_documents(db, found.documents)
        add_tasks(db, found.tasks)
    finally:
        db.close()
    return found.tasks
