"""The git part of `verify`: tags, commits, files, manifests and the checkout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from store.adapter_files import MANIFEST_NAME, VERSION_NAMES, WEIGHTS_NAME, hash_adapter, weights_problems
from store.database import fetch, fetch_value
from store.errors import SealError
from store.events import GENESIS_HASH
from store.half_done import announced_tags, tag_remedy
from store.hashing import hash_bytes
from store.manifest import policy_from_manifest, version_from_manifest
from store.repository import FORMER_MOVE_REF, LIVE_REF, POLICY_REF, ROOT_TAG_REF
from store.rows import to_row
from store.version_rows import list_policy_versions, list_versions
from store.version_tags import live_name, policy_tag, tag_number, version_tag

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import PolicyVersion, Version
    from store.repository import Repository

_EXPECTED_NAMES = sorted(VERSION_NAMES)


def check_version(repository: Repository, db: Database, version: Version, tag_object: str | None) -> list[str]:
    """Compare one version's row with its tag, commit, files and manifest."""
    parent_tag = version_tag(version.parent_number or 0)
    problems = _check_tag(repository, version.tag, version.commit, parent_tag, tag_object)
    try:
        content = repository.read_file(version.commit, MANIFEST_NAME)
        if hash_bytes(content) != version.manifest_hash:
            problems.append(f"{version.tag}: {MANIFEST_NAME} is not the one that its row names")
        expected, _ = version_from_manifest(content, version.commit, version.tag)
        problems += _differences(version.tag, to_row(version), to_row(expected))
        problems += _check_files(repository, db, version.tag, version.commit, json.loads(content))
    except (SealError, ValueError) as error:
        problems.append(f"{version.tag}: {error}")
    return problems


def check_policy(repository: Repository, db: Database, policy: PolicyVersion, tag_object: str | None) -> list[str]:
    """Compare one policy version's row with its tag, commit, files and manifest."""
    parent_tag = policy_tag(policy.parent_number) if policy.parent_number else version_tag(0)
    problems = _check_tag(repository, policy.tag, policy.commit, parent_tag, tag_object)
    try:
        content = repository.read_file(policy.commit, MANIFEST_NAME)
        expected = policy_from_manifest(content, policy.commit, policy.tag)
        problems += _differences(policy.tag, to_row(policy), to_row(expected))
        problems += _check_files(repository, db, policy.tag, policy.commit, json.loads(content))
    except (SealError, ValueError) as error:
        problems.append(f"{policy.tag}: {error}")
    return problems


def check_live(repository: Repository, db: Database, live: int | None) -> list[str]:
    """Compare the recorded live version with branch, HEAD and working tree, and look for tags that no row knows."""
    problems = []
    expected = repository.resolve(f"refs/tags/{version_tag(live or 0)}")
    if repository.resolve(LIVE_REF) != expected:
        problems.append(f"branch live is not at {live_name(live)}, the version that is recorded as live")
    if repository.head_branch() != LIVE_REF:
        problems.append(f"HEAD does not follow branch live but {repository.head_branch() or repository.head_commit()}")
    problems += [f"working tree: {change}" for change in repository.working_tree_changes()]
    return problems + _check_refs(repository, db) + _check_former_move(repository, db)


def _check_refs(repository: Repository, db: Database) -> list[str]:
    problems = []
    policies = list_policy_versions(db)
    newest_policy = policies[-1].commit if policies else repository.resolve(ROOT_TAG_REF)
    if repository.resolve(POLICY_REF) != newest_policy:
        problems.append("branch policy is not at the newest policy version")
    known = {version.tag for version in list_versions(db)} | {policy.tag for policy in policies} | {version_tag(0)}
    known |= announced_tags(db).keys()
    return problems + [
        f"tag {tag} has no row, and nobody announced it here, so it is not used; if it is not yours: "
        f"git -C {repository.folder} tag -d {tag}"
        for tag in sorted(repository.tags())
        if tag not in known and (tag_number(tag, "v") is not None or tag_number(tag, "p") is not None)
    ]


def _check_former_move(repository: Repository, db: Database) -> list[str]:
    """Look at the record of a move that older releases kept in git: one without its row did not come from them."""
    if repository.object_id(FORMER_MOVE_REF) is None:
        return []
    try:
        record = json.loads(repository.read_blob(FORMER_MOVE_REF))
        number, move = record["number"], record["move"]
    except (SealError, ValueError, KeyError, TypeError):
        number, move = None, None
    rows = fetch(db, "SELECT * FROM moves WHERE id = ?", (number,))
    if rows and {name: value for name, value in rows[0].items() if name != "id"} == move:
        return []
    remedy = f"git -C {repository.folder} update-ref -d {FORMER_MOVE_REF}"
    return [f"{FORMER_MOVE_REF} in adapters/ records a move that seal.db does not have; it is not used: {remedy}"]


def _check_tag(repository: Repository, tag: str, commit: str, parent_tag: str, tag_object: str | None) -> list[str]:
    ref = f"refs/tags/{tag}"
    tagged = repository.resolve(ref)
    wrong = None
    if tagged is None:
        wrong = "its tag is missing from adapters/, or damaged"
    elif tagged != commit:
        wrong = f"its tag points to {tagged}, its row to {commit}"
    elif repository.object_type(ref) != "tag":
        wrong = "its tag is not an annotated one"
    elif tag_object not in {None, repository.object_id(ref)}:
        wrong = "the words of its tag, or the name on it, were changed"
    problems = [] if wrong is None else [f"{tag}: {wrong}; {tag_remedy(repository, tag, commit, tag_object)}"]
    if tagged != commit:
        return problems
    if repository.parents(commit) != [repository.resolve(f"refs/tags/{parent_tag}")]:
        problems.append(f"{tag}: its commit's parent is not {parent_tag}")
    return problems


def _check_files(repository: Repository, db: Database, tag: str, commit: str, manifest: dict[str, Any]) -> list[str]:
    names = sorted(repository.file_names(commit))
    if names != _EXPECTED_NAMES:
        return [f"{tag}: its files are {', '.join(names)}, not {', '.join(_EXPECTED_NAMES)}"]
    contents = {name: repository.read_file(commit, name) for name in names if name != MANIFEST_NAME}
    problems = [
        f"{tag}: {name} is not the file that its manifest names"
        for name, content in contents.items()
        if hash_bytes(content) != manifest["files"].get(name)
    ]
    problems += [f"{tag}: {problem}" for problem in weights_problems(contents[WEIGHTS_NAME])]
    if hash_adapter(contents) != manifest["adapter_hash"]:
        problems.append(f"{tag}: its files are not the evaluated adapter")
    return problems + _check_chain_head(db, tag, manifest["chain_head"])


def _check_chain_head(db: Database, tag: str, head: dict[str, Any]) -> list[str]:
    sequence = head["sequence"]
    found = fetch_value(db, "SELECT hash FROM events WHERE sequence = ?", (sequence,)) if sequence else GENESIS_HASH
    if found is None:
        return [f"{tag}: the event log had {sequence} events when it was made; it has fewer now"]
    return [] if found == head["hash"] else [f"{tag}: event {sequence} is not the one that its manifest names"]


def _differences(tag: str, row: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return [
        f"{tag}: its row and its manifest differ in {name}" for name, value in row.items() if value != expected[name]
    ]
