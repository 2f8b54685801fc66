"""What the model knows, and what different ways of teaching reach, on a set of tasks. Nothing is recorded.

`base` asks the live model; `context` trains on the bare context; `policy` trains on self-edits of the newest policy.
Accuracies are over all questions of the tasks, 0 … 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from engine.exams.exam import EvalRequest
from engine.loop.evaluate import inner_job
from engine.loop.propose import write_self_edits
from engine.loop.round_setup import choose_tasks
from engine.runtime.progress import Progress
from store.errors import NothingToDoError
from store.tasks import get_task, list_tasks
from store.version_rows import live_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.loop.session import Session
    from engine.lora.adapter import Adapter
    from store.records import Answer, Task

Baseline = Literal["base", "context", "policy"]
BASELINES: tuple[Baseline, ...] = ("base", "context", "policy")


def compare_baselines(
    session: Session, which: Literal["held-out", "all"], baselines: Sequence[Baseline], edits: int
) -> dict[str, Any]:
    """Measure the baselines side by side; returns counts, accuracy by baseline, and the same for each task."""
    tasks = [get_task(session.db, listed.task.id) for listed in list_tasks(session.db, imported=False, purged=False)]
    if which == "held-out":
        tasks = held_out_tasks(session, tasks)
    if not tasks:
        raise NothingToDoError(f"There are no tasks to evaluate ({which}).", next_step="seal-console tasks add FILE…")
    correct = {one: _correct_by_task(session, tasks, one, edits) for one in baselines}
    return {
        "tasks": len(tasks),
        "questions": sum(len(task.questions) for task in tasks),
        "accuracy": {name: _share([one for task in tasks for one in correct[name][task.id]]) for name in baselines},
        "per_task": [
            {"id": task.id, "title": task.title, **{name: _share(correct[name][task.id]) for name in baselines}}
            for task in tasks
        ],
    }


def held_out_tasks(session: Session, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that rounds under these settings keep out of policy training."""
    settings = session.settings.round
    chosen = choose_tasks(
        tasks,
        seed=settings.seed,
        round_number=1,
        tasks_per_round=settings.tasks_per_round,
        held_out_tasks=settings.held_out_tasks,
    )
    return list(chosen.held_out)


def _correct_by_task(session: Session, tasks: Sequence[Task], baseline: Baseline, edits: int) -> dict[str, list[bool]]:
    live = session.live_adapter(live_version(session.db))
    if baseline == "base":
        exam = session.domain.exam
        requests = [EvalRequest(live, tuple(exam(task.questions)), baseline, "before") for task in tasks]
        answers = session.examiner.evaluate(requests)
        return {task.id: _correct(given) for task, given in zip(tasks, answers, strict=True)}
    texts = {task.id: [""] for task in tasks} if baseline == "context" else _self_edits(session, tasks, edits)
    return correct_after_updates(session, live, tasks, texts, baseline)


def _self_edits(session: Session, tasks: Sequence[Task], edits: int) -> dict[str, list[str]]:
    newest = session.newest_policy
    policy = session.policy_adapter(None if newest is None else newest.number)
    positions = [(task, position) for task in tasks for position in range(edits)]
    texts: dict[str, list[str]] = {task.id: [] for task in tasks}
    for (task, _), text in zip(positions, write_self_edits(session, policy, positions, round_number=0), strict=True):
        texts[task.id].append(text)
    return texts


def correct_after_updates(
    session: Session, live: Adapter | None, tasks: Sequence[Task], texts: dict[str, list[str]], label: str
) -> dict[str, list[bool]]:
    """Train on each text of each task and return which questions were answered correctly, by task id."""
    by_id = {task.id: task for task in tasks}
    plan = session.planner.plan(live_version(session.db))
    task_of_job = {f"{task_id}/{place}": task_id for task_id, of_task in texts.items() for place in range(len(of_task))}
    jobs = [
        inner_job(
            session,
            live,
            session.domain.compile(text, by_id[task_id]).examples,
            plan,
            key=f"{task_id}/{place}",
            repeat=0,
        )
        for task_id, of_task in texts.items()
        for place, text in enumerate(of_task)
    ]
    correct: dict[str, list[bool]] = {task.id: [] for task in tasks}
    results = session.executor.train(jobs, session.inner_spec, preconditioner=plan.preconditioner)
    for done, result in enumerate(results, start=1):
        session.report(Progress("inner updates", done, len(jobs), label))
        task = by_id[task_of_job[result.key]]
        items = tuple(session.domain.exam(task.questions))
        [given] = session.examiner.evaluate([EvalRequest(result.adapter, items, label, "after")])
        correct[task.id] += _correct(given)
    return correct


def _correct(answers: Sequence[Answer]) -> list[bool]:
    return [answer.correct for answer in answers]


def _share(correct: Sequence[bool]) -> float:
    return sum(correct) / len(correct)
