from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.graders import registry
from engine.graders.interface import FULL, Grade, Options
from engine.graders.number import first_number
from engine.graders.registry import GraderError, check_options, find_grader, grade_answer, grader_names
from store.errors import WrongUseError
from store.records import Question

if TYPE_CHECKING:
    from collections.abc import Sequence

BUILT_IN = {"exact": {}, "contains": {}, "token_f1": {}, "regex": {"pattern": r"\d+"}, "number": {}}


def question(grader: str, *accepted: str, **options: Any) -> Question:
    return Question("q", "t", 2, "How long?", list(accepted), grader, options, "reward")


def is_right(grader: str, answer: str, *accepted: str, **options: Any) -> bool:
    return grade_answer(question(grader, *accepted, **options), answer).correct


@pytest.mark.parametrize(
    ("grader", "answer", "accepted", "options", "right"),
    [
        ("exact", "The 30 days.", ["30 days"], {}, True),
        ("exact", "30 days or so", ["30 days"], {}, False),
        ("exact", "14", ["30", "14"], {}, True),
        ("exact", "the", ["A"], {}, False),
        ("exact", "a", ["A"], {}, True),
        ("contains", "It is now 30 days.", ["30 days"], {}, True),
        ("contains", "It is now 130 days.", ["30 days"], {}, False),
        ("contains", "days 30", ["30 days"], {}, False),
        ("contains", ":", ["..."], {}, False),
        ("token_f1", "thirty long days", ["long days"], {}, True),
        ("token_f1", "thirty long days", ["long days"], {"threshold": 0.9}, False),
        ("token_f1", "weeks", ["30 days"], {}, False),
        ("regex", "in 30 DAYS", ["30 days"], {"pattern": r"\b30 days?"}, True),
        ("regex", "in 30 DAYS", ["30 days"], {"pattern": r"\b30 days?", "ignore_case": False}, False),
        ("regex", "in 30 days", ["30 days"], {"pattern": r"30 days?", "whole": True}, False),
        ("regex", " 30 days\n", ["30 days"], {"pattern": r"30 days?", "whole": True}, True),
        ("number", "about 30 days", ["30"], {}, True),
        ("number", "31", ["30"], {"abs_tolerance": 1}, True),
        ("number", "32", ["30"], {"abs_tolerance": 1}, False),
        ("number", "−5.5 °C", ["-5"], {"rel_tolerance": 0.1}, True),
        ("number", "$1,234.50 in all", ["1234.5"], {}, True),
        ("number", "0.3", ["0.1"], {"abs_tolerance": 0.2}, True),
        ("number", "thirty", ["30"], {}, False),
    ],
)
def test_a_grade(grader: str, answer: str, accepted: list[str], options: dict[str, Any], *, right: bool) -> None:
    assert check_options(grader, options) == []
    assert is_right(grader, answer, *accepted, **options) is right


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("in 2015-2016", 2015), ("COVID-19", 19), ("B12 and 7", 7), ("1.2.3 then 4", 4), ("1,5 then 2", 2),
        ("12,345", 12345), ("1'000", 1000), ("1\u202f000", 1000), ("+3", 3), (".5", 0.5), ("2e3", 2000),
        ("5.", 5), ("5, 6", 5), ("30kg", 30), ("-$4", -4), ("1,234,56", None), ("none", None), ("", None),
    ],
)  # fmt: skip
def test_the_first_number(text: str, number: float | None) -> None:
    assert first_number(text) == number


@given(st.integers(-(10**12), 10**12))
def test_a_number_is_read_with_and_without_separators(value: int) -> None:
    assert first_number(f"it is {value} units") == value
    assert first_number(f"it is {value:,} units") == value


@given(st.text(max_size=80), st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3))
def test_every_grade_is_from_zero_to_one(answer: str, accepted: list[str]) -> None:
    for name, options in BUILT_IN.items():
        grade = grade_answer(question(name, *accepted, **options), answer)
        assert 0 <= grade.score <= 1


@given(st.sampled_from(["", " ", "\n\t", "\u00a0"]), st.text(max_size=10))
def test_an_empty_answer_scores_zero_in_every_grader(answer: str, accepted: str) -> None:
    for name, options in BUILT_IN.items():
        assert grade_answer(question(name, accepted, **options), answer) == Grade(0.0, correct=False)
        assert find_grader(name).grade(answer, [accepted], options) == Grade(0.0, correct=False)


@given(st.text(min_size=1, max_size=40).filter(lambda text: text.strip() != ""))
def test_a_accepted_answer_is_correct_by_every_text_grader(accepted: str) -> None:
    for name in ("exact", "contains", "token_f1"):
        assert is_right(name, accepted, "something else", accepted)


