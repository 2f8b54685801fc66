"""Makes tasks of plain text or Markdown documents, each with a question file next to it.

The questions of `returns.md` are in `returns.questions.yaml` (or .yml, .jsonl): a list of questions, in JSONL one a
line. The title is the document's (`markdown`), or else the file's stem. One document is one task: it is not split into
parts.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.strict_json import parse_json_lines
from engine.input_files.text_files import as_utf8, display_name, read_text_file
from engine.input_files.validation import yaml_problem
from engine.tasks.markdown import title_and_text
from engine.tasks.task_input import TaskFile, TaskSource
from store.clock import utc_now
from store.hashing import hash_json
from store.records import Document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.input_files.text_files import TextFile

DOCUMENT_SUFFIXES = (".txt", ".md")
QUESTION_SUFFIXES = (".questions.yaml", ".questions.yml", ".questions.jsonl")


def document_of(question_file: Path) -> Path | None:
    """Return the document that a question file belongs to, or None if there is none."""
    stem = question_file.name[: question_file.name.lower().rindex(".questions.")]
    return next(iter(_next_to(question_file, stem, DOCUMENT_SUFFIXES)), None)


def read_document_task(path: Path, root: Path | None) -> TaskFile:
    """Make the one task of a document and its question file; raises UnreadableFileError.

    The names in messages and records are relative to `root` if the file is below it.
    """
    name = display_name(path, root)
    if not path.exists():
        return TaskFile(problems=[f"{name}: does not exist"])
    question_files = _next_to(path, path.stem, QUESTION_SUFFIXES)
    if not question_files:
        return TaskFile(problems=[f"{name}: no question file next to it ({path.stem}.questions.yaml)"])
    if len(question_files) > 1:
        names = ", ".join(file.name for file in question_files)
        return TaskFile(problems=[f"{name}: several question files next to it: {names}"])
    file = read_text_file(path, root)
    question_file = read_text_file(question_files[0], root)
    questions, lines, problems = _questions(question_file)
    if problems:
        return TaskFile(problems=problems)
    title, context = title_and_context(file.text, path)
    identity = hash_json({"path": name, "content": file.content_hash})
    document = Document(identity, name, title, file.content_hash, utc_now())
    data = {"title": title, "context": context, "questions": questions}
    return TaskFile([TaskSource(question_file.name, data, lines, document)])


def title_and_context(text: str, path: Path) -> tuple[str, str]:
    """Return a document's title, and the text to learn."""
    if path.suffix.lower() != ".md":
        return as_utf8(path.stem), text.strip()
    title, context = title_and_text(text)
    return title or as_utf8(path.stem), context


def _next_to(path: Path, stem: str, suffixes: Sequence[str]) -> list[Path]:
    """Return the files in the same folder with this stem and one of the suffixes, in the order of the suffixes.

    Suffixes may be in any case, and names in any Unicode form: a disk may store é as one character or as two.
    """
    direct = [path.with_name(stem + suffix) for suffix in suffixes]
    found = [file for file in direct if file.is_file()]
    if found:
        return found
    names = {_key(file.name): file for file in sorted(path.parent.iterdir()) if file.is_file()}
    return [names[key] for key in (_key(stem + suffix) for suffix in suffixes) if key in names]


def _key(name: str) -> str:
    stem, dot, suffix = unicodedata.normalize("NFC", name).partition(".")
    return stem + dot + suffix.lower()


def _questions(file: TextFile) -> tuple[object, dict[KeyPath, int], list[str]]:
    """Return the questions as data, the lines of their parts below the key "questions", and problems."""
    if file.name.lower().endswith(".jsonl"):
        found, problems = parse_json_lines(file.text, file.name)
        lines: dict[KeyPath, int] = {("questions", index): line for index, (line, _) in enumerate(found)}
        return [value for _, value in found], {(): 1, **lines}, problems
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        return None, {}, [yaml_problem(file.name, error)]
    below: dict[KeyPath, int] = {("questions", *path): line for path, line in located.lines.items()}
    return located.written, {(): 1, **below}, []
