"""Changes that a crash left half done: finished from their intents, and refs that git can no longer read.

An announced change of which a ref has moved is finished, never undone; one of which nothing has moved is dropped. A tag
that no intent announced is left alone: `verify` reports it. Branch `live` that moved without anything being checked out
is put back to what is recorded.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from store.adapter_files import MANIFEST_NAME
from store.candidate_states import ALLOWED_MOVES
from store.candidates import get_candidate
from store.database import fetch, transaction
from store.errors import CorruptError
from store.hashing import hash_bytes
from store.importing import ImportedRows, record_imported
from store.intents import Intent, close_intent, open_intents, took_effect
from store.records import Decision, Move, PolicyVersion, Version
from store.repository import FORMER_MOVE_REF, LIVE_REF, POLICY_REF, ROOT_TAG_REF
from store.rows import from_row
from store.version_rows import (
    list_policy_versions,
    list_versions,
    live_version,
    record_acceptance,
    record_move,
    record_policy_version,
)
from store.version_tags import live_name, version_tag

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.repository import Repository

# `git reset --hard` by hand writes the index before it moves the branch.
_GIT_AT_WORK_S = 2.0


def finish_half_done(repository: Repository, db: Database) -> list[str]:
    """Finish or drop interrupted changes and return a sentence for each; the caller has the writer lock.

    Raises CorruptError if a ref cannot be read and cannot be written again from seal.db.
    """
    done = _rewrite_broken_refs(repository, db)
    for intent in open_intents(db):
        done += _finish(repository, db, intent) if took_effect(repository, intent) else _drop(db, intent)
    return done + _put_live_back(repository, db) + _put_policy_back(repository, db)


def _drop(db: Database, intent: Intent) -> list[str]:
    close_intent(db, intent)
    return [f"{_title(intent)} was interrupted before anything had changed."]


def _finish(repository: Repository, db: Database, intent: Intent) -> list[str]:
    _require_match(repository, db, intent)
    done = _finish_refs(repository, intent)
    if intent.kind != "policy" and _checkout_is_behind(repository):
        repository.checkout_live()
    with transaction(db):
        _record(db, intent)
        close_intent(db, intent)
    return [*done, f"{_title(intent)} was interrupted after git had changed; it is finished now."]


def _require_match(repository: Repository, db: Database, intent: Intent) -> None:
    """Raise CorruptError unless git and seal.db still have what was announced."""
    if intent.manifest_hash is None:
        return
    problems = []
    commit = intent.refs[-1][2]
    if hash_bytes(repository.read_file(commit, MANIFEST_NAME)) != intent.manifest_hash:
        problems.append(f"commit {commit} in adapters/ has another {MANIFEST_NAME}")
    if intent.candidate_id is not None:
        candidate = get_candidate(db, intent.candidate_id)
        if candidate.adapter_hash != intent.adapter_hash:
            problems.append(f"candidate {candidate.id} was examined with another adapter")
        if "accepted" not in ALLOWED_MOVES[candidate.state]:
            problems.append(f"candidate {candidate.id} is {candidate.state}")
    if problems:
        raise CorruptError(
            f"{_title(intent)} was interrupted, and cannot be finished as it was announced: {'; '.join(problems)}.",
            next_step="Restore seal.db and adapters/ from a backup, together.",
        )


def _finish_refs(repository: Repository, intent: Intent) -> list[str]:
    """Move the refs of an unfinished transaction that still have their old value."""
    current = [(ref, repository.object_id(ref), old, new) for ref, old, new in intent.refs]
    missed = [(ref, old, new) for ref, found, old, new in current if found == old and old != new]
    if missed:
        repository.move_refs(missed)
    else:
        repository.sync_refs(ref for ref, _, _ in intent.refs)
    return [f"Moved {ref} in adapters/, which the interrupted change had left behind." for ref, _, _ in missed]


def _record(db: Database, intent: Intent) -> None:
    rows = intent.records
    if "policy" in rows:
        record_policy_version(db, from_row(PolicyVersion, rows["policy"]), intent.tag_object)
    elif "version" in rows:
        decision = from_row(Decision, rows["decision"])
        if "imported" in rows:
            record_imported(db, ImportedRows.from_records(rows["imported"]), decision.actor, decision.reason)
        record_acceptance(
            db,
            from_row(Version, rows["version"]),
            decision,
            rows["move_number"],
            from_row(Move, rows["move"]),
            tag_object=intent.tag_object,
        )
    else:
        record_move(db, rows["move_number"], from_row(Move, rows["move"]))


def announced_tags(db: Database) -> dict[str, str]:
    """Return the tags of changes that were announced and not finished, each with what it is about."""
    tags = {ref.removeprefix("refs/tags/"): _title(one) for one in open_intents(db) for ref, _, _ in one.refs}
    return {tag: title for tag, title in tags.items() if not tag.startswith("refs/")}


def recorded_tag_objects(db: Database) -> dict[str, str]:
    """Return the tag object of each tag that an event names one for; events of older releases name none."""
    found = {}
    for row in fetch(db, "SELECT payload FROM events WHERE kind IN ('candidate.accepted', 'policy.added')"):
        with suppress(ValueError, KeyError, TypeError):
            payload = json.loads(row["payload"])
            found[payload.get("version", payload.get("policy"))["tag"]] = payload["tag_object"]
    return found


def tag_remedy(repository: Repository, tag: str, commit: str, tag_object: str | None = None) -> str:
    """Return the command that puts the tag of a commit back, or that a backup is needed if its object is gone.

    `tag_object` is the recorded one; older releases recorded none.
    """
    kept = [object_id for object_id, tagged in repository.tag_objects(tag) if tagged == commit]
    wanted = tag_object if tag_object in kept else kept[0] if len(kept) == 1 and tag_object is None else None
    if wanted is None:
        return "Restore adapters/ from a backup."
    return f"git -C {repository.folder} update-ref refs/tags/{tag} {wanted}"


def _title(intent: Intent) -> str:
    rows = intent.records
    if intent.kind == "policy":
        return f"Adding policy {rows['policy']['tag']}"
    if intent.kind == "accept":
        return f"The acceptance of {rows['version']['tag']} by {intent.actor}"
    return f"The rollback to {live_name(rows['move']['to_version'])} by {intent.actor}"


def _checkout_is_behind(repository: Repository) -> bool:
    """Return whether HEAD is where the interrupted change left it; an operator's own checkout is left alone."""
    return repository.head_branch() == LIVE_REF or repository.head_commit() == repository.resolve(LIVE_REF)


