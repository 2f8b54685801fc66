"""Makes the store's records of valid tasks: ids that depend on the content alone, and the split of the questions.

A question's side of the split depends on its own content, so it stays when others are added after it. The first
question of a task that does not name its side always gives the reward, so a question added before it may move that one.
(No rule that ignores the order can guarantee both that nothing moves and that there is always a reward question.)
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from store.hashing import canonical_json, hash_json
from store.records import Question, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.tasks.task_input import TaskDraft
    from store.records import Split


def task_record(draft: TaskDraft, *, audit_share: float, added_at: str) -> Task:
    """Make a task with its questions.

    The task's id is the hash of title, context and questions with their answers, graders and named sides. A question's
    id includes the task's, since a question belongs to one task in the store; it does not include the side of the
    split.
    """
    questions = [question for _, question in draft.questions]
    identities = [[one.question, one.accepted_answers, one.grader, one.options, one.split] for one in questions]
    task_id = hash_json([draft.title, draft.context, identities])
    sides = split_questions(draft.title, [(one.question, one.split) for one in questions], audit_share)
    records = [
        Question(
            id=hash_json([task_id, question.question, question.accepted_answers]),
            task_id=task_id,
            position=position,
            text=question.question,
            answers=question.accepted_answers,
            grader=question.grader,
            grader_options=question.options,
            split=side,
        )
        for position, (question, side) in enumerate(zip(questions, sides, strict=True))
    ]
    return Task(
        id=task_id,
        title=draft.title,
        context=draft.context,
        source=draft.source.place(),
        added_at=added_at,
        document_id=draft.source.document.id if draft.source.document else None,
        questions=records,
    )


def split_questions(title: str, questions: Sequence[tuple[str, Split | None]], audit_share: float) -> list[Split]:
    """Return the side of each question, given its text and the side that the file names, if any."""
    sides: list[Split] = []
    has_default_reward = False
    for text, named in questions:
        if named is not None:
            sides.append(named)
        elif not has_default_reward:
            has_default_reward = True
            sides.append("reward")
        else:
            sides.append("audit" if _fraction(title, text) < audit_share else "reward")
    return sides


def _fraction(title: str, text: str) -> float:
    """Map a question evenly to a number in [0, 1), always the same one."""
    digest = sha256(canonical_json(["audit split", title, " ".join(text.split())]).encode()).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
