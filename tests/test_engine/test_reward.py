from __future__ import annotations

from fractions import Fraction
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.loop.reward import accuracy, mean_and_spread, measure_reward, reward_of_answers, verdict_rows
from store.records import Answer, Phase


@st.composite
def exams(draw: st.DrawFn) -> tuple[list[list[bool]], list[list[bool]]]:
    width = draw(st.integers(1, 6))
    rows = st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=1, max_size=4)
    return draw(rows), draw(rows)


def answer(question: str, *, correct: bool, repeat: int = 0, phase: Phase = "after") -> Answer:
    return Answer(question, "c", repeat, phase, "x", "text", float(correct), correct)


def test_a_reward_is_the_mean_gain_with_its_sample_spread() -> None:
    reward = measure_reward([[True, False, False, False]], [[True, True, False, False], [True, True, True, False]])
    assert reward.accuracy_before == 0.25
    assert reward.accuracy_after_per_repeat == (0.5, 0.75)
    assert reward.gain_per_repeat == (0.25, 0.5)
    assert reward.mean == 0.375
    assert reward.std == pytest.approx(stdev([0.25, 0.5]))


@given(exams())
def test_bounds_and_agreement_of_the_figures(exam: tuple[list[list[bool]], list[list[bool]]]) -> None:
    reward = measure_reward(*exam)
    assert -1 <= reward.mean <= 1
    assert reward.std >= 0
    assert len(reward.gain_per_repeat) == len(exam[1])
    assert reward.mean == pytest.approx(sum(reward.gain_per_repeat) / len(exam[1]))
    if len(exam[1]) == 1:
        assert reward.std == 0


@given(exams())
def test_a_model_that_did_not_change_has_a_reward_of_exactly_zero(
    exam: tuple[list[list[bool]], list[list[bool]]],
) -> None:
    assert measure_reward(exam[0], exam[0]).mean == 0.0


@given(exams())
def test_the_sign_of_a_reward_is_that_of_the_exact_count(exam: tuple[list[list[bool]], list[list[bool]]]) -> None:
    before, after = (Fraction(sum(map(sum, rows)), len(rows)) for rows in exam)
    reward = measure_reward(*exam)
    assert (reward.mean > 0) == (after > before)
    assert (reward.mean < 0) == (after < before)


@pytest.mark.parametrize(
    ("before", "after"), [([], [[True]]), ([[True]], []), ([[]], [[]]), ([[True]], [[True, False]])]
)
def test_a_reward_needs_the_same_questions(before: list[list[bool]], after: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="verdicts before and after"):
        measure_reward(before, after)


def test_means_need_values() -> None:
    assert mean_and_spread([0.5]).std == 0
    with pytest.raises(ValueError, match="needs values"):
        mean_and_spread([])
    with pytest.raises(ValueError, match="needs answers"):
        accuracy([])


def test_only_the_requested_questions_count() -> None:
    before = [answer("a", correct=False, phase="before"), answer("audit", correct=True, phase="before")]
    after = [answer("audit", correct=False), answer("a", correct=True), answer("a", correct=False, repeat=1)]
    after.append(answer("audit", correct=False, repeat=1))
    assert reward_of_answers(before, after, ["a"]).gain_per_repeat == (1.0, 0.0)
    assert reward_of_answers(before, after, ["audit"]).mean == -1.0


def test_a_missing_or_double_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="question b has no answer in repeat 1"):
        verdict_rows([answer("a", correct=True, repeat=1)], ["a", "b"])
    with pytest.raises(ValueError, match="question a has two answers in repeat 0"):
        verdict_rows([answer("a", correct=True), answer("a", correct=True)], ["a"])
