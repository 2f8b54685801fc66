from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domains.domain import TrainingExample, loss_starts_of
from engine.domains.knowledge.compile import compile_sequences
from engine.domains.knowledge.domain import KnowledgeDomain
from engine.loop.operator_edit import OperatorEdit, edit_from_payload, edited_examples
from store.errors import WrongUseError
from store.records import Candidate, Task

DOMAIN = KnowledgeDomain("rewrite", "default", 16)
TASK = Task("t", "Acme", "Acme ships in 30 days.", "acme.md", "now")
ORIGINAL = Candidate("c", 1, "t", 0, "train", "rewrite", "p", "a\nb", {}, 1, "examined", "now", ["A", "B", "C"])


def edited(**changes: Any) -> list[str]:
    examples = edited_examples(edit_from_payload({"candidate": "c", **changes}), ORIGINAL, TASK, DOMAIN)
    assert not loss_starts_of(examples)
    return [example.text for example in examples]


def test_what_is_not_changed_stays() -> None:
    assert edited() == ["A", "B", "C"]
    assert edited(completion=None, sequences=None, off=[]) == ["A", "B", "C"]


def test_sequences_are_switched_off_rewritten_or_recompiled() -> None:
    assert edited(off=[0, 2, 0]) == ["B"]
    assert edited(sequences=["A", "b", "C"], off=[2]) == ["A", "b"]
    compiled = compile_sequences("one\ntwo", title=TASK.title, context=TASK.context)
    assert edited(completion="one\ntwo") == compiled
    assert edited(completion="one\ntwo", off=[0]) == compiled[1:]
    assert edited(completion="one\ntwo", sequences=["as it stands"]) == ["as it stands"]


def test_sequences_that_stay_keep_their_loss_masks() -> None:
    masked = replace(ORIGINAL, loss_starts=[0, 1, 0])
    kept = edited_examples(OperatorEdit("c", off=[0]), masked, TASK, DOMAIN)
    assert kept == [TrainingExample("B", 1), TrainingExample("C", 0)]
    rewritten = edited_examples(OperatorEdit("c", sequences=["A", "b"]), masked, TASK, DOMAIN)
    assert rewritten == [TrainingExample("A"), TrainingExample("b")]


@given(st.sets(st.integers(0, 2)))
def test_off_leaves_the_others_in_order(off: set[int]) -> None:
    if off == {0, 1, 2}:
        with pytest.raises(WrongUseError, match="nothing is left"):
            edited(off=list(off))
    else:
        assert edited(off=list(off)) == [text for index, text in enumerate("ABC") if index not in off]


def test_an_index_that_is_not_there() -> None:
    with pytest.raises(WrongUseError, match="No sequence 3 to switch off: there are 3"):
        edited(off=[0, 3, 7])
    with pytest.raises(WrongUseError, match="nothing is left"):
        edited(sequences=[])


def test_every_problem_of_a_payload_is_named() -> None:
    payload = {"candidate": " ", "completion": 1, "sequences": ["x", ""], "off": [True, -1], "force": 1}
    with pytest.raises(WrongUseError) as caught:
        edit_from_payload(payload)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "force", "candidate", "completion", "sequences", "off",
    ]  # fmt: skip


def test_an_edit_goes_through_a_request_and_back() -> None:
    edit = OperatorEdit("c", completion="x", off=[1])
    assert edit_from_payload(edit.as_payload()) == edit