def _put_live_back(repository: Repository, db: Database) -> list[str]:
    """Put the index or branch `live` right if only one of them has moved; a checkout by hand moves both, or HEAD."""
    if repository.head_branch() != LIVE_REF:
        return []
    recorded = live_version(db)
    expected = repository.resolve(f"refs/tags/{version_tag(recorded or 0)}")
    found = repository.resolve(LIVE_REF)
    if expected is None or found is None:
        return []
    if found == expected:
        return _refresh_index(repository)
    versions = {version.commit for version in list_versions(db)} | {repository.resolve(ROOT_TAG_REF)}
    if found not in versions or not repository.index_equals(expected):
        return []
    repository.move_refs([(LIVE_REF, found, expected)])
    return [f"Branch live in adapters/ had moved without a record; it is at {live_name(recorded)} again."]


def _put_policy_back(repository: Repository, db: Database) -> list[str]:
    """Undo a move of branch `policy`, which nobody moves by hand: it is not what policies are read from."""
    policies = list_policy_versions(db)
    expected = repository.resolve(f"refs/tags/{policies[-1].tag}" if policies else ROOT_TAG_REF)
    found = repository.resolve(POLICY_REF)
    if expected in {None, found} or found is None or (policies and expected != policies[-1].commit):
        return []
    repository.move_refs([(POLICY_REF, found, str(expected))])
    return ["Branch policy in adapters/ had moved without a record; it is at the newest policy version again."]


def _refresh_index(repository: Repository) -> list[str]:
    if repository.index_equals(LIVE_REF) or repository.index_age_s() < _GIT_AT_WORK_S:
        return []
    repository.reset_index()
    return ["The index of adapters/ was not that of the live version; it is now."]


def _rewrite_broken_refs(repository: Repository, db: Database) -> list[str]:
    """Write unreadable refs and lost branches again, from seal.db and the tags that are there."""
    broken = repository.broken_refs()
    done = []
    if "HEAD" in broken:
        repository.attach_head()
        done.append("adapters/.git/HEAD could not be read; it follows branch live again.")
    for ref in broken:
        if ref == FORMER_MOVE_REF:
            repository.remove_ref_file(ref)
            done.append(f"adapters/.git/{ref} could not be read; it is not used any more and was removed.")
        elif ref.startswith("refs/tags/"):
            done += _rewrite_tag(repository, db, ref)
    policies = list_policy_versions(db)
    wanted = {
        LIVE_REF: f"refs/tags/{version_tag(live_version(db) or 0)}",
        POLICY_REF: f"refs/tags/{policies[-1].tag}" if policies else ROOT_TAG_REF,
    }
    for ref, tag in wanted.items():
        commit = repository.resolve(tag)
        if commit is not None and (ref in broken or repository.resolve(ref) is None):
            repository.write_ref(ref, commit)
            done.append(f"Branch {ref.rpartition('/')[2]} in adapters/ could not be read; it is written again.")
    return done


def _rewrite_tag(repository: Repository, db: Database, ref: str) -> list[str]:
    tag = ref.removeprefix("refs/tags/")
    commits = {version.tag: version.commit for version in list_versions(db)}
    commits |= {policy.tag: policy.commit for policy in list_policy_versions(db)}
    found = [object_id for object_id, commit in repository.tag_objects(tag) if commits.get(tag, commit) == commit]
    if len(found) != 1:
        raise CorruptError(
            f"adapters/.git/{ref} cannot be read, and {len(found) or 'no'} tags of that name are kept in adapters/.",
            next_step="Restore adapters/ from a backup.",
        )
    repository.write_ref(ref, found[0])
    return [f"Tag {tag} in adapters/ could not be read; it is written again."]
