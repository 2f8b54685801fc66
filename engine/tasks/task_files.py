"""Takes tasks out of YAML, JSONL and SQuAD files. Only the shape of a SQuAD file is checked here, never a task.

YAML holds one task or a list of tasks, JSONL one task a line, or one question a line with its context, as `to_json` of
Hugging Face's datasets writes SQuAD. Texts in YAML are taken as they are written: an answer `no`, `1943` or
`2016-02-07` needs no quotes.

SQuAD is either the official v1.1 JSON or a flat list of passages with their questions. Some of its questions come
twice, with the answers of other annotators; they become one question that accepts all of these answers. Official titles
lose their underscores. Lines are found by searching the text, so a passage that occurs more than once may get the line
of the first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.input_files.located_yaml import YamlProblemError, parse_located_yaml
from engine.input_files.strict_json import JsonProblemError, parse_json_lines, parse_strict_json
from engine.input_files.validation import yaml_problem
from engine.tasks.task_input import TaskFile, TaskSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.input_files.located_yaml import Path

_SQUAD_SHAPE = "must be SQuAD v1.1 ({'data': [...]}) or a list of {title, context, questions}"
_SEARCHED_CHARACTERS = 1_000_000
_ROW = frozenset({"context", "question", "answers"})
_UNANSWERABLE = "a question without an answer cannot be an exam question; --skip-unanswerable leaves such questions out"


def read_yaml_tasks(text: str, file: str, _skip_unanswerable: bool = False) -> TaskFile:
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
    lines: list[dict[Path, int]] = [{} for _ in data]
    for path, line in located.lines.items():
        if path and isinstance(path[0], int):
            lines[path[0]][path[1:]] = line
    return TaskFile([TaskSource(file, task, of_task) for task, of_task in zip(data, lines, strict=True)])


def read_jsonl_tasks(text: str, file: str, skip_unanswerable: bool = False) -> TaskFile:
    """Read the tasks of a JSONL file: one task a line, or rows of one question with its context."""
    found, problems = parse_json_lines(text, file)
    if not found and not problems:
        problems.append(f"{file}: contains no task")
    rows = [(line, value) for line, value in found if isinstance(value, dict) and value.keys() >= _ROW]
    if rows and "questions" not in rows[0][1]:
        return _tasks_of_rows(found, file, problems, skip_unanswerable=skip_unanswerable)
    return TaskFile([TaskSource(file, value, {(): line}) for line, value in found], problems)


def _tasks_of_rows(
    rows: Sequence[tuple[int, object]], file: str, problems: list[str], *, skip_unanswerable: bool
) -> TaskFile:
    """Gather rows of the same title and context into one task, in the order of their first row."""
    tasks: dict[tuple[str, str], dict[str, Any]] = {}
    lines: dict[tuple[str, str], dict[Path, int]] = {}
    left_out = 0
    for line, row in rows:
        if not isinstance(row, dict) or not row.keys() >= _ROW:
            problems.append(f"{file}:{line}: must be a row with {', '.join(sorted(_ROW))}, as the others are")
            continue
        answers = row["answers"]
        texts = answers.get("text") if isinstance(answers, dict) else answers
        if texts == []:
            left_out += skip_unanswerable
            problems += [] if skip_unanswerable else [f"{file}:{line}: {_UNANSWERABLE}"]
            continue
        title = row.get("title") or f"{file.rsplit('/', 1)[-1]}:{line}"
        key = (str(title), str(row["context"]))
        clean = title.replace("_", " ") if isinstance(title, str) else title
        task = tasks.setdefault(key, {"title": clean, "context": row["context"], "questions": []})
        places = lines.setdefault(key, {(): line})
        places["questions", len(task["questions"])] = line
        task["questions"].append({"question": row["question"], "answers": texts})
    sources = [TaskSource(file, task, lines[key], merge_repeated_questions=True) for key, task in tasks.items()]
    return TaskFile(sources, problems, left_out)


def read_squad_tasks(text: str, file: str, skip_unanswerable: bool = False) -> TaskFile:
    """Read the tasks of a SQuAD-style JSON file."""
    try:
        data = parse_strict_json(text)
    except JsonProblemError as error:
        return TaskFile(problems=[f"{file if error.line is None else f'{file}:{error.line}'}: {error.message}"])
    lines = _LineFinder(text)
    if isinstance(data, dict) and "data" in data:
        return _official_squad(data["data"], file, lines, skip_unanswerable=skip_unanswerable)
    passages = [data] if isinstance(data, dict) else data
    if not isinstance(passages, list) or not passages:
        return TaskFile(problems=[f"{file}: {_SQUAD_SHAPE}"])
    return TaskFile([_squad_source(file, passage, lines) for passage in passages])


TASK_READERS: dict[str, Callable[[str, str, bool], TaskFile]] = {
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


def _official_squad(articles: object, file: str, finder: _LineFinder, *, skip_unanswerable: bool) -> TaskFile:
    if not isinstance(articles, list) or not articles:
        return TaskFile(problems=[f"{file}: data: must be a list of articles"])
    sources: list[TaskSource] = []
    problems: list[str] = []
    left_out = 0
    for index, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(article, dict) or not isinstance(paragraphs, list):
            problems.append(f"{file}: data[{index}]: must be an article with a list of paragraphs")
            continue
        title = article.get("title")
        title = title.replace("_", " ") if isinstance(title, str) else title
        for number, paragraph in enumerate(paragraphs):
            answerable, unanswerable = _by_answer(paragraph) if skip_unanswerable else (paragraph, 0)
            left_out += unanswerable
            passage, problem = _flat_passage(title, answerable)
            if problem:
                problems.append(f"{file}: data[{index}].paragraphs[{number}]: {problem}")
            elif not unanswerable or passage["questions"]:
                sources.append(_squad_source(file, passage, finder))
    return TaskFile(sources, problems, left_out)


def _by_answer(paragraph: object) -> tuple[object, int]:
    """Return a paragraph without the questions that have no answer, and how many these were."""
    if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
        return paragraph, 0
    kept = [one for one in paragraph["qas"] if not (isinstance(one, dict) and _has_no_answer(one))]
    return {**paragraph, "qas": kept}, len(paragraph["qas"]) - len(kept)


def _has_no_answer(entry: dict[str, Any]) -> bool:
    return bool(entry.get("is_impossible")) or entry.get("answers") == []


def _flat_passage(title: object, paragraph: object) -> tuple[dict[str, Any], str]:
    """Return a paragraph in the flat form, or what is wrong with it."""
    if not isinstance(paragraph, dict) or not isinstance(paragraph.get("qas"), list):
        return {}, "must be a paragraph with a context and a list of qas"
    questions: list[object] = []
    for number, entry in enumerate(paragraph["qas"]):
        if not isinstance(entry, dict) or not isinstance(entry.get("answers"), list):
            return {}, f"qas[{number}]: must be a question with a list of answers"
        if _has_no_answer(entry):
            return {}, f"qas[{number}]: {_UNANSWERABLE}"
        answers = [answer.get("text") if isinstance(answer, dict) else None for answer in entry["answers"]]
        questions.append({"question": entry.get("question"), "answers": answers})
    return {"title": title, "context": paragraph.get("context"), "questions": questions}, ""
