"""Policy versions: adapters that write self-edits, on their own branch and tags; the working tree is never touched."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from store.adapter_files import ADAPTER_NAMES, adapter_problems, hash_adapter
from store.clock import utc_now
from store.errors import WrongUseError
from store.live_ref import no_checkpoint, writing
from store.manifest import policy_files
from store.records import PolicyVersion
from store.repository import POLICY_REF, ROOT_TAG_REF, Repository
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
        parent = get_policy_version(db, parent_number).commit if parent_number else repository.resolve(ROOT_TAG_REF)
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
        commit = repository.commit_folder(files, parent, message, _AUTHOR, draft.created_at)
        tag_object = repository.write_tag(draft.tag, commit, message, _AUTHOR, draft.created_at)
        checkpoint("objects_written")
        branch_move = (POLICY_REF, repository.resolve(POLICY_REF), commit)
        repository.move_refs([(f"refs/tags/{draft.tag}", None, tag_object), branch_move])
        checkpoint("refs_moved")
        policy = replace(draft, commit=commit)
        record_policy_version(db, policy)
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
