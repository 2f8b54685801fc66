"""From checked drafts to the store's records, with identities that follow from the content alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.tasks.split import split_questions
from store.hashing import hash_json
from store.records import Question, Task

if TYPE_CHECKING:
    from engine.tasks.drafts import QuestionDraft, TaskDraft


def task_record(draft: TaskDraft, *, audit_share: float, added_at: str) -> Task:
    """Make a task with its questions.

    The task's id is the hash of title, context and questions with their answers, graders and demanded sides. The id
    of a question holds the task's, since a question belongs to one task in the store; its side of the split does not.
    """
    task_id = hash_json([draft.title, draft.context, [_identity(question) for question in draft.questions]])
    sides = split_questions(draft.title, [(question.text, question.split) for question in draft.questions], audit_share)
    questions = [
        Question(
            id=hash_json([task_id, question.text, question.answers]),
            task_id=task_id,
            position=position,
            text=question.text,
            answers=question.answers,
            grader=question.grader,
            grader_options=question.options,
            split=side,
        )
        for position, (question, side) in enumerate(zip(draft.questions, sides, strict=True))
    ]
    return Task(
        id=task_id,
        title=draft.title,
        context=draft.context,
        source=draft.place,
        added_at=added_at,
        document_id=draft.source.document.id if draft.source.document else None,
        questions=questions,
    )


def _identity(question: QuestionDraft) -> list[object]:
    return [question.text, question.answers, question.grader, question.options, question.split]
