"""Which candidate of a round goes live without a person."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.loop.accept import best_acceptable
from engine.settings.sections import AcceptanceSettings
from store.records import Candidate

DEFAULT = AcceptanceSettings(automatic=True)
GOOD = Candidate(
    "sha256:1", 1, "t", 0, "train", "implications", "p", "c", {}, 0, "examined", "now", ["s"],
    reward_mean=0.5, reward_std=0.0, audit_gain=0.25, adapter_hash="sha256:a",
)  # fmt: skip
GAIN = st.none() | st.sampled_from([-0.5, 0.0, 0.25, 0.5, 1.0])
CANDIDATES = st.lists(
    st.builds(
        lambda number, state, role, reward, audit, adapter: replace(
            GOOD,
            id=f"sha256:{number}",
            state=state,
            role=role,
            reward_mean=reward,
            audit_gain=audit,
            adapter_hash=adapter,
        ),
        st.integers(0, 99),
        st.sampled_from(["examined", "refused", "rejected", "deferred", "proposed"]),
        st.sampled_from(["train", "held_out"]),
        GAIN,
        GAIN,
        st.sampled_from([None, "sha256:a"]),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)


@given(CANDIDATES, st.data())
def test_the_best_reward_wins_of_what_is_examined_not_held_and_above_the_limits(
    candidates: list[Candidate], data: st.DataObject
) -> None:
    held = data.draw(st.sets(st.sampled_from([one.id for one in candidates]))) if candidates else set()
    best = best_acceptable(candidates, held, DEFAULT)
    possible = [
        one
        for one in candidates
        if one.state == "examined" and one.role == "train" and one.adapter_hash and one.id not in held
        and (one.reward_mean or 0) > 0 and one.audit_gain is not None and one.audit_gain >= 0
    ]  # fmt: skip
    assert (best is None) == (not possible)
    if best is not None:
        assert best in possible
        assert (best.reward_mean, best.audit_gain) == max((one.reward_mean, one.audit_gain) for one in possible)
        assert best == best_acceptable(candidates[::-1], held, DEFAULT)


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        (AcceptanceSettings(), True),
        (AcceptanceSettings(min_reward=0.5), False),
        (AcceptanceSettings(min_reward=0.49), True),
        (AcceptanceSettings(min_audit_gain=0.25), True),
        (AcceptanceSettings(min_audit_gain=0.26), False),
    ],
)
def test_limits_that_are_stricter_than_the_gates_are_kept(settings: AcceptanceSettings, allowed: bool) -> None:
    assert best_acceptable([GOOD], (), settings) == (GOOD if allowed else None)


def test_without_limits_of_their_own_the_gates_decide() -> None:
    worse = replace(GOOD, reward_mean=-0.5, audit_gain=None)
    free = AcceptanceSettings(min_reward=None, min_audit_gain=None)
    assert best_acceptable([worse], (), free) == worse
    assert best_acceptable([worse], (), AcceptanceSettings()) is None


def test_what_is_held_for_a_person_is_passed_over_for_the_next_best() -> None:
    second = replace(GOOD, id="sha256:2", reward_mean=0.25)
    assert best_acceptable([GOOD, second], {GOOD.id}, DEFAULT) == second
    assert best_acceptable([GOOD], {GOOD.id}, DEFAULT) is None
