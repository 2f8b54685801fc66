"""Reads tasks from files and folders: all of them, or none and a list of every problem.

Which reader takes a file follows from its name: .yaml and .yml, .jsonl, .json (SQuAD's forms), and .txt or .md with a
question file beside it. In a folder every file counts, in the order of their paths; only hidden ones are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.input_files.text_files import UnreadableFileError, read_text_file, shown_name
from engine.tasks.checking import check_drafts, same_tasks
from engine.tasks.documents import (
    DOCUMENT_SUFFIXES,
    QuestionFile,
    is_question_file,
    question_files_of,
    read_document,
)
from engine.tasks.drafts import TaskDraft, draft_of
from engine.tasks.jsonl_tasks import read_jsonl_tasks
from engine.tasks.sources import Parsed, refused
from engine.tasks.squad import read_squad
from engine.tasks.task_records import task_record
from engine.tasks.yaml_tasks import read_yaml_tasks
from store.clock import utc_now
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from store.records import Document, Task

_READERS: dict[str, Callable[[str, str], Parsed]] = {
    ".yaml": read_yaml_tasks,
    ".yml": read_yaml_tasks,
    ".jsonl": read_jsonl_tasks,
    ".json": read_squad,
}


@dataclass(frozen=True, slots=True)
class TaskSet:
    """Tasks that were read, and the documents that some of them were made from (add the documents first)."""

    tasks: list[Task]
    documents: list[Document]


def read_tasks(
    paths: Iterable[Path],
    *,
    audit_share: float,
    default_grader: str = "exact",
    count_tokens: Callable[[str], int] | None = None,
    max_context_tokens: int | None = None,
    root: Path | None = None,
) -> TaskSet:
    """Read all tasks of files and folders; raises WrongUseError that lists every problem of all of them.

    `count_tokens` and `max_context_tokens` together refuse contexts that are too long. Names are relative to `root`
    where a file lies below it.
    """
    files, problems = _collect(paths, root)
    drafts: list[TaskDraft] = []
    for path in files:
        parsed = _parse(path, root)
        problems += parsed.problems
        for source in parsed.sources:
            draft, form_problems = draft_of(source, default_grader)
            problems += form_problems
            drafts += [draft] if draft else []
    added_at = utc_now()
    tasks = [task_record(draft, audit_share=audit_share, added_at=added_at) for draft in drafts]
    same = same_tasks(tasks, [draft.place for draft in drafts])
    different = [draft for index, draft in enumerate(drafts) if index not in same]
    problems += same.values()
    problems += check_drafts(different, count_tokens=count_tokens, max_context_tokens=max_context_tokens)
    if problems:
        raise _refusal(problems)
    documents = {draft.source.document.id: draft.source.document for draft in drafts if draft.source.document}
    return TaskSet(tasks, list(documents.values()))


def _refusal(problems: list[str]) -> WrongUseError:
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return WrongUseError(
        f"Nothing was read: {count} in the tasks",
        problems=problems,
        next_step="Correct the files, then look with 'seal-console tasks check'.",
    )


def _collect(paths: Iterable[Path], root: Path | None) -> tuple[list[Path], list[str]]:
    """Return the files to read, each once, and problems with the paths themselves."""
    files: dict[Path, Path] = {}
    problems: list[str] = []
    for path in paths:
        inside = _files_below(path) if path.is_dir() else [path]
        if not inside:
            problems.append(f"{shown_name(path, root)}: the folder holds no task file")
        for file in inside:
            target = _document_of(file) if is_question_file(file) else file
            if target is None:
                problems.append(
                    f"{shown_name(file, root)}: there is no document (.md or .txt) beside this question file"
                )
            else:
                files.setdefault(target.resolve(), target)
    return list(files.values()), problems


def _files_below(folder: Path) -> list[Path]:
    below = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in below if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _document_of(question_file: Path) -> Path | None:
    stem = question_file.name.rsplit(".questions.", 1)[0]
    candidates = (question_file.with_name(stem + suffix) for suffix in DOCUMENT_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _parse(path: Path, root: Path | None) -> Parsed:
    name = shown_name(path, root)
    suffix = path.suffix.lower()
    try:
        if suffix in DOCUMENT_SUFFIXES:
            return _parse_document(path, root)
        if suffix in _READERS:
            return _READERS[suffix](read_text_file(path, root).text, name)
    except UnreadableFileError as error:
        return Parsed(problems=[str(error)])
    known = ", ".join([*_READERS, *DOCUMENT_SUFFIXES])
    return refused(name, None, f"tasks cannot be read from this kind of file; known are {known}")


def _parse_document(path: Path, root: Path | None) -> Parsed:
    name = shown_name(path, root)
    beside = question_files_of(path)
    if len(beside) != 1:
        found = f"several question files beside it: {', '.join(file.name for file in beside)}"
        return refused(name, None, found if beside else f"no question file beside it ({path.stem}.questions.yaml)")
    document = read_text_file(path, root)
    questions = read_text_file(beside[0], root)
    return read_document(name, document.text, document.content_hash, QuestionFile(questions.name, questions.text))
