"""Examples for an alarm: of a few tasks what was written, and what was asked, wanted and mostly answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.alarms.majority import majority_answers
from store.candidates import answers_of, list_candidates
from store.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

_LONGEST = 400  # characters of a text in the evidence


def examples(db: Database, round_number: int, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return one example of each task: its title, the first self-edit, a question, its answer and the commonest one."""
    return [_example(db, round_number, task) for task in tasks]


def _example(db: Database, round_number: int, task_id: str) -> dict[str, Any]:
    task = get_task(db, task_id)
    written = list_candidates(db, round_number=round_number, task_id=task_id, role="train", derived=False)
    given = [(a.question_id, a.text) for one in written for a in answers_of(db, one.id) if a.phase == "after"]
    majority = majority_answers(given)
    asked = next((question for question in task.questions if question.id in majority), None)
    return {
        "task": task.title,
        "candidate": written[0].id if written else None,
        "self_edit": written[0].completion[:_LONGEST] if written else "",
        "question": asked.text[:_LONGEST] if asked else "",
        "wanted": asked.answers[0][:_LONGEST] if asked else "",
        "commonest": majority[asked.id][:_LONGEST] if asked else "",
    }
