"""Reads tasks from files and folders: all of them, or an error that lists every problem.

A file's name decides how it is read: .yaml and .yml, .jsonl, .json (SQuAD), and .txt or .md with a question file next
to it. In a folder every file except hidden ones is read, sorted by path.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.input_files.text_files import UnreadableFileError, display_name, read_text_file
from engine.input_files.validation import in_file_order
from engine.tasks.documents import DOCUMENT_SUFFIXES, QUESTION_SUFFIXES, document_of, read_document_task
from engine.tasks.records import task_record
from engine.tasks.task_files import TASK_READERS
from engine.tasks.task_input import TaskDraft, TaskFile, TaskRoom, check_drafts, read_draft, repeated_tasks
from store.clock import utc_now
from store.errors import WrongUseError
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.domains.domain import PromptForm
    from store.records import Document, Task


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Tasks, and the documents that some of them were made from (add the documents to the store first)."""

    tasks: list[Task]
    documents: list[Document]
    left_out_questions: int = 0


def read_tasks(
    paths: Iterable[Path],
    *,
    audit_share: float,
    form: PromptForm = "plain",
    room: TaskRoom | None = None,
    root: Path | None = None,
    skip_unanswerable: bool = False,
    follow_links: bool = False,
) -> TaskSet:
    """Read all tasks of files and folders; raises WrongUseError that lists every problem of all of them.

    `form` is how the model is asked, on which the grader of a question that names none depends. With `room`, contexts
    and answers that are too long for the model are refused. Names are relative to `root` if a file is below it.
    `skip_unanswerable` leaves out SQuAD's questions without an answer instead of refusing them. Without
    `follow_links`, a link that leads out of a folder is refused.
    """
    files, problems = _collect(paths, root, follow_links=follow_links)
    drafts: list[TaskDraft] = []
    left_out = 0
    for path in files:
        task_file = _read_file(path, root, skip_unanswerable=skip_unanswerable)
        problems += task_file.problems
        left_out += task_file.left_out
        for source in task_file.sources:
            draft, draft_problems = read_draft(source, form)
            problems += draft_problems
            drafts += [draft] if draft else []
    added_at = utc_now()
    tasks = [task_record(draft, audit_share=audit_share, added_at=added_at) for draft in drafts]
    repeated = repeated_tasks(tasks, [draft.source.place() for draft in drafts])
    problems += repeated.values()
    different = [draft for index, draft in enumerate(drafts) if index not in repeated]
    problems += check_drafts(different, room)
    if problems:
        raise WrongUseError(
            f"No tasks loaded: {counted(len(problems), 'problem')}",
            problems=in_file_order(problems),
            next_step="Correct the files, then check them with 'seal-console tasks check'.",
        )
    documents = {draft.source.document.id: draft.source.document for draft in drafts if draft.source.document}
    return TaskSet(tasks, list(documents.values()), left_out)


def _collect(paths: Iterable[Path], root: Path | None, *, follow_links: bool) -> tuple[list[Path], list[str]]:
    """Return the files to read, each once, and problems with the paths themselves."""
    files: dict[Path, Path] = {}
    problems: list[str] = []
    for path in paths:
        inside, outside = _files_below(path, follow_links=follow_links) if path.is_dir() else ([path], [])
        problems += [
            f"{link.as_posix()}: a link to {link.resolve()}, outside the folder; name that path itself, or allow such "
            "links with --follow-links"
            for link in outside
        ]
        if not inside and outside:
            continue
        if not inside:
            problems.append(f"{display_name(path, root)}: the folder holds no task file")
        for file in inside:
            target = document_of(file) if file.name.lower().endswith(QUESTION_SUFFIXES) else file
            if target is None:
                problems.append(f"{display_name(file, root)}: no document (.md or .txt) next to this question file")
            else:
                files.setdefault(target.resolve(), target)
    return list(files.values()), problems


def _files_below(folder: Path, *, follow_links: bool) -> tuple[list[Path], list[Path]]:
    """Return every file except hidden ones, and the links out of the folder, unless these are followed."""
    whole = folder.resolve()
    found: list[Path] = []
    outside: list[Path] = []
    entered: set[Path] = set()
    for name, folders, files in os.walk(folder, followlinks=True):
        here = Path(name)
        entered.add(here.resolve())
        seen = [here / one for one in [*folders, *files] if not one.startswith(".")]
        outside += [one for one in seen if not follow_links and not one.resolve().is_relative_to(whole)]
        inside = [one for one in seen if one not in outside]
        folders[:] = [one.name for one in inside if one.name in folders and one.resolve() not in entered]
        found += [one for one in inside if one.name in files]
    return sorted(found), sorted(outside)


def _read_file(path: Path, root: Path | None, *, skip_unanswerable: bool) -> TaskFile:
    name, suffix = display_name(path, root), path.suffix.lower()
    try:
        if suffix in DOCUMENT_SUFFIXES:
            return read_document_task(path, root)
        if suffix in TASK_READERS:
            return TASK_READERS[suffix](read_text_file(path, root).text, name, skip_unanswerable)
    except UnreadableFileError as error:
        return TaskFile(problems=[str(error)])
    if not path.exists():
        return TaskFile(problems=[f"{name}: does not exist"])
    known = ", ".join([*TASK_READERS, *DOCUMENT_SUFFIXES])
    return TaskFile(problems=[f"{name}: tasks cannot be read from this kind of file; supported: {known}"])
