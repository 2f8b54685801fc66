"""What must hold for tasks to be of use: checked over all tasks together, every problem with its place.

It judges form, not sense: whether the context answers its questions is for the operator to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.graders.registry import check_options, find_grader, is_built_in
from engine.tasks.drafts import QuestionDraft, TaskDraft, question_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from store.records import Task


def check_drafts(
    drafts: Sequence[TaskDraft], *, count_tokens: Callable[[str], int] | None, max_context_tokens: int | None
) -> list[str]:
    """Return everything that is wrong with tasks, in the order of the tasks."""
    problems: list[str] = []
    seen: dict[tuple[str, str], str] = {}
    for draft in drafts:
        problems += _check_texts(draft)
        problems += _check_length(draft, count_tokens, max_context_tokens)
        problems += _check_questions(draft)
        problems += _check_repeated(draft, seen)
    return problems


def check_grader(question: QuestionDraft) -> Iterator[str]:
    """Say what is wrong with a question's options, or with answers that its own grader calls wrong."""
    problems = check_options(question.grader, question.options)
    yield from (f"{question.place}: {problem}" for problem in problems)
    if problems or not is_built_in(question.grader):
        return
    grader = find_grader(question.grader)
    for answer in question.answers:
        if not grader.grade(answer, [answer], question.options).correct:
            yield f"{question.place}: the answer {answer!r} is wrong by its own grader '{question.grader}'"


def same_tasks(tasks: Sequence[Task], places: Sequence[str]) -> dict[int, str]:
    """Return the index of each task that is the same as an earlier one, with the problem in words."""
    first: dict[str, str] = {}
    problems: dict[int, str] = {}
    for index, (task, place) in enumerate(zip(tasks, places, strict=True)):
        if task.id in first:
            problems[index] = f"{place}: the same task as {first[task.id]}"
        first.setdefault(task.id, place)
    return problems


def _check_texts(draft: TaskDraft) -> Iterator[str]:
    if not draft.title.strip() and isinstance(draft.source_value("title"), str):
        yield f"{draft.source.place(('title',))}: the title is empty"
    elif len(draft.title.splitlines()) > 1:
        yield f"{draft.source.place(('title',))}: the title must be a single line"
    if not draft.context.strip() and isinstance(draft.source_value("context"), str):
        yield f"{draft.source.place(('context',))}: the context is empty"


def _check_length(
    draft: TaskDraft, count_tokens: Callable[[str], int] | None, max_context_tokens: int | None
) -> Iterator[str]:
    if count_tokens is None or max_context_tokens is None:
        return
    length = count_tokens(f"{draft.title}\n{draft.context}")
    if length > max_context_tokens:
        yield (
            f"{draft.place}: title and context are {length} tokens long, but the model's window leaves room for "
            f"{max_context_tokens}"
        )


def _check_questions(draft: TaskDraft) -> Iterator[str]:
    if draft.source_value("questions") == []:
        yield f"{draft.source.place(('questions',))}: the task has no question"
    for question in draft.questions:
        if not question.text.strip():
            yield f"{question.place}: the question is empty"
        if not question.answers:
            yield f"{question.place}: has no answer"
        if any(not answer.strip() for answer in question.answers):
            yield f"{question.place}: an answer is empty"
        else:
            yield from check_grader(question)
    if draft.questions and all(question.split == "audit" for question in draft.questions):
        yield f"{draft.place}: all questions are for the audit; at least one must give the reward"


def _check_repeated(draft: TaskDraft, seen: dict[tuple[str, str], str]) -> Iterator[str]:
    own: dict[tuple[str, str], str] = {}
    repeated = []
    for question in draft.questions:
        key = (question_key(draft.context), question_key(question.text))
        if key in seen or key in own:
            repeated.append(f"{question.place}: the same context and question as {(own | seen)[key]}")
        own.setdefault(key, question.place)
    earlier = {key: place for key, place in own.items() if key not in seen}
    seen.update(earlier)
    yield from repeated
