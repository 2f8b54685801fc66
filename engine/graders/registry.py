"""All graders by name: the built-in ones and those that installed packages offer as entry points.

A grader that is unknown, fails, or returns something that is not a grade is an error that names the question, never a
silent zero. An empty answer scores zero before any grader sees it.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from engine.graders.interface import ZERO, Grade, Grader, is_number
from engine.graders.number import NumberGrader
from engine.graders.text_graders import ContainsGrader, ExactGrader, RegexGrader, SquadGrader, TokenF1Grader
from store.errors import SealError, WrongUseError
from store.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from store.records import Question

DEFAULT_GRADER = "exact"
_LONGEST_SHOWN = 80  # characters of an answer in a message
ENTRY_POINT_GROUP = "seal_console.graders"
_BUILT_IN: Mapping[str, Grader] = {
    grader.name: grader
    for grader in (ExactGrader(), ContainsGrader(), SquadGrader(), TokenF1Grader(), RegexGrader(), NumberGrader())
}
_loaded_plug_ins: dict[str, Grader] = {}


class GraderError(SealError):
    """A grader did not return a grade."""


def grader_names() -> list[str]:
    """Return the names of all graders, sorted; plug-ins are listed without being loaded."""
    return sorted({*_BUILT_IN, *(point.name for point in metadata.entry_points(group=ENTRY_POINT_GROUP))})


def find_grader(name: str) -> Grader:
    """Return a grader; raises WrongUseError for an unknown name, GraderError for a plug-in that cannot be used."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name not in _loaded_plug_ins:
        _loaded_plug_ins[name] = _load_plug_in(name)
    return _loaded_plug_ins[name]


def unknown_grader(name: str) -> str:
    """Say that a grader is unknown, with the nearest known name."""
    return f"unknown grader '{name}'; {suggestion(name, grader_names())}"


def check_options(name: str, options: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a grader's options, or with the grader itself if it cannot be used."""
    try:
        return find_grader(name).check_options(options)
    except SealError as error:
        return [error.message]
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything; it becomes a problem of the question
        return [f"grader '{name}' failed on the options: {error!r}"]


def grader_problems(
    name: str, options: Mapping[str, Any], answers: Sequence[str]
) -> list[tuple[Literal["grader", "options", "answers"], str]]:
    """Return what is wrong with a grader, with its options, or with accepted answers that it would mark wrong itself.

    Answers are tried with built-in graders only: these are fast, need no network and always grade alike.
    """
    try:
        find_grader(name)
    except SealError as error:
        return [("grader", error.message)]
    problems = check_options(name, options)
    if problems or name not in _BUILT_IN:
        return [("options", problem) for problem in problems]
    grader = _BUILT_IN[name]
    try:
        wrong = [answer for answer in answers if not grader.grade(answer, [answer], options).correct]
    except TimeoutError:
        return [
            ("options", f"grader '{name}' takes more than a second on an accepted answer; make the pattern simpler")
        ]
    return [
        ("answers", f"the answer {answer[:_LONGEST_SHOWN]!r} is wrong by its own grader '{name}'") for answer in wrong
    ]


def grade_answer(question: Question, answer: str) -> Grade:
    """Grade one answer; raises WrongUseError or GraderError that name the question."""
    try:
        grader = find_grader(question.grader)
    except SealError as error:
        raise type(error)(f"{_name(question)}: {error.message}", next_step=error.next_step) from error
    if not answer.strip():
        return ZERO
    try:
        grade = grader.grade(answer, question.answers, question.grader_options)
    except Exception as error:
        raise GraderError(
            f"{_name(question)}: grader '{question.grader}' failed: {error!r}",
            next_step="Correct the question's options or the grader, then run again.",
        ) from error
    if not _is_grade(grade):
        raise GraderError(
            f"{_name(question)}: grader '{question.grader}' returned {grade!r}, which is not a grade from 0 to 1",
            next_step="Correct the grader, then run again.",
        )
    return grade


def _load_plug_in(name: str) -> Grader:
    points = [point for point in metadata.entry_points(group=ENTRY_POINT_GROUP) if point.name == name]
    if not points:
        raise WrongUseError(unknown_grader(name), next_step="Name another grader, or install its package.")
    if len(points) > 1:
        raise GraderError(f"grader '{name}' is offered by several packages: {', '.join(p.value for p in points)}")
    try:
        offered = points[0].load()
        grader = offered() if isinstance(offered, type) else offered
    except Exception as error:
        raise GraderError(f"grader '{name}' ({points[0].value}) cannot be loaded: {error!r}") from error
    if not isinstance(grader, Grader):
        raise GraderError(f"grader '{name}' ({points[0].value}) lacks name, check_options or grade")
    return grader


def _name(question: Question) -> str:
    return f"question {question.position + 1} of task {question.task_id} ({question.text!r})"


def _is_grade(grade: object) -> bool:
    return (
        isinstance(grade, Grade)
        and isinstance(grade.correct, bool)
        and is_number(grade.score)
        and 0 <= grade.score <= 1
    )
