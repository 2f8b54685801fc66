"""What the model knows and what different ways of teaching it reach, on a set of tasks; nothing is recorded.

Ways: `base` asks the model as it stands; `passage` trains on the bare passage; `policy` trains on self-edits of the
newest policy. Accuracies are over all questions of the tasks, 0 … 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from engine.bank.training import InnerUpdateBank
from engine.continual.build_plan import build_replay_plan
from engine.domains.knowledge.compile import compile_sequences
from engine.exams.exam import EvalRequest, evaluate
from engine.loop.evaluate import inner_job
from engine.loop.propose import write_self_edits
from engine.loop.round_setup import choose_tasks
from engine.runtime.progress import Progress
from store.errors import NothingToDoError
from store.tasks import get_task, list_tasks
from store.version_rows import live_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.session import Session
    from store.records import Answer, Task

Baseline = Literal["base", "passage", "policy"]
BASELINES: tuple[Baseline, ...] = ("base", "passage", "policy")


def compare_baselines(
    session: Session, which: Literal["held-out", "all"], ways: Sequence[Baseline], edits: int
) -> dict[str, Any]:
    """Measure the ways side by side; returns counts, accuracy by way, and the same for each task."""
    tasks = [get_task(session.db, listed.task.id) for listed in list_tasks(session.db, imported=False)]
    if which == "held-out":
        tasks = held_out_tasks(session, tasks)
    if not tasks:
        raise NothingToDoError(
            f"There are no tasks to evaluate on ({which}).", next_step="seal-console tasks add FILE…"
        )
    right = {way: _right_by_task(session, tasks, way, edits) for way in ways}
    return {
        "tasks": len(tasks),
        "questions": sum(len(task.questions) for task in tasks),
        "accuracy": {way: _share([one for task in tasks for one in right[way][task.id]]) for way in ways},
        "per_task": [
            {"id": task.id, "title": task.title, **{way: _share(right[way][task.id]) for way in ways}} for task in tasks
        ],
    }


def held_out_tasks(session: Session, tasks: Sequence[Task]) -> list[Task]:
    """The tasks that rounds under these settings keep out of policy training."""
    settings = session.settings.round
    chosen = choose_tasks(
        tasks,
        seed=settings.seed,
        round_number=1,
        tasks_per_round=settings.tasks_per_round,
        held_out_tasks=settings.held_out_tasks,
    )
    return list(chosen.held_out)


def _right_by_task(session: Session, tasks: Sequence[Task], way: Baseline, edits: int) -> dict[str, list[bool]]:
    live = session.live_adapter(live_version(session.db))
    if way == "base":
        sittings = [EvalRequest(live, tuple(task.questions), way, "before") for task in tasks]
        answers = evaluate(session.base, sittings, session.settings.exam)
        return {task.id: _right(given) for task, given in zip(tasks, answers, strict=True)}
    texts = {task.id: [""] for task in tasks} if way == "passage" else _texts(session, tasks, edits)
    return after_updates(session, live, tasks, texts, way)


def _texts(session: Session, tasks: Sequence[Task], edits: int) -> dict[str, list[str]]:
    newest = session.newest_policy
    policy = session.policy_adapter(None if newest is None else newest.number)
    wanted = [(task, position) for task in tasks for position in range(edits)]
    texts: dict[str, list[str]] = {task.id: [] for task in tasks}
    for (task, _), text in zip(wanted, write_self_edits(session, policy, wanted, round_number=0), strict=True):
        texts[task.id].append(text)
    return texts


def after_updates(
    session: Session, live: Adapter | None, tasks: Sequence[Task], texts: dict[str, list[str]], label: str
) -> dict[str, list[bool]]:
    """Train on each text of each task and return which questions were right, by task id."""
    by_id = {task.id: task for task in tasks}
    protection = build_replay_plan(session, live_version(session.db))
    jobs = [
        inner_job(
            session, live, _sequences(session, by_id[task_id], text), protection, key=f"{task_id}/{place}", repeat=0
        )
        for task_id, of_task in texts.items()
        for place, text in enumerate(of_task)
    ]
    slots, coordinates = min(session.slots, len(jobs)), protection.coordinates
    bank = InnerUpdateBank(session.base, session.inner_spec, slots, coordinates=coordinates)
    right: dict[str, list[bool]] = {task.id: [] for task in tasks}
    for done, result in enumerate(bank.train(jobs), start=1):
        session.report(Progress("inner updates", done, len(jobs), label))
        task = by_id[result.key.split("/")[0]]
        [given] = evaluate(
            session.base, [EvalRequest(result.adapter, tuple(task.questions), label, "after")], session.settings.exam
        )
        right[task.id] += _right(given)
    return right


def _sequences(session: Session, task: Task, text: str) -> list[str]:
    splitting = session.settings.self_edit.splitting
    return compile_sequences(text, title=task.title, context=task.context, splitting=splitting)


def _right(answers: Sequence[Answer]) -> list[bool]:
    return [answer.correct for answer in answers]


def _share(right: Sequence[bool]) -> float:
    return sum(right) / len(right)
