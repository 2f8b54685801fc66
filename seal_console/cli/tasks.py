"""`tasks`: add, check, list."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from engine.exams.ceiling import beyond_reach, describe_ceilings, known_already
from engine.model.context_window import room_for_tasks
from engine.model.model_folder import model_folder
from engine.settings.reading import load_settings
from engine.settings.sections import Settings
from engine.tasks.reading import TaskSet, read_tasks
from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.cli.task_show import show
from seal_console.cli.workspace_session import open_as_is, open_to_change, open_to_show
from seal_console.format import short_id, show_line, table
from seal_console.queries.tasks import recorded_ceilings
from store.database import transaction
from store.durable import remove
from store.errors import ExitCode, NothingToDoError, WrongUseError
from store.lock import current_user, hold_lock
from store.purging import PurgedTask, plan_purge, purge_task
from store.tasks import add_documents, add_tasks, list_tasks
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.exams.ceiling import TaskCeiling
    from engine.tasks.task_input import TaskRoom
    from seal_console.cli.invocation import Invocation
    from store.tasks import ListedTask
    from store.workspace import Workspace


def _reading(command: Callable[..., None]) -> Callable[..., None]:
    """Add what `tasks add` and `tasks check` share: the paths, and how they are read."""
    parts = (
        click.argument("paths", metavar="[PATH]…", nargs=-1, type=click.Path(path_type=Path)),
        click.option("--skip-unanswerable", is_flag=True, help="Leave out SQuAD v2's questions without an answer."),
        click.option("--follow-links", is_flag=True, help="Read links that lead out of a folder, too."),
    )
    for part in reversed(parts):
        command = part(command)
    return command


@click.group(
    "tasks",
    cls=SealGroup,
    short_help="Add, check and list tasks.",
    examples=("seal-console tasks add tasks/", "seal-console tasks list"),
)
def tasks() -> None:
    """Contexts with their questions: what the model learns, and how it is evaluated."""


@tasks.command(
    "add",
    short_help="Read tasks from files and folders, and store them.",
    examples=("seal-console tasks add", "seal-console tasks add docs/returns.md squad.json"),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@_reading
@pass_invocation
def add(invocation: Invocation, paths: tuple[Path, ...], skip_unanswerable: bool, follow_links: bool) -> None:
    """Read tasks from files and folders into the database: all of them, or none if there is any problem.

    Without PATH, the workspace's tasks/ folder is read. Files are read in place; nothing is copied.
    """
    with open_to_change(invocation) as found:
        options = {"skip_unanswerable": skip_unanswerable, "follow_links": follow_links}
        room = room_for_tasks(found.settings)
        read = _read(paths, found.workspace, found.settings, options, room)
        with transaction(found.db):
            documents = add_documents(found.db, read.documents)
            added = add_tasks(found.db, read.tasks)
        given = {task.id for task in read.tasks}
        purged = sum(one.task.id in given and not one.task.context for one in list_tasks(found.db))
    of_them = f" The text of {purged:,} was purged and is not added again." if purged else ""
    if not added.new_ids:
        raise NothingToDoError(
            f"All {counted(added.already_there, 'task')} are in the workspace already.{of_them}",
            next_step="seal-console run --rounds 1",
        )
    if invocation.output.as_json:
        counts = {"new": len(added.new_ids), "already_there": added.already_there}
        more: dict[str, Any] = {"new_documents": len(documents.new_ids), "left_out_questions": read.left_out_questions}
        more |= {"graders": _graders(read), "lengths_checked": room is not None}
        invocation.output.data({**counts, **more, "ids": added.new_ids})
        return
    known = f"; {added.already_there:,} were there already" if added.already_there else ""
    invocation.output.show(
        f"Added {counted(len(added.new_ids), 'task')}{known}.{of_them}{_left_out(read)}",
        _graded_by(read),
        *_lengths(room, found.settings),
        "Next: seal-console run --rounds 1",
    )


@tasks.command(
    "check",
    short_help="Check task files without storing anything.",
    examples=("seal-console tasks check", "seal-console tasks check docs/ --json"),
    exits=(ExitCode.NOTHING_TO_DO,),
)
@_reading
@pass_invocation
def check(invocation: Invocation, paths: tuple[Path, ...], skip_unanswerable: bool, follow_links: bool) -> None:
    """Run the checks of `tasks add` and store nothing; with PATH it works outside a workspace too."""
    workspace = invocation.workspace_if_any() if paths else invocation.workspace()
    settings = Settings() if workspace is None else load_settings(workspace.settings_file)
    options = {"skip_unanswerable": skip_unanswerable, "follow_links": follow_links}
    room = None if workspace is None else room_for_tasks(settings)
    read = _read(paths, workspace, settings, options, room)
    questions = [question for task in read.tasks for question in task.questions]
    audit = sum(question.split == "audit" for question in questions)
    ceilings = [] if workspace is None else _ceilings(invocation, read)
    if invocation.output.as_json:
        counts = {"tasks": len(read.tasks), "documents": len(read.documents), "questions": len(questions)}
        more = {"left_out_questions": read.left_out_questions, "graders": _graders(read)}
        more["ceiling"] = {
            "tasks": len(ceilings),
            "known_already": [one.task.id for one in known_already(ceilings)],
            "beyond_reach": [one.task.id for one in beyond_reach(ceilings)],
        }
        invocation.output.data({**counts, "audit_questions": audit, **more, "lengths_checked": room is not None})
        return
    summary = f"{counted(len(read.tasks), 'task')} with {counted(len(questions), 'question')}"
    invocation.output.show(
        f"{summary} ({audit:,} for the audit): valid.{_left_out(read)}",
        _graded_by(read),
        *_lengths(room, None if workspace is None else settings),
        *([] if workspace is None else _said_of(ceilings, len(read.tasks))),
    )


def _ceilings(invocation: Invocation, read: TaskSet) -> list[TaskCeiling]:
    with open_as_is(invocation, or_read=True) as found:
        return recorded_ceilings(found.db, read.tasks)


def _said_of(ceilings: Sequence[TaskCeiling], tasks: int) -> list[str]:
    """Return what recorded answers say about what the exams can measure."""
    if not ceilings:
        return ["What the exams can measure is not known yet: the first round asks, with the context in view too."]
    of_all = "" if len(ceilings) == tasks else f"Asked so far: {len(ceilings):,} of {counted(tasks, 'task')}."
    return [*filter(None, [of_all]), *(show_line(sentence).plain for sentence in describe_ceilings(ceilings))]


def _graders(read: TaskSet) -> dict[str, int]:
    return dict(Counter(question.grader for task in read.tasks for question in task.questions).most_common())


def _graded_by(read: TaskSet) -> str:
    named = ", ".join(f"{grader} ({counted(count, 'question')})" for grader, count in _graders(read).items())
    return f"Graded by: {named}."


def _lengths(room: TaskRoom | None, settings: Settings | None) -> list[str]:
    """Return the sentence that says why lengths were not checked; empty if they were."""
    if room is not None:
        return []
    if settings is None:
        return ["Lengths were not checked: outside a workspace no model says how long a context may be."]
    folder = show_line(str(model_folder(settings.model.path)))
    return [f"Lengths were not checked: {folder} has no config.json with a window, or no tokenizer.json (model.path)."]


def _left_out(read: TaskSet) -> str:
    count = read.left_out_questions
    return f" {counted(count, 'question')} without an answer left out." if count else ""


@tasks.command(
    "list",
    short_help="List tasks with their numbers of questions and their source.",
    examples=("seal-console tasks list", "seal-console tasks list --json"),
)
@pass_invocation
def list_command(invocation: Invocation) -> None:
    """List the tasks with their numbers of reward and audit questions, and their source."""
    with open_to_show(invocation) as found:
        listed = list_tasks(found.db)
    output = invocation.output
    if output.as_json:
        for one in listed:
            output.data(_as_json(one))
        return
    if not listed:
        output.show("No tasks yet. Next: seal-console tasks add")
        return
    rows = [
        (
            short_id(one.task.id),
            show_line(one.task.title, limit=60),
            str(one.reward_questions),
            str(one.audit_questions),
            one.task.source + (" (imported)" if one.task.imported else ""),
        )
        for one in listed
    ]
    output.show(table(("id", "title", "reward", "audit", "source"), rows, right=("reward", "audit")))
    output.show(f"{counted(len(listed), 'task')}; reward and audit are numbers of questions.")


@tasks.command(
    "purge",
    short_help="Take a task's text out of the workspace for good.",
    examples=(
        "seal-console tasks purge 8b1f",
        'seal-console tasks purge 8b1f --reason "it names a customer" --as ada --yes',
    ),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.argument("task_id", metavar="ID")
@click.option("--reason", type=ONE_LINE, metavar="TEXT", help="The reason, kept in the log. Required with --yes.")
@click.option("--as", "actor", type=ONE_LINE, metavar="NAME", help="Who purges (default: the user of this process).")
@click.option("--yes", is_flag=True, help="Do it; without this it only says what would be taken out.")
@pass_invocation
def purge(invocation: Invocation, task_id: str, reason: str | None, actor: str | None, yes: bool) -> None:
    """Take the text of a task out of seal.db: context, questions, self-edits, answers, and what gates quoted.

    It cannot be undone. Ids, figures and hashes stay, and verify still holds. A task that a version was made from is
    refused, because git keeps its text.
    """
    output = invocation.output
    if not yes:
        with open_to_show(invocation) as shown:
            plan = plan_purge(shown.db, task_id)
        if output.as_json:
            output.data({"purged": False, **asdict(plan)})
            return
        output.show(f"This would take out for good: {_purged(plan)}.", f"To do it: seal-console tasks purge "
                    f'{short_id(plan.task_id)} --reason "…" --yes')  # fmt: skip
        return
    if not reason:
        raise WrongUseError("A purge needs --reason; it is kept in the log.")
    who = current_user() if actor is None else actor
    with open_to_change(invocation) as found, hold_lock(found.workspace.lock_file, "tasks purge"):
        done = purge_task(found.db, task_id, who, reason)
        for adapter in done.adapter_hashes:
            remove(found.workspace.cache_folder / "adapters" / adapter.removeprefix("sha256:"))
    if output.as_json:
        output.data({"purged": True, **asdict(done)})
        return
    output.show(
        f"Purged: {_purged(done)}.",
        f"Not touched: the file it came from ({show_line(done.source)}), policies that were trained on it, logs in "
        f"{found.workspace.cache_folder}, backups.",
    )


tasks.add_command(show)


def _purged(plan: PurgedTask) -> str:
    counts = f"{counted(plan.questions, 'question')}, {counted(plan.candidates, 'self-edit')}"
    return f"the text of “{show_line(plan.title)}”, {counts}, {counted(plan.answers, 'answer')}"


def _read(
    paths: Sequence[Path],
    workspace: Workspace | None,
    settings: Settings,
    options: Mapping[str, bool],
    room: TaskRoom | None,
) -> TaskSet:
    if not paths and workspace is not None:
        paths = [workspace.tasks_folder]
        if not any(path.is_file() for path in workspace.tasks_folder.rglob("*")):
            raise NothingToDoError(
                f"{workspace.tasks_folder} is empty.",
                next_step="Put documents with question files there, or name files: seal-console tasks add PATH",
            )
    return read_tasks(
        paths,
        audit_share=settings.tasks.audit_share,
        form=settings.prompt_form,
        room=room,
        root=workspace.root if workspace else None,
        skip_unanswerable=options["skip_unanswerable"],
        follow_links=options["follow_links"],
    )


def _as_json(one: ListedTask) -> dict[str, Any]:
    return {
        "id": one.task.id,
        "title": one.task.title,
        "source": one.task.source,
        "reward_questions": one.reward_questions,
        "audit_questions": one.audit_questions,
        "imported": one.task.imported,
        "added_at": one.task.added_at,
    }
