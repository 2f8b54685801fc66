"""The passages of a ladder: tasks to train the policy on, held-out tasks, and what a teacher wrote about either.

Passages and a teacher's self-edits come from files that the caller names; nothing of them ships with the project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.lab.published_runs.files import parse_published_file
from engine.tasks.reading import read_tasks
from engine.tasks.records import task_record
from engine.tasks.task_input import TaskSource, read_draft
from store.errors import WrongUseError
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.domains.domain import PromptForm
    from engine.lab.published_runs.files import PublishedFile
    from store.records import Task

FEWEST_QUESTIONS = 3


@dataclass(frozen=True, slots=True)
class Passages:
    """Tasks without a question in common, and the teacher's self-edits by task id.

    `warm_up` are a teacher's prompts and self-edits about other passages; `others` are passages of neither set, and
    `taught_others` those of the teacher's run that share no title with a held-out one.
    """

    train: tuple[Task, ...]
    held_out: tuple[Task, ...]
    taught: dict[str, str]
    warm_up: tuple[tuple[str, str], ...]
    others: tuple[Task, ...] = ()
    taught_others: tuple[Task, ...] = ()


@dataclass(frozen=True, slots=True)
class PassageFiles:
    """Where passages come from: tasks, a published run of SEAL's format, and rows of prompt and completion."""

    passages: Path
    teacher: Path | None = None
    warm_up: Path | None = None


def draw_passages(
    files: PassageFiles, *, form: PromptForm, train: int, held_out: int, questions: int, seed: int
) -> Passages:
    """Draw passages by a hash of the seed, each with at most that many questions.

    Held-out passages are those of the teacher's run if there is one, so that its self-edits can be compared. Then none
    of them has a title that a train passage has, so that no neighbour of it was trained on. Raises WrongUseError if
    there are too few.
    """
    pool = _long_enough(read_tasks([files.passages], audit_share=0.0, form=form).tasks)
    taught: dict[str, str] = {}
    held_out_pool: list[Task] = []
    if files.teacher is not None:
        held_out_pool, taught = _taught_tasks(files.teacher, form)
    known, titles = {_key(task) for task in held_out_pool}, {task.title for task in pool}
    pool = [task for task in pool if _key(task) not in known]
    held_out_pool = [task for task in held_out_pool if task.title not in titles]
    ranked = sorted(pool, key=lambda task: hash_json([seed, task.context]))
    held_out_ranked = ranked[train:]
    if files.teacher is not None:
        held_out_ranked = sorted(held_out_pool, key=lambda task: hash_json([seed, task.context]))
    held_out_titles = {task.title for task in held_out_ranked[:held_out]}
    if len(ranked) < train or len(held_out_ranked) < held_out:
        raise WrongUseError(
            f"{train} passages to train on and {held_out} held out are more than there are: "
            f"{len(ranked)} and {len(held_out_ranked)}",
            next_step="lower --train or --held-out, or name a larger file",
        )
    return Passages(
        tuple(_cut(task, questions, seed) for task in ranked[:train]),
        tuple(_cut(task, questions, seed) for task in held_out_ranked[:held_out]),
        taught,
        () if files.warm_up is None else _rows(files.warm_up),
        tuple(ranked[train:] if files.teacher is not None else ranked[train + held_out :]),
        tuple(task for task in held_out_ranked[held_out:] if task.id in taught and task.title not in held_out_titles),
    )


def _taught_tasks(path: Path, form: PromptForm) -> tuple[list[Task], dict[str, str]]:
    try:
        run = parse_published_file(path.read_bytes(), path)
    except OSError as error:
        raise WrongUseError(f"{path} cannot be read: {error.strerror or error}") from error
    tasks = {_key(task): task for task in _long_enough(_tasks_of_run(run, form, path))}
    written = {article.context.strip(): article.completions[0].text for article in run.articles}
    return list(tasks.values()), {task.id: written[context] for context, task in tasks.items()}


def _tasks_of_run(run: PublishedFile, form: PromptForm, path: Path) -> list[Task]:
    tasks = []
    for article in run.articles:
        questions = {one.question: one.answer for one in article.completions[0].questions}
        asked = [{"question": question, "answer": answer} for question, answer in questions.items()]
        data = {"title": article.title, "context": article.context, "questions": asked}
        draft, problems = read_draft(TaskSource(path.name, data, {(): 1}), form)
        if draft is None or problems:
            continue  # a published question may repeat or be empty; the others remain
        tasks.append(task_record(draft, audit_share=0.0, added_at=""))
    return tasks


def _long_enough(tasks: Sequence[Task]) -> list[Task]:
    return [task for task in tasks if len(task.questions) >= FEWEST_QUESTIONS]


def _key(task: Task) -> str:
    return task.context.strip()


def _cut(task: Task, questions: int, seed: int) -> Task:
    ranked = sorted(task.questions, key=lambda one: hash_json([seed, one.text]))
    return replace(task, questions=sorted(ranked[:questions], key=lambda one: one.position))


def _rows(path: Path) -> tuple[tuple[str, str], ...]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return tuple((str(row["prompt"]), str(row["completion"])) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WrongUseError(
            f"{path} cannot be read: {error!r}", next_step="It must have a prompt and a completion a line, as JSON."
        ) from error
