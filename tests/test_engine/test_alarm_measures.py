"""The measures of a round: properties for any candidates and answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.alarms.measures import AnswerSample, Measures, SelfEditSample, majority_answers, measure
from engine.lab.collapse.methods import Vote, self_labelled_rewards

TEXT = st.sampled_from(["Oslo", "oslo", "Bergen", "the Oslo", "", "nine"])
SHARE = st.none() | st.floats(-1, 1)
WRITTEN = st.builds(SelfEditSample, st.sampled_from("ab"), st.just("read this text here"), TEXT, SHARE, SHARE)


@st.composite
def answers(draw: st.DrawFn) -> list[AnswerSample]:
    questions = [("a", "a1"), ("a", "a2"), ("b", "b1")]
    drawn = draw(st.lists(st.tuples(st.sampled_from(questions), TEXT, st.booleans()), max_size=12))
    return [
        AnswerSample(task, question, f"gold {question}", text, right, question == "a2")
        for (task, question), text, right in drawn
    ]


@given(st.lists(WRITTEN, max_size=8), answers(), st.lists(st.tuples(st.sampled_from("cd"), st.booleans())))
def test_shares_are_shares_and_a_figure_exists_only_if_something_was_measured(
    written: list[SelfEditSample], given_: list[AnswerSample], held_out: list[tuple[str, bool]]
) -> None:
    found = measure(1, "c", written, given_, held_out)
    for by_task in (found.likeness, found.echo, found.agreement, found.audit, found.held_out):
        assert all(0 <= value <= 1 for value in by_task.values())
    assert set(found.length) == {one.task for one in written}
    assert set(found.agreement) == {one.task for one in given_}
    assert set(found.held_out) == {task for task, _ in held_out}
    assert found.questions == len({one.question for one in given_})
    assert (found.one_answer is None) == (found.one_expected is None) == (not given_)
    assert all((mean is None) == (not getattr(found, name)) for name, mean in found.means().items() if name == "audit")
    assert Measures(**json.loads(json.dumps(found.as_json()))) == found


@given(st.lists(st.tuples(st.sampled_from(["q1", "q2"]), TEXT), max_size=12))
def test_the_majority_answer_is_one_of_the_answers_and_none_is_commoner_whatever_the_order(
    given_: list[tuple[str, str]],
) -> None:
    found = majority_answers(given_)
    assert found == majority_answers(given_[::-1])
    assert set(found) == {question for question, _ in given_}
    agreed = measure(
        1, "c", [], [AnswerSample("t", q, "g", text, correct=False, is_audit=False) for q, text in given_], []
    )
    assert not given_ or agreed.agreement["t"] >= 1 / len({text for _, text in given_})


@given(st.lists(st.tuples(st.sampled_from(["c1", "c2", "c3"]), st.sampled_from(["q1", "q2"]), TEXT), max_size=12))
def test_the_mean_self_labelled_reward_is_the_agreement(cast: list[tuple[str, str, str]]) -> None:
    rewards = self_labelled_rewards(Vote(*one) for one in cast)
    assert set(rewards) == {candidate for candidate, _, _ in cast}
    given_ = [AnswerSample("t", question, "g", text, correct=False, is_audit=False) for _, question, text in cast]
    votes = {candidate: sum(one[0] == candidate for one in cast) for candidate in rewards}
    weighted = sum(rewards[one] * votes[one] for one in rewards)
    agreement = measure(1, "c", [], given_, []).agreement
    assert not cast or agreement["t"] == pytest.approx(weighted / len(cast))


def test_a_round_is_measured_by_task_and_over_all_questions() -> None:
    written = [
        SelfEditSample("a", "the shop opens at nine today", "The shop opens at nine.", 0.5, 0.25),
        SelfEditSample("a", "the shop opens at nine today", "The shop opens at nine.", 0.0, None),
        SelfEditSample("b", "p", "One two three.", None, None),
    ]
    given_ = [
        AnswerSample("a", "q1", "Oslo", "Oslo", correct=True, is_audit=False),
        AnswerSample("a", "q1", "Oslo", "Bergen", correct=False, is_audit=False),
        AnswerSample("a", "q1", "Oslo", "bergen!", correct=False, is_audit=False),
        AnswerSample("a", "q2", "ten", "Bergen", correct=False, is_audit=True),
        AnswerSample("b", "q3", "red", "blue", correct=False, is_audit=True),
    ]
    found = measure(3, "c", written, given_, [("h", True), ("h", False), ("i", False)])
    assert (found.likeness, found.echo) == ({"a": 1.0}, {"a": 1.0})
    assert found.length == {"a": 5.0, "b": 3.0}
    assert found.agreement == {"a": pytest.approx(3 / 4), "b": 1.0}
    assert (found.audit, found.held_out) == ({"a": 0.0, "b": 0.0}, {"h": 0.5, "i": 0.0})
    assert (found.reward, found.audit_gain) == ({"a": 0.25}, {"a": 0.25})
    assert found.commonest == "bergen"
    assert [found.one_answer, found.one_expected] == [pytest.approx(2 / 3), pytest.approx(1 / 3)]
    assert found.means()["length"] == 4.0
