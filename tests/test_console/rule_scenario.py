"""Candidates that rules have judged: some never trained, some held for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from store.candidates import add_candidates, record_examined
from store.clock import utc_now
from store.records import GateResult, OnFailure

if TYPE_CHECKING:
    from store.records import Candidate
    from tests.test_console.cli_scenario import CandidateMaker


def evidence(**more: Any) -> dict[str, Any]:
    match = {"where": "self-edit", "line": 3, "what": "AWS Access Key", "text": "••••", "in_document": True}
    return {"kind": "secrets", "if_found": "deny", "applies_to": "both", "found": 1, "matches": [match], "measured": {},
            **more}  # fmt: skip


def judged(maker: CandidateMaker, *gates: tuple[str, bool, OnFailure | None], trained: bool = False) -> Candidate:
    """A candidate with gates of rules; without `trained` it was only judged."""
    original = maker.examined()
    now = utc_now()
    results = [
        GateResult(f"{original.id}r", f"rule:{name}", passed, evidence(found=int(not passed)), now, on_failure)
        for name, passed, on_failure in gates
    ]
    unmeasured: dict[str, Any] = {"reward_mean": None, "reward_std": None, "audit_gain": None, "adapter_hash": None}
    candidate = replace(original, id=f"{original.id}r", position=maker.made + 100, state="proposed", **unmeasured)
    add_candidates(maker.db, [candidate])
    figures: dict[str, Any] = (
        {"reward_mean": 0.75, "reward_std": 0.0} if trained else {"reward_mean": None, "reward_std": None}
    )
    return record_examined(
        maker.db, candidate.id, updates=[], answers=[], gates=results, audit_gain=None, adapter_hash=None, **figures
    )
