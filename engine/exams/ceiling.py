"""The ceiling of tasks: what the base answers right with the context in view.

An exam that the base cannot pass even then measures nothing, and one that it passes without any update leaves nothing
to gain. Both are said before a round spends hours on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.share import Share
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from store.records import Answer, Task

_SHOWN = 3  # titles in a sentence


@dataclass(frozen=True, slots=True)
class TaskCeiling:
    """How many of a task's reward questions are answered right with the context in view, and without it by what is
    live.
    """

    task: Task
    questions: int
    right_open: int
    right_closed: int


def ceiling_of(task: Task, opened: Mapping[str, Answer], closed: Mapping[str, Answer]) -> TaskCeiling:
    """Return a task's ceiling; every reward question has an answer with the context in view, and one without."""
    ids = [question.id for question in task.questions if question.split == "reward"]
    return TaskCeiling(task, len(ids), sum(opened[one].correct for one in ids), sum(closed[one].correct for one in ids))


def describe_ceilings(ceilings: Sequence[TaskCeiling]) -> Iterator[str]:
    """Yield what an operator should know before a round begins."""
    questions = sum(one.questions for one in ceilings)
    if not questions:
        return
    opened = Share(sum(one.right_open for one in ceilings), questions, len(ceilings))
    closed = Share(sum(one.right_closed for one in ceilings), questions, len(ceilings))
    yield (
        f"Ceiling: with the context in view, the base answers {opened.in_words()}; "
        f"without it, the live model answers {closed.in_words()}."
    )
    known = known_already(ceilings)
    if known:
        yield f"Nothing can be gained on {_named(known)}: all reward questions are answered right already."
    beyond = beyond_reach(ceilings)
    if beyond:
        yield (
            f"Not one reward question of {_named(beyond)} is answered right even with the context in view: the "
            "questions may be too hard for this model, or their grader too strict. Look: seal-console tasks show "
            f"{beyond[0].task.id.removeprefix('sha256:')[:8]}"
        )


def known_already(ceilings: Sequence[TaskCeiling]) -> list[TaskCeiling]:
    """Return the tasks on which nothing can be gained."""
    return [one for one in ceilings if one.questions and one.right_closed == one.questions]


def beyond_reach(ceilings: Sequence[TaskCeiling]) -> list[TaskCeiling]:
    """Return the tasks of which nothing is answered right even with the context in view."""
    return [one for one in ceilings if one.questions and not one.right_open and one.right_closed < one.questions]


def _named(ceilings: Sequence[TaskCeiling]) -> str:
    titles = ", ".join(f"“{one.task.title}”" for one in ceilings[:_SHOWN])
    more = f" and {len(ceilings) - _SHOWN} more" if len(ceilings) > _SHOWN else ""
    return f"{counted(len(ceilings), 'task')} ({titles}{more})"
