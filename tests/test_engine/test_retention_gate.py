"""Verdicts on losses, as pure functions: properties by hypothesis, and figures worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gates.evidence import describe_evidence
from engine.gates.retention import (
    AnswerPair,
    drift_verdict,
    earlier_verdict,
    paired_p_value,
    suite_verdict,
)
from engine.retention.suites import Suite, losses_allowed
from engine.settings.sections import RetentionSettings
from store.hashing import canonical_json
from store.records import Drift, GateResult

NOW = "2026-01-01T00:00:00.000Z"
EACH, SIGNIFICANT = RetentionSettings(), RetentionSettings(gate="significant")
SUITE = Suite("facts", "retention/facts.yaml:1", (), ())

verdicts_of_prompts = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30)
limits = st.one_of(st.none(), st.integers(0, 40), st.floats(0, 1))


def compared(pairs: list[tuple[bool, bool]]) -> list[AnswerPair]:
    return [
        AnswerPair(f"prompt {place}", ("gold",), f"b{place}", f"a{place}", before, after, group="g")
        for place, (before, after) in enumerate(pairs)
    ]


def judged(
    pairs: list[tuple[bool, bool]], allowed: float | None = None, settings: RetentionSettings = EACH
) -> GateResult:
    return suite_verdict("c", replace(SUITE, allowed_losses=allowed), compared(pairs), settings)


def changed(lost: int, gained: int, kept: int = 0) -> list[tuple[bool, bool]]:
    return [(True, False)] * lost + [(False, True)] * gained + [(True, True)] * kept


def test_a_loss_of_three_of_forty_as_worked_out_by_hand() -> None:
    verdict = judged([*changed(3, 0, kept=36), (False, False)], allowed=2)
    assert (verdict.gate, verdict.passed) == ("retention:facts", False)
    figures = {key: verdict.evidence[key] for key in ("prompts", "right_before", "right_after", "gained", "p_value")}
    assert figures == {"prompts": 40, "right_before": 39, "right_after": 36, "gained": 0, "p_value": 0.125}
    assert verdict.evidence["lost"][0] == {
        "prompt": "prompt 0", "expected": ["gold"], "before": "b0", "after": "a0", "group": "g",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "gained", "expected"),
    [(0, 0, 1.0), (1, 0, 0.5), (5, 0, 1 / 32), (0, 4, 1.0), (1, 1, 0.75), (5, 1, 7 / 64), (2, 1, 0.5)],
)
def test_the_p_value_of_small_changes_is_that_of_the_binomial(lost: int, gained: int, expected: float) -> None:
    assert paired_p_value(lost, gained) == expected


@given(st.integers(0, 7), st.integers(0, 7))
def test_the_p_value_is_the_share_of_all_possible_outcomes_of_the_changes(lost: int, gained: int) -> None:
    ways = list(itertools.product((0, 1), repeat=lost + gained))
    assert paired_p_value(lost, gained) == pytest.approx(sum(sum(way) >= lost for way in ways) / len(ways), abs=1e-15)


@given(st.integers(0, 600), st.integers(0, 600))
def test_the_p_value_is_a_probability_that_falls_with_losses_and_rises_with_gains(lost: int, gained: int) -> None:
    p = paired_p_value(lost, gained)
    assert 0 <= p <= 1
    assert paired_p_value(lost + 1, gained) <= p <= paired_p_value(lost, gained + 1)


@given(st.integers(0, 60))
def test_as_many_losses_as_gains_are_noise(both: int) -> None:
    assert paired_p_value(both, both) >= 0.5


@given(verdicts_of_prompts)
def test_lost_are_exactly_the_answers_that_were_right_and_are_wrong(pairs: list[tuple[bool, bool]]) -> None:
    evidence = judged(pairs).evidence
    expected = [f"prompt {place}" for place, pair in enumerate(pairs) if pair == (True, False)]
    assert [one["prompt"] for one in evidence["lost"]] == expected
    assert evidence["right_after"] == evidence["right_before"] - len(expected) + evidence["gained"]
    assert canonical_json(evidence)


@given(verdicts_of_prompts, limits, st.sampled_from([EACH, SIGNIFICANT]))
def test_one_more_loss_never_turns_a_stop_into_a_pass(
    pairs: list[tuple[bool, bool]], allowed: float | None, settings: RetentionSettings
) -> None:
    if (True, True) not in pairs:
        return
    worse = list(pairs)
    worse[pairs.index((True, True))] = (True, False)
    assert judged(pairs, allowed, settings).passed >= judged(worse, allowed, settings).passed


@given(verdicts_of_prompts, limits, st.randoms())
def test_the_order_of_prompts_changes_no_verdict(
    pairs: list[tuple[bool, bool]], allowed: float | None, shuffler: Any
) -> None:
    mixed = list(pairs)
    shuffler.shuffle(mixed)
    one, other = judged(pairs, allowed), judged(mixed, allowed)
    assert one.passed == other.passed
    assert {k: v for k, v in one.evidence.items() if k != "lost"} == {
        k: v for k, v in other.evidence.items() if k != "lost"
    }


@given(verdicts_of_prompts, limits)
def test_what_passes_with_each_passes_with_significant_too(
    pairs: list[tuple[bool, bool]], allowed: float | None
) -> None:
    assert judged(pairs, allowed, SIGNIFICANT).passed >= judged(pairs, allowed, EACH).passed


def test_significant_stops_only_losses_that_are_unlikely_by_chance() -> None:
    assert judged(changed(4, 0), settings=SIGNIFICANT).passed
    assert not judged(changed(5, 0), settings=SIGNIFICANT).passed
    assert judged(changed(5, 1), settings=SIGNIFICANT).passed
    assert not judged(changed(5, 1), settings=RetentionSettings(gate="significant", significance=0.2)).passed
    assert judged(changed(5, 0), allowed=5, settings=SIGNIFICANT).passed


@given(verdicts_of_prompts, limits, st.integers(0, 30))
def test_the_noise_floor_is_shown_and_decides_nothing(
    pairs: list[tuple[bool, bool]], allowed: float | None, floor: int
) -> None:
    suite = replace(SUITE, allowed_losses=allowed)
    verdict = suite_verdict("c", suite, compared(pairs), EACH, floor)
    assert verdict.passed == judged(pairs, allowed).passed
    assert verdict.evidence == {**judged(pairs, allowed).evidence, "noise_floor": floor}


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (0, "lost 0, noise floor 2, allowed 0"),
        (2, "lost 2 (p = 0.25), within the noise floor of 2, allowed 0"),
        (3, "lost 3 (p = 0.125), noise floor 2, allowed 0"),
    ],
)
def test_a_verdict_says_when_a_loss_is_within_the_noise_floor(lost: int, said: str) -> None:
    verdict = suite_verdict("c", SUITE, compared(changed(lost, 0, kept=31 - lost)), EACH, 2)
    figures, *_ = describe_evidence(verdict.gate, verdict.evidence)
    assert figures == f"31 prompts, 31 right before, {31 - lost} right now, {said}"
    assert verdict.passed == (lost == 0)


def test_a_gain_does_not_pay_for_a_loss() -> None:
    assert not judged(changed(1, 20)).passed


def test_the_suites_own_limit_wins_over_the_settings() -> None:
    generous = RetentionSettings(allowed_losses=3)
    assert judged(changed(3, 0), None, generous).passed
    assert not judged(changed(3, 0), 2, generous).passed
    assert judged(changed(3, 0), 2, generous).evidence["allowed_losses"] == 2


@pytest.mark.parametrize(
    ("limit", "prompts", "allowed"),
    [(0, 40, 0), (2, 40, 2), (0.05, 40, 2), (0.29, 100, 29), (0.99, 1, 0), (1.0, 7, 7), (1, 7, 1), (0.1, 0, 0)],
)
def test_a_limit_is_a_count_or_a_share_rounded_down(limit: float, prompts: int, allowed: int) -> None:
    assert losses_allowed(limit, prompts) == allowed


def earlier(version: str, task: str, *, right_after: bool) -> AnswerPair:
    return AnswerPair(
        "Which?", ("gold",), "gold", "lead", right_before=True, right_after=right_after, version=version, task=task
    )


def test_an_edit_that_undoes_earlier_ones_is_stopped_and_all_are_named() -> None:
    asked = [
        earlier("v0001", "Cups", right_after=False),
        earlier("v0001", "Cups", right_after=False),
        earlier("v0002", "Plates", right_after=True),
        earlier("v0003", "Forks", right_after=False),
    ]
    verdict = earlier_verdict("c", "Spoons", asked, EACH)
    assert (verdict.gate, verdict.passed) == ("earlier edits", False)
    assert verdict.evidence["candidate_task"] == "Spoons"
    assert verdict.evidence["edits"] == 3
    assert verdict.evidence["undone"] == [
        {"version": "v0001", "task": "Cups", "lost": 2},
        {"version": "v0003", "task": "Forks", "lost": 1},
    ]
    first = verdict.evidence["lost"][0]
    assert (first["version"], first["task"], first["expected"], first["after"]) == ("v0001", "Cups", ["gold"], "lead")
    assert earlier_verdict("c", "Spoons", asked, RetentionSettings(earlier_losses=3)).passed


@pytest.mark.parametrize(("limit", "passes"), [(None, True), (0.2, True), (0.5, True), (0.19, False), (0, False)])
def test_drift_is_measured_and_stops_only_above_its_limit(limit: float | None, passes: bool) -> None:
    before, after = (Drift("a", "s", mean, 3 * mean, 20, NOW) for mean in (0.1, 0.2))
    verdict = drift_verdict("c", before, after, RetentionSettings(max_drift=limit))
    assert verdict.passed == passes
    assert verdict.evidence == {
        "tokens": 20, "mean_kl": 0.2, "worst_kl": pytest.approx(0.6), "mean_kl_before": 0.1, "max_drift": limit,
    }  # fmt: skip
