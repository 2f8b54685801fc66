from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domains.knowledge.compile import compile_sequences
from engine.domains.knowledge.templates import FORMATS, exam_prompt, prompt_for
from tests.published_run import published_run

LINES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12).map("x".__add__)


def default(completion: str, title: str = "T", context: str = "C") -> list[str]:
    return compile_sequences(completion, title=title, context=context)


def paper(completion: str, title: str = "T", context: str = "C", *, lines: bool = True) -> list[str]:
    return compile_sequences(completion, title=title, context=context, splitting="paper", paper_lines=lines)


@pytest.mark.parametrize(
    ("completion", "sequences"),
    [
        ("one\n\n  two  \n", ["T\none", "T\ntwo"]),
        ("1. one\n12) two\n(3) three\n- four\n* five\n• six", [f"T\n{n}" for n in
         ("one", "two", "three", "four", "five", "six")]),
        ("3.5 million\n1943. was\n-5 degrees\n2 cups",
         ["T\n3.5 million", "T\n1943. was", "T\n-5 degrees", "T\n2 cups"]),
        ("1.\n-\none", ["T\none"]),
        ("one\none\n- one", ["T\none"]),
        ("Question: a?\nAnswer: b", ["Question: a?\nAnswer: b"]),
        ("1. Question 1:  a?\n\n   answer: b\nx", ["Question: a?\nAnswer: b", "T\nx"]),
        ("Q: a?\nA: b\nQ: c?", ["Question: a?\nAnswer: b", "T\nQ: c?"]),
        ("Question: a?\nQuestion: b?\nAnswer: c\nAnswer: d",
         ["T\nQuestion: a?", "Question: b?\nAnswer: c", "T\nAnswer: d"]),
        ("Question:\nAnswer: b\nQuestion: a?\nAnswer:", ["T\nAnswer: b", "T\nQuestion: a?"]),
        ("Quality: good", ["T\nQuality: good"]),
        ("C\nD", ["T\nD"]),
        (" \n", []),
    ],
)  # fmt: skip
def test_default_splitting(completion: str, sequences: list[str]) -> None:
    assert default(completion) == [*sequences, "T\nC"]


@pytest.mark.parametrize(
    ("completion", "sequences"),
    [
        ("1. one\n\n 2. two \none", ["T\n1. one", "T\n2. two", "T\none"]),
        ("Sure, a list:\n1. one\n2. two", ["T\n1. one", "T\n2. two"]),
        ("one\n---\ntwo\nthree", ["T\none", "T\ntwo", "T\nthree"]),
        ("a?\nAnswer: b\n\nQuestion 2: c?\nAnswer: d",
         ["T\nQuestion 1: a?\nAnswer: b", "T\nQuestion 2: c?\nAnswer: d"]),
        ("Question 1: a?\nAnswer: b\n\nQuestion 2: c?\nAnswer: d",
         ["T\nQuestion 1: a?\nAnswer: b\n", "T\nQuestion 2: c?\nAnswer: d"]),
        ("one\none", ["T\none", "T\none"]),
        ("", []),
    ],
)  # fmt: skip
def test_paper_splitting(completion: str, sequences: list[str]) -> None:
    assert paper(completion) == [*sequences, "T\nC"]


def test_paper_splitting_without_lines_cuts_only_at_dashes() -> None:
    assert paper("one\ntwo\n---\nthree", context=" C\n", lines=False) == ["T\none\ntwo", "T\nthree", "T\nC"]
    assert paper(" ", lines=False) == ["T\n", "T\nC"]


@given(st.text(), st.sampled_from(["default", "paper"]))
def test_the_passage_is_always_last(completion: str, splitting: str) -> None:
    compile_one = default if splitting == "default" else paper
    assert compile_one(completion, "Title", "Some context. ")[-1] == "Title\nSome context."


@given(st.text())
def test_default_sequences_are_different_and_none_is_empty(completion: str) -> None:
    sequences = default(completion)
    assert len(set(sequences)) == len(sequences)
    for sequence in sequences:
        head, _, rest = sequence.partition("\n")
        assert head == "T" or (head.startswith("Question: ") and rest.startswith("Answer: "))
        assert rest.strip()


@given(st.lists(LINES, max_size=6))
def test_list_marks_change_no_default_sequence(lines: list[str]) -> None:
    plain = default("\n".join(lines))
    assert default("\n".join(f"{number}. {line}" for number, line in enumerate(lines, start=1))) == plain
    assert default("\n\n".join(f"  - {line} " for line in lines)) == plain


@given(st.lists(st.tuples(LINES, LINES), max_size=4))
def test_each_question_stays_with_its_answer(pairs: list[tuple[str, str]]) -> None:
    completion = "\n\n".join(f"Question: {question}\nAnswer: {answer}" for question, answer in pairs)
    wanted = [exam_prompt(question) + f" {answer}" for question, answer in pairs]
    assert default(completion)[:-1] == list(dict.fromkeys(wanted))


def test_templates_are_filled_literally_and_once() -> None:
    title, context = "{context} {0}", "{title} {question} {} %s \\1"
    for edit_format in FORMATS:
        prompt = prompt_for(edit_format, title, context)
        assert prompt.count(title) == 1
        assert f"Passage:\n{title}\n{context}\n\n" in prompt
    assert exam_prompt("{title}?") == "Question: {title}?\nAnswer:"


def test_the_prompt_for_implications_is_seals() -> None:
    for article in published_run()["articles"]:
        assert prompt_for("implications", article["title"], article["context"]) == article["prompt"]
