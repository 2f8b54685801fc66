"""A history of versions with a branch in it, and a policy, made as a round and an operator make them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.policy_versions import add_policy_version
from store.versions import accept, rollback
from tests.test_console.cli_scenario import BASE, make_adapter

if TYPE_CHECKING:
    from store.records import Version
    from tests.test_console.cli_scenario import CandidateMaker


def accepted(maker: CandidateMaker, reward: float = 0.5, *, reason: str = "good", **more: Any) -> Version:
    """Examine a candidate on the live version, and accept it."""
    candidate = maker.examined(reward, **more)
    files = make_adapter(candidate.seed)
    return accept(maker.workspace, maker.db, candidate.id, files, BASE, actor="Ada", reason=reason)


def branched(maker: CandidateMaker) -> None:
    """v0001 ← v0002, and v0001 ← v0003 ← v0004, which is live; p0001 of the round."""
    accepted(maker, 0.5, reason="first")
    accepted(maker, 0.6, reason="second")
    rollback(maker.workspace, maker.db, 1, "Ada", "v0002 mixed up two products")
    accepted(maker, 0.7, reason="third")
    accepted(maker, 0.8, reason="fourth")
    add_policy_version(
        maker.workspace,
        maker.db,
        make_adapter(99),
        parent_number=None,
        round_number=1,
        metrics={"held_out_before": 0.5, "held_out_after": 0.75},
        base=BASE,
    )
