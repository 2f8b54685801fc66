"""The kind `leak`: how much of an audit question is in the training text."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from engine.guardrails.leak import copied_share
from tests.test_engine.guardrail_texts import rule, task_with, verdict

RUN = st.lists(st.sampled_from("abcdef"), max_size=10).map(tuple)


@given(RUN, st.lists(RUN, max_size=3), RUN, st.integers(1, 4))
def test_a_copied_share_is_a_share_and_grows_only_with_the_training_text(
    exam: tuple[str, ...], trained: list[tuple[str, ...]], document: tuple[str, ...], words: int
) -> None:
    share = copied_share(exam, trained, document, words)
    assert 0 <= share <= 1
    assert share <= copied_share(exam, [*trained, exam], document, words)
    assert copied_share(exam, trained, exam, words) == 0
    assert copied_share(exam, [], document, words) == 0
    if copied_share(exam, [exam], document, words):
        assert copied_share(exam, [exam], document, words) == 1


AUDIT = [("Which colour does the Zorvex cup have?", "blue"), ("Who made it?", "Ada")]


def test_an_audit_question_that_is_trained_on_is_found_with_its_share() -> None:
    task = task_with("The Zorvex cup is a cup. Its colour is blue.", audit=AUDIT)
    copied = "Question: Which colour does the Zorvex cup have?\nAnswer: blue"
    finding = verdict(rule("leak"), "", ["Title\nThe cup is blue.", copied], task)
    (match,) = finding.evidence["matches"]
    assert match["what"] == "audit question 100 % copied"
    assert match["text"] == AUDIT[0][0]
    assert finding.evidence["measured"] == {"audit_questions": 2, "largest_share": 1.0}
    assert finding.rule.verdict == "note"
    assert not finding.denied


def test_text_of_the_document_itself_is_not_a_leak() -> None:
    task = task_with("Which colour does the Zorvex cup have? Blue. Who made it? Ada.", audit=AUDIT)
    asked = [f"{question} {answer}" for question, answer in AUDIT]
    assert verdict(rule("leak", max_share=0), "", asked, task).passed
    assert verdict(rule("leak", max_share=0), "", asked).passed
    rewarded = task_with("", audit=AUDIT)
    questions = [replace(question, split="reward") for question in rewarded.questions]
    assert verdict(rule("leak", max_share=0), "", asked, replace(rewarded, questions=questions)).passed


def test_the_threshold_of_a_leak_is_an_option() -> None:
    task = task_with("", audit=AUDIT[:1])
    half = ["which colour does the zorvex plate"]
    share = verdict(rule("leak"), "", half, task).evidence["measured"]["largest_share"]
    assert 0 < share < 0.5
    assert verdict(rule("leak"), "", half, task).passed
    assert not verdict(rule("leak", max_share=share - 0.01), "", half, task).passed
    assert not verdict(rule("leak", words=2), "", half, task).passed
