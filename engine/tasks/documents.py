"""Makes tasks of plain text or Markdown documents, each with a question file next to it.

The questions of `returns.md` are in `returns.questions.yaml` (or .yml, .jsonl): a list of questions, in JSONL one a
line. The title is the first Markdown heading, or else the file's stem; a heading that opens the document is not
repeated in the context. One document is one task: it is not split into parts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.strict_json import parse_json_lines
from engine.input_files.text_files import display_name, read_text_file
from engine.input_files.validation import yaml_problem
from engine.tasks.task_input import TaskFile, TaskSource
from store.clock import utc_now
from store.hashing import hash_json
from store.records import Document

if TYPE_CHECKING:
    from pathlib import Path

    from engine.input_files.text_files import TextFile

DOCUMENT_SUFFIXES = (".txt", ".md")
QUESTION_SUFFIXES = (".questions.yaml", ".questions.yml", ".questions.jsonl")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r" {0,3}(?:```|~~~)")


def document_of(question_file: Path) -> Path | None:
    """Return the document that a question file belongs to, or None if there is none."""
    stem = question_file.name.rsplit(".questions.", 1)[0]
    documents = (question_file.with_name(stem + suffix) for suffix in DOCUMENT_SUFFIXES)
    return next((path for path in documents if path.is_file()), None)


def read_document_task(path: Path, root: Path | None) -> TaskFile:
    """Make the one task of a document and its question file; raises UnreadableFileError.

    The names in messages and records are relative to `root` if the file is below it.
    """
    name = display_name(path, root)
    question_files = [path.with_name(path.stem + suffix) for suffix in QUESTION_SUFFIXES]
    question_files = [file for file in question_files if file.is_file()]
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
    lines = text.splitlines(keepends=True)
    if path.suffix.lower() != ".md":
        return path.stem, text.strip()
    in_code = False
    for number, line in enumerate(lines):
        in_code ^= bool(_FENCE.match(line))
        heading = None if in_code else _HEADING.fullmatch(line.rstrip("\r\n"))
        if heading and heading["title"]:
            opens = not "".join(lines[:number]).strip()
            return heading["title"], "".join(lines[number + 1 :] if opens else lines).strip()
    return path.stem, text.strip()


def _questions(file: TextFile) -> tuple[object, dict[KeyPath, int], list[str]]:
    """Return the questions as data, the lines of their parts below the key "questions", and problems."""
    if file.name.endswith(".jsonl"):
        found, problems = parse_json_lines(file.text, file.name)
        lines: dict[KeyPath, int] = {("questions", index): line for index, (line, _) in enumerate(found)}
        return [value for _, value in found], {(): 1, **lines}, problems
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        return None, {}, [yaml_problem(file.name, error)]
    below: dict[KeyPath, int] = {("questions", *path): line for path, line in located.lines.items()}
    return located.written, {(): 1, **below}, []
