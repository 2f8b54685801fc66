"""Tasks from plain text or Markdown documents, each with a question file beside it.

`returns.md` has its questions in `returns.questions.yaml` (or .yml, .jsonl): a list of questions, one a line in JSONL.
The title is the first Markdown heading, else the file's stem; a heading that opens the document is not repeated in the
context. One document is one task: it is not cut into parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from engine.input_files.located_yaml import Path as KeyPath
from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.tasks.jsonl_tasks import json_lines
from engine.tasks.sources import Parsed, TaskSource, refused
from engine.tasks.yaml_tasks import texts_with_typed_options
from store.clock import utc_now
from store.hashing import hash_json
from store.records import Document

DOCUMENT_SUFFIXES = (".txt", ".md")
QUESTION_SUFFIXES = (".questions.yaml", ".questions.yml", ".questions.jsonl")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<title>.*?)(?:[ \t]+#+)?[ \t]*")
_FENCE = re.compile(r" {0,3}(?:```|~~~)")


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A question file that has been read: its name for messages, and its text."""

    name: str
    text: str


def question_files_of(document: Path) -> list[Path]:
    """Return the question files that lie beside a document."""
    beside = (document.with_name(document.stem + suffix) for suffix in QUESTION_SUFFIXES)
    return [path for path in beside if path.is_file()]


def is_question_file(path: Path) -> bool:
    """Tell whether a file's name is that of a question file."""
    return path.name.endswith(QUESTION_SUFFIXES)


def read_document(name: str, text: str, content_hash: str, question_file: QuestionFile) -> Parsed:
    """Make the one task of a document; `name` is its path as shown and stored, `content_hash` that of its bytes."""
    questions, lines, problems = _questions(question_file)
    if problems:
        return Parsed(problems=problems)
    title, context = title_and_context(text, Path(name))
    identity = hash_json({"path": name, "content": content_hash})
    document = Document(identity, name, title, content_hash, utc_now())
    data = {"title": title, "context": context, "questions": questions}
    return Parsed([TaskSource(question_file.name, data, lines, document)])


def title_and_context(text: str, path: Path) -> tuple[str, str]:
    """Return a document's title and the text that is to be learnt."""
    lines = text.splitlines(keepends=True)
    if path.suffix.lower() != ".md":
        return path.stem, text.strip()
    fenced = False
    for number, line in enumerate(lines):
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.fullmatch(line.rstrip("\r\n"))
        if heading and heading["title"]:
            opens = not "".join(lines[:number]).strip()
            return heading["title"], "".join(lines[number + 1 :] if opens else lines).strip()
    return path.stem, text.strip()


def _questions(file: QuestionFile) -> tuple[object, dict[KeyPath, int], list[str]]:
    """Return the questions as data, the lines of their parts below the key "questions", and problems."""
    if file.name.endswith(".jsonl"):
        found, problems = json_lines(file.text, file.name)
        lines: dict[KeyPath, int] = {("questions", index): line for index, (line, _) in enumerate(found)}
        return [value for _, value in found], {(): 1, **lines}, problems
    try:
        located = parse_located_yaml(file.text)
    except YamlProblemError as error:
        return None, {}, refused(file.name, error.line, error.message).problems
    below: dict[KeyPath, int] = {("questions", *path): line for path, line in located.lines.items()}
    return texts_with_typed_options(located), {(): 1, **below}, []
