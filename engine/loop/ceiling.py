"""Measures the ceilings of a round's tasks before anything is trained (`exams/ceiling.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.exams.ceiling import ceiling_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.exams.ceiling import TaskCeiling
    from engine.loop.session import Session
    from store.records import Round, Task


def measure_ceilings(session: Session, current: Round, tasks: Sequence[Task]) -> list[TaskCeiling]:
    """Ask the base every question of a round's tasks with its context, and the live version without.

    What was answered before is not asked again. Empty if the settings leave the ceiling out.
    """
    if not session.settings.exam.ceiling:
        return []
    live_version = current.live_version
    opened = session.examiner.answers_with_context(tasks)
    questions = [question for task in tasks for question in task.questions]
    live = session.live_adapter(live_version)
    closed = session.examiner.answers_before_update(live, live_version, questions)
    return [ceiling_of(task, opened, closed) for task in tasks]
