"""What can be jumped to by name: versions, tasks by their titles, candidates by the beginning of their ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from store.database import fetch

if TYPE_CHECKING:
    from sqlite_utils import Database

_ID_LENGTH = 12
_LEAST = 2


@dataclass(frozen=True, slots=True)
class JumpTarget:
    """Something with a name; `identity` is a version's number, a task's title or a candidate's id."""

    kind: Literal["version", "task", "candidate"]
    identity: str
    words: str


def jump_targets(db: Database, text: str, limit: int = 8) -> list[JumpTarget]:
    """Return what is named so, of each kind at most `limit`; nothing for less than two characters."""
    name = text.strip()
    if len(name) < _LEAST:
        return []
    like = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    versions = fetch(
        db, "SELECT number, tag, reason FROM versions WHERE tag LIKE ? ESCAPE '\\' LIMIT ?", (f"%{like}%", limit)
    )
    tasks = fetch(db, "SELECT title FROM tasks WHERE title LIKE ? ESCAPE '\\' LIMIT ?", (f"%{like}%", limit))
    prefix = name.removeprefix("sha256:")
    candidates = fetch(
        db,
        "SELECT candidates.id, tasks.title FROM candidates JOIN tasks ON tasks.id = candidates.task_id "
        "WHERE candidates.id >= ? AND candidates.id < ? LIMIT ?",
        (f"sha256:{prefix}", f"sha256:{prefix}g", limit),  # "g" comes after every hexadecimal digit
    )
    return [
        *(JumpTarget("version", str(row["number"]), f"{row['tag']}: {row['reason']}") for row in versions),
        *(JumpTarget("task", row["title"], row["title"]) for row in tasks),
        *(
            JumpTarget("candidate", row["id"], f"{row['id'].removeprefix('sha256:')[:_ID_LENGTH]} of {row['title']}")
            for row in candidates
        ),
    ]
