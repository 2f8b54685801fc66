"""Which of two candidates is better: one order, as a key for Python and as ORDER BY for SQLite.

Measured candidates come first. Then the higher reward, the higher audit gain (unmeasured last), the smaller spread
over repeats, and at last the earlier round, the earlier position and the id, so that the order is total.

Rewards are rounded to nine decimals, because smaller differences come from floating point, not from answers. Python
and SQLite round decimals differently, so both multiply first and round to a whole number.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from store.records import Candidate

RankKey = tuple[float, float, float, int, int, str]
_PER_UNIT = 1e9
# Above this, a float has no fraction; SQLite's round() returns it as it is.
_WHOLE_NUMBERS = 2.0**52


def rank_order(table: str = "candidates") -> str:
    """Return the terms of ORDER BY that sort rows of `candidates`, named `table` in the query, the best first.

    SQLite sorts NULL below every number, so a descending term puts it last. An index has the same terms: see
    migration 0008.
    """
    return (
        f"round({table}.reward_mean * 1e9) DESC, round({table}.audit_gain * 1e9) DESC, "
        f"{table}.reward_std IS NULL, round({table}.reward_std * 1e9), "
        f"{table}.round_number, {table}.position, {table}.id"
    )


def rank_key(
    *,
    reward_mean: float | None,
    audit_gain: float | None,
    reward_std: float | None,
    round_number: int = 0,
    position: int,
    candidate_id: str,
) -> RankKey:
    """Return the key that sorts candidates in the order of `rank_order`: the smallest key is the best."""
    return (
        inf if reward_mean is None else -in_units(reward_mean),
        inf if audit_gain is None else -in_units(audit_gain),
        inf if reward_std is None else in_units(reward_std),
        round_number,
        position,
        candidate_id,
    )


def candidate_rank(candidate: Candidate) -> RankKey:
    """Return the key of a recorded candidate."""
    return rank_key(
        reward_mean=candidate.reward_mean,
        audit_gain=candidate.audit_gain,
        reward_std=candidate.reward_std,
        round_number=candidate.round_number,
        position=candidate.position,
        candidate_id=candidate.id,
    )


def in_units(value: float) -> float:
    """Return a reward as a whole number of 10⁻⁹, as SQLite's `round(value * 1e9)` does."""
    scaled = value * _PER_UNIT
    if abs(scaled) > _WHOLE_NUMBERS:
        return scaled
    return float(int(scaled + (-0.5 if scaled < 0 else 0.5)))
