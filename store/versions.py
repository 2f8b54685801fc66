"""Accepted versions: accept a candidate, import an adapter, roll a version back, read stored adapters.

Acceptance is durable in this order: files → git objects → intent in seal.db → refs (tag and live, in one transaction
with expected old values) → working tree → one SQLite transaction. A crash before the refs move leaves nothing visible;
after that, `half_done.finish_half_done` finishes what the intent announced.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from store.adapter_files import ADAPTER_NAMES, MANIFEST_NAME, adapter_problems, hash_adapter
from store.candidate_states import require_move
from store.candidates import decisions_of, get_candidate, require_words
from store.clock import utc_now
from store.database import transaction
from store.durable import remove, write_folder
from store.errors import NothingToDoError, WrongUseError
from store.importing import AdapterOrigin, ImportedRows, imported_rows, record_imported, require_nothing_accepted
from store.intents import Intent, RefMove, carrying_out, close_intent, new_token
from store.live_ref import commit_of, move_live, no_checkpoint, writing
from store.manifest import version_files, version_from_manifest
from store.records import Candidate, Decision, Move, Task, Version
from store.repository import LIVE_REF, Repository
from store.rows import to_row
from store.tasks import get_task
from store.version_rows import (
    get_version,
    list_versions,
    live_version,
    next_move_number,
    record_acceptance,
    record_move,
)
from store.version_tags import live_name, tag_number, version_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlite_utils import Database

    from store.workspace import Workspace


def accept(
    workspace: Workspace,
    db: Database,
    candidate_id: str,
    adapter_files: Mapping[str, bytes],
    base: Mapping[str, Any],
    *,
    actor: str,
    reason: str,
    checkpoint: Callable[[str], None] = no_checkpoint,
) -> Version:
    """Make an examined or deferred candidate the live version: commit, tag, manifest, card and rows.

    `adapter_files` are adapter_config.json and adapter_model.safetensors, `base` describes the base model (name and
    hashes). Raises WrongUseError if the candidate cannot be accepted, its files are not the evaluated ones, or `live`
    has moved since it was trained; LockedError if another process writes.
    """
    require_words(actor, reason)
    with writing(workspace, db, f"accept {candidate_id}") as repository:
        candidate = _acceptable(db, candidate_id, adapter_files)
        decision = Decision(candidate.id, "accept", actor, reason, utc_now())
        draft = _VersionDraft(candidate, get_task(db, candidate.task_id), adapter_files, base, decision)
        return _make_live(workspace, repository, db, draft, checkpoint)


def import_adapter(
    workspace: Workspace,
    db: Database,
    adapter_files: Mapping[str, bytes],
    base: Mapping[str, Any],
    origin: AdapterOrigin,
    *,
    actor: str,
    reason: str,
    checkpoint: Callable[[str], None] = no_checkpoint,
) -> Version:
    """Make an adapter from elsewhere the first version, as `accept` does with one that was trained here.

    The caller has checked that it fits the base. Raises WrongUseError if something was accepted already, a round is
    unfinished, or the files are not those of an adapter; LockedError if another process writes.
    """
    require_words(actor, reason)
    with writing(workspace, db, "import an adapter") as repository:
        require_nothing_accepted(db)
        if problems := adapter_problems(adapter_files):
            raise WrongUseError("The adapter cannot go live.", problems=problems)
        rows = imported_rows(db, origin, hash_adapter(adapter_files), base)
        candidate = replace(rows.candidate, adapter_hash=rows.adapter_hash)
        decision = Decision(candidate.id, "accept", actor, reason, utc_now())
        draft = _VersionDraft(candidate, rows.task, adapter_files, base, decision, rows)
        return _make_live(workspace, repository, db, draft, checkpoint)


@dataclass(frozen=True, slots=True)
class _VersionDraft:
    """What becomes a version; `imported` are the rows that are recorded with it if it was not trained here."""

    candidate: Candidate
    task: Task
    adapter_files: Mapping[str, bytes]
    base: Mapping[str, Any]
    decision: Decision
    imported: ImportedRows | None = None


def _make_live(
    workspace: Workspace,
    repository: Repository,
    db: Database,
    draft: _VersionDraft,
    checkpoint: Callable[[str], None],
) -> Version:
    """Write files, objects and intent, then move the refs and record the rows; see the module's order."""
    candidate, decision = draft.candidate, draft.decision
    actor, at = decision.actor, decision.decided_at
    number = _next_number(repository, db)
    tag = version_tag(number)
    files = version_files(
        db, number, candidate, draft.adapter_files, task=draft.task, base=draft.base, decision=decision
    )
    with _incoming(workspace, tag, files):
        checkpoint("files_written")
        message = _message(tag, decision.reason)
        parent = commit_of(repository, db, candidate.live_version)
        token = new_token()
        commit = repository.commit_folder(files, parent, message, actor, at)
        tag_object = repository.write_tag(tag, commit, f"{message}\n\nIntent: {token}", actor, at)
        version, _ = version_from_manifest(files[MANIFEST_NAME], commit, tag)
        move = Move("live", candidate.live_version, number, "accept", actor, decision.reason, at)
        move_number = next_move_number(db)
        refs: list[RefMove] = [(f"refs/tags/{tag}", None, tag_object), (LIVE_REF, parent, commit)]
        records: dict[str, Any] = {"version": to_row(version), "decision": to_row(decision)}
        if draft.imported is not None:
            records["imported"] = draft.imported.as_records()
        intent = _intent("accept", token=token, move_number=move_number, move=move, refs=refs, records=records)
        checkpoint("objects_written")
        with carrying_out(repository, db, intent):
            checkpoint("announced")
            with transaction(db):  # nobody else decides on it between the refs and the rows
                if draft.imported is None:
                    require_move(get_candidate(db, candidate.id), "accepted", decisions_of(db, candidate.id))
                move_live(repository, intent.refs, checkpoint)
                if draft.imported is not None:
                    record_imported(db, draft.imported, actor, decision.reason)
                record_acceptance(db, version, decision, move_number, move, tag_object=tag_object)
                close_intent(db, intent)
        checkpoint("recorded")
    return version


