"""Events in words: every kind that the store writes says what it is about, and never shows its payload."""

from __future__ import annotations

from typing import Any

import pytest

from seal_console.console.render_event import describe_event

HASH = "sha256:0123456789abcdef"
MOVE = {"actor": "ada", "from_version": None, "to_version": 2}
DECISION = {"actor": "ada", "candidate_id": HASH, "reason": "good"}
WRITTEN: list[tuple[str, dict[str, Any], str]] = [
    ("documents.added", {"hashes": {"a": "b"}}, "1 document"),
    ("tasks.added", {"hashes": {"a": "b", "c": "d"}}, "2 tasks"),
    ("candidates.added", {"hashes": {"a": "b"}}, "1 self-edit"),
    ("base.examined", {"base": HASH, "hashes": {"a": "b"}}, "1 answer"),
    ("retention.examined", {"hashes": {}}, "0 answers"),
    ("candidate.examined", {"id": HASH, "state": "refused", "hash": HASH}, "0123456789 refused"),
    ("candidate.rejected", {"decision": DECISION}, "0123456789 by ada: good"),
    ("drift.measured", {"anchors_hash": HASH, "hash": HASH, "model_state": "base"}, "of base"),
    ("noise.measured", {"suite": "facts", "prompts_hash": HASH, "hash": HASH}, "of the suite facts"),
    ("drift.measured", {"anchors_hash": HASH, "hash": HASH, "model_state": HASH}, "of 0123456789"),
    ("live.moved", {"move": MOVE, "number": 1}, "v0000 → v0002 by ada"),
    ("policy.added", {"policy": {"number": 3, "round_number": 4}}, "p0003 of round 4"),
    ("round.started", {"hash": HASH, "number": 7}, "round 7"),
    ("adapter.imported", {"adapter_hash": HASH, "actor": "ada", "reason": "ours"}, "0123456789 by ada: ours"),
    ("alarm.raised", {"id": 5, "name": "echo", "round": 2}, "5 “echo” in round 2"),
    ("alarm.cleared", {"name": "echo", "clearing": {"alarm_id": 5, "actor": "ada", "reason": "seen"}},
     "5 “echo” by ada: seen"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "payload", "words"), WRITTEN)
def test_an_event_says_what_it_is_about(kind: str, payload: dict[str, Any], words: str) -> None:
    assert describe_event(kind, payload) == words


def test_of_a_kind_that_nobody_knows_the_payload_is_shown() -> None:
    assert describe_event("odd.thing", {"a": 1}) == '{"a": 1}'
