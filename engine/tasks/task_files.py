"""Takes tasks out of YAML, JSONL and SQuAD files. Only the shape of a SQuAD file is checked here, never a task.

YAML holds one task or a list of tasks, JSONL one task a line. Texts in YAML are taken as they are written: an answer
`no`, `1943` or `2016-02-07` needs no quotes.

SQuAD is either the official v1.1 JSON or a flat list of passages with their questions. Some of its questions come
twice, with the answers of other annotators; they become one question that accepts all of these answers. Official titles
lose their underscores. Lines are found by searching the text, so a passage that occurs more than once may get the line
of the first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.strict_json import JsonProblemError, parse_json_lines, parse_strict_json
from engine.input_files.validation import yaml_problem
from engine.tasks.task_input import TaskFile, TaskSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.input_files.located_yaml import Path

_SQUAD_SHAPE = "must be SQuAD v1.1 ({'data': [...]}) or a list of {title, context, questions}"
_SEARCHED_CHARACTERS = 1_000_000


def read_yaml_tasks(text: str, file: str) -> TaskFile:
    """Read the tasks of a YAML file."""
    try:
        located = parse_located_yaml(text)
    except YamlProblemError as error:
        return TaskFile(problems=[yaml_problem(file, error)])
    data = located.written
    if isinstance(data, dict):
        return TaskFile([TaskSource(file, data, located.lines)])
    if not isinstance(data, list) or not data:
        return TaskFile(problems=[f"{file}: must hold a task or a list of tasks"])
    sources = []
    for index, task in enumerate(data):
        lines = {path[1:]: line for path, line in located.lines.items() if path[:1] == (index,)}
        sources.append(TaskSource(file, task, lines))
    return TaskFile(sources)


def read_jsonl_tasks(text: str, file: str) -> TaskFile:
    """Read the tasks of a JSONL file."""
    found, problems = parse_json_lines(text, file)
    if not found and not problems:
        problems.append(f"{file}: contains no task")
    return TaskFile([TaskSource(file, value, {(): line}) for line, value in found], problems)


def read_squad_tasks(text: str, file: str) -> TaskFile:
    """Read the tasks of a SQuAD-style JSON file."""
    try:
        data = parse_strict_json(text)
    except JsonProblemError as error:
        return TaskFile(problems=[f"{file if error.line is None else f'{file}:{error.line}'}: {error.message}"])
    lines = _LineFinder(text)
    if isinstance(data, dict) and "data" in data:
        return _official_squad(data["data"], file, lines)
    passages = [data] if isinstance(data, dict) else data
    if not isinstance(passages, list) or not passages:
        return TaskFile(problems=[f"{file}: {_SQUAD_SHAPE}"])
    return TaskFile([_squad_source(file, passage, lines) for passage in passages])


TASK_READERS: dict[str, Callable[[str, str], TaskFile]] = {
    ".yaml": read_yaml_tasks,
    ".yml": read_yaml_tasks,
    ".jsonl": read_jsonl_tasks,
    ".json": read_squad_tasks,
}


class _LineFinder:
    """Finds the line of a text in a JSON file, searching on from the last one it found."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def find(self, value: object) -> int | None:
        """Return the line of a text, or None if it is empty or does not follow the last one."""
        if not isinstance(value, str) or not value:
            return None
        spellings = {json.dumps(value, ensure_ascii=flag) for flag in (True, False)}
        end = self._position + _SEARCHED_CHARACTERS
        hits = [hit for hit in (self._text.find(spelling, self._position, end) for spelling in spellings) if hit >= 0]
        if not hits:
            return None
        self._line += self._text.count("\n", self._position, min(hits))
        self._position = min(hits)
        return self._line


def _squad_source(file: str, passage: object, finder: _LineFinder) -> TaskSource:
    lines: dict[Path, int | None] = {}
    if isinstance(passage, dict):
        lines[()] = finder.find(passage.get("context")) or finder.find(passage.get("title"))
        questions = passage.get("questions")
        for index, question in enumerate(questions if isinstance(questions, list) else []):
            lines["questions", index] = finder.find(question.get("question") if isinstance(question, dict) else None)
    known = {path: line for path, line in lines.items() if line is not None}
    return TaskSource(file, passage, known, merge_repeated_questions=True)


def _official_squad(articles: object, file: str, finder: _LineFinder) -> TaskFile:
    if not isinstance(articles, list) or not articles:
        return TaskFile(problems=[f"{file}: data: must be a list of articles"])
    sources: list[TaskSource] = []
    problems: list[str] = []
    for index, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(article, dict) or not isinstance(paragraphs, list):
            problems.append(f"{file}: data[{index}]: must be an article with a list of paragraphs")
            continue
        title = article.get("title")
        title = title.replace("_", " ") if isinstance(title, str) else title
        for number, paragraph in enumerate(paragraphs):
            passage, problem = _flat_passage(title, paragraph)
            if problem:
                problems.append(f"{file}: data[{index}].paragraphs[{number}]: {problem}")
            else:
                sources.append(_squad_source(file, passage, finder))
    return TaskFile(sources, problems)


def _flat_passage(title: object, paragraph: object) -> tuple[object, str]:
    """Return a paragraph in the flat form, or what is wrong with it."""
    if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
        return None, "must be a paragraph with a context and a list of qas"
    questions: list[object] = []
    for number, entry in enumerate(paragraph["qas"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("answers"), list):
            return None, f"qas[{number}]: must be a question with a list of answers"
        if entry.get("is_impossible"):
            return None, f"qas[{number}]: a question without an answer (SQuAD v2) cannot be an exam question"
        answers = [answer.get("text") if isinstance(answer, dict) else None for answer in entry["answers"]]
        questions.append({"question": entry.get("question"), "answers": answers})
    return {"title": title, "context": paragraph.get("context"), "questions": questions}, ""