@pytest.mark.parametrize(
    ("grader", "options", "problem"),
    [
        ("exact", {"treshold": 1}, "unknown option 'treshold'"),
        ("token_f1", {"threshold": 0}, "threshold must be"),
        ("token_f1", {"threshold": True}, "threshold must be"),
        ("number", {"abs_tolerance": "lots"}, "abs_tolerance must be"),
        ("number", {"rel_tolerance": -1}, "rel_tolerance must be"),
        ("number", {"rel_tolerance": float("nan")}, "rel_tolerance must be"),
        ("regex", {}, "pattern is missing"),
        ("regex", {"pattern": "["}, "pattern is not a regular expression"),
        ("regex", {"pattern": "(a+)+b"}, "may take forever"),
        ("regex", {"pattern": "(?:x(a|b))*c"}, "may take forever"),
        ("regex", {"pattern": "(a?){30}c"}, "may take forever"),
        ("regex", {"pattern": "a*"}, "matches the empty answer"),
        ("regex", {"pattern": "a" * 301}, "longer than 300"),
        ("regex", {"pattern": "a", "whole": "yes"}, "whole must be true or false"),
        ("exakt", {}, "unknown grader 'exakt'; did you mean 'exact'?"),
        ("zzz", {}, "unknown grader 'zzz'; known: contains, exact, number, regex, squad, token_f1"),
    ],
)
def test_a_problem_with_options(grader: str, options: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in check_options(grader, options))


@pytest.mark.parametrize("pattern", [r"\(a+\)+b", r"[(a+)]+b", r"\d{1,3}(?:,\d{3})*", r"(?i:yes|no)", r"(?P<n>\d+) x"])
def test_tame_patterns_are_allowed(pattern: str) -> None:
    assert check_options("regex", {"pattern": pattern}) == []


def test_long_answers_are_graded_to_their_end() -> None:
    padding = "word " * 2000
    assert grade_answer(question("number", "42"), f"{padding}42").correct
    assert grade_answer(question("regex", "x", pattern=r"the end\.$"), f"{padding}the end.").correct
    assert not grade_answer(question("regex", "x", pattern="word", whole=True), padding).correct


def test_a_search_that_takes_too_long_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.graders.text_graders.SEARCH_S", 0.01)
    slow = question("regex", "x", pattern=r".*.*.*.*.*\d")
    with pytest.raises(GraderError, match="TimeoutError"):
        grade_answer(slow, "a" * 5000)


class PluginGrader:
    """A plug-in whose behaviour a test chooses."""

    name = "plugged"

    def __init__(self, result: object = FULL) -> None:
        self.result = result

    def check_options(self, options: Options) -> list[str]:
        if options:
            raise RuntimeError("no options here")
        return []

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:  # noqa: ARG002
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[return-value]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Entry points of graders by name: what a test puts in is what installed packages offer."""
    objects: dict[str, object] = {}

    class Point:
        def __init__(self, name: str) -> None:
            self.name, self.value = name, f"package:{name}"

        def load(self) -> object:
            return objects[self.name]

    monkeypatch.setattr(metadata, "entry_points", lambda *, group: [Point(name) for name in objects if group])
    monkeypatch.setattr(registry, "_loaded_plug_ins", {})
    return objects


def test_a_plug_in_is_found_as_a_class_and_as_an_object(offered: dict[str, object]) -> None:
    offered["plugged"] = PluginGrader
    offered["other"] = PluginGrader(Grade(0.25, correct=False))
    assert {"plugged", "other", "exact"} <= set(grader_names())
    assert grade_answer(question("plugged", "x"), "y") == FULL
    assert grade_answer(question("other", "x"), "y").score == 0.25
    assert grade_answer(question("plugged", "x"), "  ").score == 0
    assert check_options("plugged", {"a": 1}) == [
        "grader 'plugged' failed on the options: RuntimeError('no options here')"
    ]


@pytest.mark.parametrize(
    "result",
    [RuntimeError("boom"), None, 1.0, Grade(1.5, correct=True), Grade(float("nan"), correct=False), Grade(1, 1)],  # type: ignore[arg-type]
)
def test_a_failing_grader_is_an_error_that_names_the_question(offered: dict[str, object], result: object) -> None:
    offered["plugged"] = PluginGrader(result)
    with pytest.raises(GraderError, match=r"question 3 of task t \('How long\?'\): grader 'plugged'"):
        grade_answer(question("plugged", "x"), "y")


def test_an_unknown_grader_is_an_error_that_names_the_question_even_for_an_empty_answer() -> None:
    with pytest.raises(WrongUseError, match=r"question 3 of task t .*unknown grader 'exat'; did you mean 'exact'\?"):
        grade_answer(question("exat", "x"), "")


def test_a_plug_in_that_is_not_a_grader_or_does_not_load_is_an_error(offered: dict[str, object]) -> None:
    offered["plugged"] = object()
    with pytest.raises(GraderError, match="lacks name, check_options or grade"):
        find_grader("plugged")
