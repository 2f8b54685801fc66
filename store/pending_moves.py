"""Differences that a crash left between git and SQLite: found by comparing the two, finished from git.

Every change of `live` first writes a record of itself in the same ref transaction (refs/seal/last-move → JSON). A
record without its row is a change that was interrupted after it had taken effect in git; it is finished, never undone.
Refs too: git renames them one after the other, so a kill can leave half a transaction. A change interrupted before its
refs moved is not visible and needs no repair.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.errors import CorruptError
from store.hashing import canonical_json
from store.manifest import MANIFEST_NAME, policy_from_manifest, version_from_manifest
from store.records import Move
from store.repository import LIVE_REF, MOVE_REF, POLICY_REF
from store.rows import to_row
from store.version_rows import (
    list_policy_versions,
    list_versions,
    move_is_recorded,
    record_acceptance,
    record_move,
    record_policy_version,
)
from store.version_tags import live_name, tag_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from store.repository import Repository


@dataclass(frozen=True, slots=True)
class PendingMove:
    """A move that git has and SQLite has not; `refs` are (ref, old id, new id) of its ref transaction."""

    number: int
    move: Move
    refs: list[tuple[str, str | None, str]]


def move_record(move_number: int, move: Move, refs: Sequence[tuple[str, str | None, str]]) -> bytes:
    """Return the bytes that record a move in git until its row exists."""
    return canonical_json({"number": move_number, "move": to_row(move), "refs": refs}).encode("utf-8")


def finish_half_done(repository: Repository, db: Database) -> list[str]:
    """Finish interrupted changes and return a sentence for each; the caller has the writer lock.

    Raises CorruptError if git has a version of a candidate that the database does not know.
    """
    done = []
    pending = _pending_move(repository, db)
    if pending is not None:
        done += _finish_refs(repository, pending)
        if _checkout_is_behind(repository):
            repository.checkout_live()
            done.append(f"Updated the working tree of adapters/ to live, at {_target(pending)}.")
    done += _finish_versions(repository, db, pending)
    if pending is not None and not move_is_recorded(db, pending.number):
        record_move(db, pending.number, pending.move)
        done.append(f"Recorded the {pending.move.cause} that made {_target(pending)} live.")
    return done + _finish_policies(repository, db)


def _target(pending: PendingMove) -> str:
    return live_name(pending.move.to_version)


def _finish_refs(repository: Repository, pending: PendingMove) -> list[str]:
    """Move the refs of an unfinished transaction that still have their old value."""
    current = [(ref, repository.object_id(ref), old, new) for ref, old, new in pending.refs]
    missed = [(ref, old, new) for ref, found, old, new in current if found == old and old != new]
    if missed:
        repository.move_refs(missed)
    return [f"Moved {ref} in adapters/ to {_target(pending)}." for ref, _, _ in missed]


def _pending_move(repository: Repository, db: Database) -> PendingMove | None:
    """Return the last move in git if it has no row."""
    if repository.object_id(MOVE_REF) is None:
        return None
    try:
        kept: dict[str, Any] = json.loads(repository.read_blob(MOVE_REF))
        refs = [(ref, old, new) for ref, old, new in kept["refs"]]
        pending = PendingMove(int(kept["number"]), Move(**kept["move"]), refs)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(
            f"The record of the last move in adapters/ ({MOVE_REF}) cannot be read: {error!r}.",
            next_step="seal-console verify names what else is damaged.",
        ) from error
    return None if move_is_recorded(db, pending.number) else pending


def _checkout_is_behind(repository: Repository) -> bool:
    """Return whether HEAD is where the interrupted change left it; an operator's own checkout is left alone."""
    return repository.head_branch() == LIVE_REF or repository.head_commit() == repository.resolve(LIVE_REF)


def _finish_versions(repository: Repository, db: Database, pending: PendingMove | None) -> list[str]:
    known = {version.number for version in list_versions(db)}
    done = []
    for tag, commit in _tags_without_rows(repository, "v", known):
        version, decision = version_from_manifest(repository.read_file(commit, MANIFEST_NAME), commit, tag)
        if version.tag != tag:
            raise CorruptError(f"Tag {tag} in adapters/ has the manifest of {version.tag}.")
        _require_candidate(db, version.candidate_id, tag)
        if pending is not None and pending.move.to_version == version.number:
            record_acceptance(db, version, decision, pending.number, pending.move)
        else:
            record_acceptance(db, version, decision, None, None)
        done.append(f"{tag} was in git, but not in seal.db; its acceptance is now recorded.")
    return done


def _tags_without_rows(repository: Repository, letter: str, known: set[int]) -> list[tuple[str, str]]:
    """Return (tag, commit) of the versions that no row knows, by number; number 0 has no row."""
    numbered = [(tag_number(tag, letter) or 0, tag, commit) for tag, commit in repository.tags().items()]
    return [(tag, commit) for number, tag, commit in sorted(numbered) if number and number not in known]


def _finish_policies(repository: Repository, db: Database) -> list[str]:
    known = {policy.number for policy in list_policy_versions(db)}
    done = []
    for tag, commit in _tags_without_rows(repository, "p", known):
        branch = repository.resolve(POLICY_REF)
        if branch != commit:
            repository.move_refs([(POLICY_REF, branch, commit)])
        record_policy_version(db, policy_from_manifest(repository.read_file(commit, MANIFEST_NAME), commit, tag))
        done.append(f"{tag} was in git, but not in seal.db; it is now recorded.")
    return done


def _require_candidate(db: Database, candidate_id: str, tag: str) -> None:
    if not db.conn.execute("SELECT 1 FROM candidates WHERE id = ?", (candidate_id,)).fetchone():
        raise CorruptError(
            f"adapters/ has {tag} of candidate {candidate_id}, which is not in seal.db.",
            next_step="Restore a newer seal.db from a backup: this one is older than adapters/.",
        )
