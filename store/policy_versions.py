"""Policy versions: adapters that write self-edits, on their own branch and tags; the working tree is never touched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from store.adapter_files import ADAPTER_NAMES, MANIFEST_NAME, adapter_problems, hash_adapter
from store.clock import utc_now
from store.database import transaction
from store.errors import WrongUseError
from store.hashing import hash_bytes
from store.intents import Intent, carrying_out, close_intent, new_token
from store.live_ref import commit_of, no_checkpoint, writing
from store.manifest import policy_files
from store.records import PolicyVersion
from store.repository import POLICY_REF, Repository
from store.rows import to_row
from store.version_rows import get_policy_version, list_policy_versions, record_policy_version
from store.version_tags import policy_tag, tag_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlite_utils import Database

    from store.workspace import Workspace

_AUTHOR = "seal-console"


def add_policy_version(
    workspace: Workspace,
    db: Database,
    adapter_files: Mapping[str, bytes],
    *,
    parent_number: int | None,
    round_number: int,
    metrics: dict[str, Any],
    base: Mapping[str, Any],
    checkpoint: Callable[[str], None] = no_checkpoint,
) -> PolicyVersion:
    """Keep a policy adapter: a commit on the branch `policy`, tag p000n, then its row.

    Raises WrongUseError if the files are not valid or the parent is unknown, LockedError if another process writes.
    """
    problems = adapter_problems(adapter_files)
    if problems:
        raise WrongUseError("The policy's adapter cannot be kept.", problems=problems)
    with writing(workspace, db, f"add policy of round {round_number}") as repository:
        parent = get_policy_version(db, parent_number).commit if parent_number else commit_of(repository, db, None)
        number = _next_number(repository, db)
        draft = PolicyVersion(
            number=number,
            tag=policy_tag(number),
            commit="",
            parent_number=parent_number or None,
            round_number=round_number,
            adapter_hash=hash_adapter(adapter_files),
            metrics=metrics,
            created_at=utc_now(),
        )
        files = policy_files(db, draft, adapter_files, base)
        message = f"{draft.tag}: policy of round {round_number}"
        token = new_token()
        commit = repository.commit_folder(files, parent, message, _AUTHOR, draft.created_at)
        tag_object = repository.write_tag(draft.tag, commit, f"{message}\n\nIntent: {token}", _AUTHOR, draft.created_at)
        policy = replace(draft, commit=commit)
        intent = Intent(
            token=token,
            kind="policy",
            actor=_AUTHOR,
            candidate_id=None,
            adapter_hash=policy.adapter_hash,
            manifest_hash=hash_bytes(files[MANIFEST_NAME]),
            parent_commit=parent,
            refs=[
                (f"refs/tags/{draft.tag}", None, tag_object),
                (POLICY_REF, repository.resolve(POLICY_REF), commit),
            ],
            records={"policy": to_row(policy)},
            begun_at=utc_now(),
        )
        checkpoint("objects_written")
        with carrying_out(repository, db, intent):
            checkpoint("announced")
            repository.move_refs(intent.refs)
            checkpoint("refs_moved")
            with transaction(db):
                record_policy_version(db, policy, tag_object)
                close_intent(db, intent)
        checkpoint("recorded")
    return policy


def policy_adapter_files(workspace: Workspace, db: Database, number: int) -> dict[str, bytes]:
    """Return adapter_config.json and adapter_model.safetensors of a policy version, from git."""
    policy = get_policy_version(db, number)
    repository = Repository.open(workspace.adapters_folder)
    return {name: repository.read_file(policy.commit, name) for name in ADAPTER_NAMES}


def _next_number(repository: Repository, db: Database) -> int:
    tagged = [tag_number(tag, "p") or 0 for tag in repository.tags()]
    return max([*tagged, *(policy.number for policy in list_policy_versions(db)), 0]) + 1
