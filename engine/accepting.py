"""Accepts an examined candidate: its cached adapter becomes the live version. Needs no model, so it needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.candidate_cache import cached_adapter
from store import versions
from store.candidates import get_candidate
from store.errors import WrongUseError
from store.rounds import get_round

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Version
    from store.workspace import Workspace


def accept_candidate(workspace: Workspace, db: Database, candidate_id: str, *, actor: str, reason: str) -> Version:
    """Make a candidate, named by its id or the beginning of it, the live version.

    Raises WrongUseError where it cannot be accepted or its adapter is no longer in the cache, LockedError where
    another process writes.
    """
    candidate = get_candidate(db, candidate_id)
    base = get_round(db, candidate.round_number).settings.get("base", {})
    if candidate.adapter_hash is not None and not base:
        raise WrongUseError(
            f"Round {candidate.round_number} does not say which base model it ran on, so candidate {candidate.id} "
            "cannot be accepted.",
            next_step="seal-console run --rounds 1 makes candidates whose base is known.",
        )
    # Without an adapter the store refuses, and says why: not examined, or imported.
    files = {} if candidate.adapter_hash is None else cached_adapter(workspace, candidate.adapter_hash)
    return versions.accept(workspace, db, candidate.id, files, base, actor=actor, reason=reason)
