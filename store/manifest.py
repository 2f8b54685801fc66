"""manifest.json of a version or policy version: its whole provenance, enough to write its rows again from git alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from store.adapter_files import CARD_NAME, MANIFEST_NAME
from store.audit_redaction import without_exam
from store.candidates import gates_of, inner_updates_of
from store.card import policy_card, version_card
from store.errors import CorruptError
from store.events import head_as_json
from store.hashing import hash_bytes
from store.importing import origin_of
from store.records import Candidate, Decision, PolicyVersion, Task, Version
from store.rows import to_row
from store.version_tags import policy_tag, version_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlite_utils import Database

FORMAT = 1


def version_files(
    db: Database,
    number: int,
    candidate: Candidate,
    adapter_files: Mapping[str, bytes],
    *,
    task: Task,
    base: Mapping[str, Any],
    decision: Decision,
) -> dict[str, bytes]:
    """Return all files of a version: the adapter's, the card, and the manifest with the hashes of the others."""
    origin = origin_of(candidate)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "kind": "version",
        "number": number,
        "tag": version_tag(number),
        "parent_number": candidate.live_version,
        "parent_tag": version_tag(candidate.live_version or 0),
        "candidate": {
            "id": candidate.id,
            "round_number": candidate.round_number,
            "position": candidate.position,
            "edit_format": candidate.edit_format,
            "prompt": candidate.prompt,
            "completion": candidate.completion,
            "sequences": candidate.sequences,
            **({"loss_starts": candidate.loss_starts} if candidate.loss_starts else {}),
            "sampling": candidate.sampling,
            "seed": candidate.seed,
            "policy_version": candidate.policy_version,
            "derived_from": candidate.derived_from,
            "created_at": candidate.created_at,
        },
        "task": {"id": task.id, "title": task.title, "source": task.source},
        **({"imported": origin} if origin else {}),
        "adapter_hash": candidate.adapter_hash,
        "base": dict(base),
        "inner_updates": [
            {
                "repeat": update.repeat,
                "seed": update.seed,
                "hyperparameters": update.hyperparameters,
                "steps": update.steps,
                "trained_tokens": update.trained_tokens,
                "adapter_hash": update.adapter_hash,
            }
            for update in inner_updates_of(db, candidate.id)
        ],
        "reward": {"mean": candidate.reward_mean, "std": candidate.reward_std, "audit_gain": candidate.audit_gain},
        "gates": [
            {
                "gate": gate.gate,
                "passed": gate.passed,
                "evidence": without_exam(gate.evidence),
                **({} if gate.on_failure is None else {"on_failure": gate.on_failure}),
            }
            for gate in gates_of(db, candidate.id)
        ],
        "decision": to_row(decision),
        "chain_head": head_as_json(db),
    }
    return _with_hashes(manifest, adapter_files, version_card(manifest))


def policy_files(
    db: Database, draft: PolicyVersion, adapter_files: Mapping[str, bytes], base: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return all files of a policy version; `draft` is its row, with a commit that is not known yet."""
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "kind": "policy",
        "number": draft.number,
        "tag": draft.tag,
        "parent_number": draft.parent_number,
        "parent_tag": policy_tag(draft.parent_number) if draft.parent_number else None,
        "round_number": draft.round_number,
        "adapter_hash": draft.adapter_hash,
        "metrics": draft.metrics,
        "base": dict(base),
        "created_at": draft.created_at,
        "chain_head": head_as_json(db),
    }
    return _with_hashes(manifest, adapter_files, policy_card(manifest))


def read_manifest(content: bytes, where: str) -> dict[str, Any]:
    """Parse a manifest. Raises CorruptError, naming `where`, if its format is unknown."""
    try:
        manifest = json.loads(content)
    except ValueError as error:
        raise CorruptError(f"{MANIFEST_NAME} of {where} is not JSON: {error}.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise CorruptError(
            f"{MANIFEST_NAME} of {where} is not of format {FORMAT}.", next_step="pip install --upgrade seal-console"
        )
    return manifest


def version_from_manifest(content: bytes, commit: str, where: str) -> tuple[Version, Decision]:
    """Return the rows that an accepted version's manifest describes. Raises CorruptError if it is incomplete."""
    manifest = read_manifest(content, where)
    try:
        decision = Decision(**manifest["decision"])
        version = Version(
            number=manifest["number"],
            tag=manifest["tag"],
            commit=commit,
            parent_number=manifest["parent_number"],
            candidate_id=manifest["candidate"]["id"],
            adapter_hash=manifest["adapter_hash"],
            manifest_hash=hash_bytes(content),
            accepted_by=decision.actor,
            reason=decision.reason,
            created_at=decision.decided_at,
        )
    except (KeyError, TypeError) as error:
        raise CorruptError(f"{MANIFEST_NAME} of {where} is incomplete: {error!r}.") from error
    return version, decision


def policy_from_manifest(content: bytes, commit: str, where: str) -> PolicyVersion:
    """Return the row that a policy version's manifest describes. Raises CorruptError if it is incomplete."""
    manifest = read_manifest(content, where)
    try:
        return PolicyVersion(
            number=manifest["number"],
            tag=manifest["tag"],
            commit=commit,
            parent_number=manifest["parent_number"],
            round_number=manifest["round_number"],
            adapter_hash=manifest["adapter_hash"],
            metrics=manifest["metrics"],
            created_at=manifest["created_at"],
        )
    except (KeyError, TypeError) as error:
        raise CorruptError(f"{MANIFEST_NAME} of {where} is incomplete: {error!r}.") from error


def _with_hashes(manifest: dict[str, Any], adapter_files: Mapping[str, bytes], card: str) -> dict[str, bytes]:
    files = {**adapter_files, CARD_NAME: card.encode("utf-8")}
    manifest["files"] = {name: hash_bytes(content) for name, content in files.items()}
    text = json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return {**files, MANIFEST_NAME: (text + "\n").encode("utf-8")}