def rollback(
    workspace: Workspace,
    db: Database,
    to_number: int | None,
    actor: str,
    reason: str,
    *,
    checkpoint: Callable[[str], None] = no_checkpoint,
) -> Move:
    """Make another version live; None (or 0) returns to the state before the first. Nothing is deleted.

    Raises NothingToDoError if that version is live already, WrongUseError if there is none of that number.
    """
    require_words(actor, reason)
    with writing(workspace, db, f"rollback to {live_name(to_number)}") as repository:
        target = to_number or None
        live = live_version(db)
        if target == live:
            raise NothingToDoError(f"{live_name(live)} is live already.", next_step="seal-console versions list")
        if target is not None:
            get_version(db, target)
        move = Move("live", live, target, "rollback", actor, reason, utc_now())
        parent, commit, move_number = (
            commit_of(repository, db, live),
            commit_of(repository, db, target),
            next_move_number(db),
        )
        intent = _intent(
            "rollback",
            token=new_token(),
            move_number=move_number,
            move=move,
            refs=[(LIVE_REF, parent, commit)],
            records={},
        )
        checkpoint("objects_written")
        with carrying_out(repository, db, intent):
            checkpoint("announced")
            move_live(repository, intent.refs, checkpoint)
            with transaction(db):
                record_move(db, move_number, move)
                close_intent(db, intent)
        checkpoint("recorded")
    return move


def version_adapter_files(workspace: Workspace, db: Database, number: int) -> dict[str, bytes]:
    """Return adapter_config.json and adapter_model.safetensors of a version, from git."""
    version = get_version(db, number)
    repository = Repository.open(workspace.adapters_folder)
    return {name: repository.read_file(version.commit, name) for name in ADAPTER_NAMES}


def _intent(
    kind: Literal["accept", "rollback"],
    *,
    token: str,
    move_number: int,
    move: Move,
    refs: list[RefMove],
    records: Mapping[str, Any],
) -> Intent:
    version = records.get("version", {})
    return Intent(
        token=token,
        kind=kind,
        actor=move.actor,
        candidate_id=None if "imported" in records else version.get("candidate_id"),  # its row is not there yet
        adapter_hash=version.get("adapter_hash"),
        manifest_hash=version.get("manifest_hash"),
        parent_commit=str(refs[-1][1]),
        refs=refs,
        records={**records, "move": to_row(move), "move_number": move_number},
        begun_at=move.moved_at,
    )


def _acceptable(db: Database, candidate_id: str, adapter_files: Mapping[str, bytes]) -> Candidate:
    candidate = get_candidate(db, candidate_id)
    if candidate.imported:
        raise WrongUseError(f"Candidate {candidate.id} is imported, so it has no adapter to make live.")
    require_move(candidate, "accepted", decisions_of(db, candidate.id))
    live = live_version(db)
    if candidate.live_version != live:
        raise WrongUseError(
            f"Candidate {candidate.id} was trained on {live_name(candidate.live_version)}, "
            f"but {live_name(live)} is live now.",
            next_step=f'seal-console versions rollback {version_tag(candidate.live_version or 0)} --reason "…" makes '
            "its parent live again; or seal-console run --rounds 1 creates candidates on the live version.",
        )
    problems = adapter_problems(adapter_files)
    if not problems and hash_adapter(adapter_files) != candidate.adapter_hash:
        problems = [f"the adapter is {hash_adapter(adapter_files)}, the examined one is {candidate.adapter_hash}"]
    if problems:
        raise WrongUseError(f"The adapter of candidate {candidate.id} cannot go live.", problems=problems)
    return candidate


@contextmanager
def _incoming(workspace: Workspace, tag: str, files: Mapping[str, bytes]) -> Iterator[None]:
    """Keep the files on disk while git reads them; `recover` removes what a crash leaves of them."""
    folder = workspace.cache_folder / f"accepting-{tag}"
    if folder.exists():
        remove(folder)
    write_folder(folder, files)
    try:
        yield
    finally:
        with suppress(OSError):  # the acceptance does not depend on it
            remove(folder)


def _message(tag: str, reason: str) -> str:
    """Return a commit message whose subject is the reason's first line."""
    subject, _, rest = reason.strip().partition("\n")
    return f"{tag}: {subject}\n\n{rest.strip()}"


def _next_number(repository: Repository, db: Database) -> int:
    tagged = [tag_number(tag, "v") or 0 for tag in repository.tags()]
    return max([*tagged, *(version.number for version in list_versions(db)), 0]) + 1
