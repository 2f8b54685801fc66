"""Tasks in SQuAD's forms: the official v1.1 JSON, and the flat list of passages with their questions.

SQuAD asks some questions twice with other annotators' answers; such repetitions become one question that accepts all of
their answers. Titles lose the underscores of the official form. Lines are found by searching the text, so the line of a
passage whose text stands in the file more than once may be that of the first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from engine.input_files.strict_json import JsonProblemError, parse_strict_json
from engine.tasks.sources import Parsed, TaskSource, refused

if TYPE_CHECKING:
    from engine.input_files.located_yaml import Path as KeyPath

_SHAPE = "must be SQuAD v1.1 ({'data': [...]}) or a list of {title, context, questions}"

_SEARCHED_CHARACTERS = 1_000_000


def read_squad(text: str, file: str) -> Parsed:
    """Read the tasks of a SQuAD-style JSON file."""
    try:
        data = parse_strict_json(text)
    except JsonProblemError as error:
        return refused(file, error.line, error.message)
    if isinstance(data, dict) and "data" in data:
        return _read_official(data["data"], text, file)
    passages = [data] if isinstance(data, dict) else data
    if not isinstance(passages, list) or not passages:
        return refused(file, None, _SHAPE)
    lines = _Lines(text)
    return Parsed([_source(file, passage, lines) for passage in passages])


class _Lines:
    """Finds the line on which a value of a JSON file stands, searching on from where the last one was."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1

    def find(self, value: object) -> int | None:
        """Return the line of a text, or None where it is empty or cannot be found after the last one."""
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


def _source(file: str, passage: object, lines: _Lines) -> TaskSource:
    found: dict[KeyPath, int] = {}
    if isinstance(passage, dict):
        _note(found, (), lines.find(passage.get("context")) or lines.find(passage.get("title")))
        questions = passage.get("questions")
        for index, question in enumerate(questions if isinstance(questions, list) else []):
            text = question.get("question") if isinstance(question, dict) else None
            _note(found, ("questions", index), lines.find(text))
    return TaskSource(file, passage, found, merge_repeated_questions=True)


def _note(found: dict[KeyPath, int], path: KeyPath, line: int | None) -> None:
    if line is not None:
        found[path] = line


def _read_official(articles: object, text: str, file: str) -> Parsed:
    parsed = Parsed()
    lines = _Lines(text)
    if not isinstance(articles, list) or not articles:
        return refused(file, None, "data: must be a list of articles")
    for index, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(article, dict) or not isinstance(paragraphs, list):
            parsed.problems.append(f"{file}: data[{index}]: must be an article with a list of paragraphs")
            continue
        title = article.get("title")
        title = title.replace("_", " ") if isinstance(title, str) else title
        for number, paragraph in enumerate(paragraphs):
            passage, problem = _passage(title, paragraph)
            if problem:
                parsed.problems.append(f"{file}: data[{index}].paragraphs[{number}]: {problem}")
            else:
                parsed.sources.append(_source(file, passage, lines))
    return parsed


def _passage(title: object, paragraph: object) -> tuple[object, str]:
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
