"""Which base model a version or a policy version was trained on: that of the round that its candidate came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.candidates import get_candidate
from store.rounds import get_round
from store.version_rows import get_policy_version, get_version, list_policy_versions

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import PolicyVersion


def base_of_version(db: Database, number: int) -> dict[str, Any] | None:
    """Return name, fingerprint and precision of the base of a version; None if its round does not record it.

    Raises WrongUseError if there is no such version.
    """
    return _base_of_round(db, get_candidate(db, get_version(db, number).candidate_id).round_number)


def base_of_policy(db: Database, number: int) -> dict[str, Any] | None:
    """Return name, fingerprint and precision of the base of a policy version; None if its round does not record it.

    Raises WrongUseError if there is no such policy version.
    """
    return _base_of_round(db, get_policy_version(db, number).round_number)


def latest_policy_on(db: Database, fingerprint: str) -> PolicyVersion | None:
    """Return the newest policy version trained on this base, or on an unknown base; None if there is none."""
    policies = reversed(list_policy_versions(db))
    return next((one for one in policies if is_of(base_of_policy(db, one.number), fingerprint)), None)


def is_of(trained_on: dict[str, Any] | None, fingerprint: str) -> bool:
    """Return whether an adapter of a base fits the base with this fingerprint; an unknown base is assumed to fit."""
    return trained_on is None or trained_on.get("fingerprint") in {None, fingerprint}


def _base_of_round(db: Database, number: int) -> dict[str, Any] | None:
    return get_round(db, number).settings.get("base")
