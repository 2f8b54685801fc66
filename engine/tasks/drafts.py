"""From plain data to a draft of a task: the right keys with the right types, or problems that name their place.

A draft may still be useless (empty, repeated, ungradable); `checking.py` decides that over all tasks together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from store.hashing import canonical_json

if TYPE_CHECKING:
    from engine.input_files.located_yaml import Path as KeyPath
    from engine.tasks.sources import TaskSource
    from store.records import Split

TASK_KEYS = ("title", "context", "questions")
QUESTION_KEYS = ("question", "answer", "answers", "grader", "options", "split")


@dataclass(frozen=True, slots=True)
class QuestionDraft:
    """A question as a file gives it; `place` is the beginning of every message about it."""

    place: str
    text: str
    answers: list[str]
    grader: str
    options: dict[str, Any]
    split: Split | None


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task as a file gives it. Questions with problems of their own are left out; a text with one is empty."""

    source: TaskSource
    title: str
    context: str
    questions: list[QuestionDraft]

    @property
    def place(self) -> str:
        """The beginning of every message about the task."""
        return self.source.place()

    def source_value(self, key: str) -> object:
        """Return what the file itself has under a key, None where it has nothing."""
        return self.source.data.get(key) if isinstance(self.source.data, dict) else None


@dataclass(slots=True)
class SourceReader:
    """Takes a source apart and collects what is wrong with it."""

    source: TaskSource
    problems: list[str] = field(default_factory=list)

    def report(self, path: KeyPath, message: str, question: int | None = None) -> None:
        """Note a problem with the part at a path."""
        of_question = "" if question is None else f"question {question + 1}: "
        self.problems.append(f"{self.source.place(path)}: {of_question}{message}")

    def text(self, value: object, path: KeyPath, question: int | None = None) -> str:
        """Return a text, or report and return an empty one."""
        key = path[-1] if isinstance(path[-1], str) else f"{path[-2]}[{path[-1]}]"
        if not isinstance(value, str):
            self.report(path, f"{key} must be text (is {kind_of(value)})", question)
        elif not _is_unicode(value):
            self.report(path, f"{key} holds half a surrogate pair, which is no character", question)
        else:
            return value
        return ""

    def unknown_keys(
        self, data: dict[str, Any], known: tuple[str, ...], path: KeyPath, question: int | None = None
    ) -> None:
        """Note each key that is not known, with the nearest that is."""
        for key in data:
            if key not in known:
                nearest = get_close_matches(key, known, n=1, cutoff=0.5)
                hint = f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(known)}"
                self.report((*path, key), f"unknown key {key!r}; {hint}", question)

    def options(self, value: object, path: KeyPath, question: int | None = None) -> dict[str, Any]:
        """Return a grader's options, or report and return none."""
        if not isinstance(value, dict):
            self.report(path, f"{path[-1]} must be keys with values (is {kind_of(value)})", question)
            return {}
        try:
            canonical_json(value).encode("utf-8")
        except (TypeError, ValueError, RecursionError):
            message = f"{path[-1]} must be plain text, numbers, true or false, lists and keys"
            self.report(path, message, question)
            return {}
        return value


def draft_of(source: TaskSource, default_grader: str) -> tuple[TaskDraft | None, list[str]]:
    """Return the draft of a task, None where there are no keys to read, and all problems of its form."""
    reader = SourceReader(source)
    data = source.data
    if not isinstance(data, dict):
        reader.report((), f"a task must have the keys title, context and questions (is {kind_of(data)})")
        return None, reader.problems
    reader.unknown_keys(data, TASK_KEYS, (), None)
    missing = [key for key in TASK_KEYS if key not in data]
    if missing:
        reader.report((), f"{' and '.join(missing)} missing")
    title, context = (reader.text(data[key], (key,)) if key in data else "" for key in ("title", "context"))
    questions = _questions(reader, data.get("questions", []), default_grader)
    if source.merge_repeated_questions:
        questions = _merge_repeated(questions)
    return TaskDraft(source, title, context, questions), reader.problems


def question_key(text: str) -> str:
    """Return what two questions have in common that are the same but for case and spaces."""
    return " ".join(text.split()).casefold()


def kind_of(value: object) -> str:
    """Say what kind of value stands where another was wanted."""
    names = {dict: "keys with values", list: "a list", str: "text", bool: "true or false", type(None): "empty"}
    if isinstance(value, str):
        return "text"
    return names.get(type(value), "a number" if isinstance(value, int | float) else type(value).__name__)


def _questions(reader: SourceReader, data: object, default_grader: str) -> list[QuestionDraft]:
    if not isinstance(data, list):
        reader.report(("questions",), f"questions must be a list (is {kind_of(data)})")
        return []
    drafts = (_question(reader, entry, index, default_grader) for index, entry in enumerate(data))
    return [draft for draft in drafts if draft is not None]


def _question(reader: SourceReader, entry: object, index: int, default_grader: str) -> QuestionDraft | None:
    path: KeyPath = ("questions", index)
    if not isinstance(entry, dict):
        reader.report(path, f"must have the keys question and answer (is {kind_of(entry)})", index)
        return None
    before = len(reader.problems)
    reader.unknown_keys(entry, QUESTION_KEYS, path, index)
    if "question" not in entry:
        reader.report(path, "question missing", index)
    text = reader.text(entry["question"], (*path, "question"), index) if "question" in entry else ""
    answers = _answers(reader, entry, path, index)
    grader = reader.text(entry["grader"], (*path, "grader"), index) if "grader" in entry else default_grader
    options = reader.options(entry.get("options", {}), (*path, "options"), index)
    split = _split(reader, entry.get("split"), (*path, "split"), index)
    if len(reader.problems) > before:
        return None
    place = f"{reader.source.place(path)}: question {index + 1}"
    return QuestionDraft(place, text, answers, grader, options, split)


def _answers(reader: SourceReader, entry: dict[str, Any], path: KeyPath, index: int) -> list[str]:
    if ("answer" in entry) == ("answers" in entry):
        message = "has both answer and answers" if "answer" in entry else "has no answer"
        reader.report(path, f"{message}; give one of the two", index)
        return []
    if "answer" in entry:
        return [reader.text(entry["answer"], (*path, "answer"), index)]
    answers = entry["answers"]
    if not isinstance(answers, list):
        reader.report((*path, "answers"), f"answers must be a list (is {kind_of(answers)})", index)
        return []
    texts = [reader.text(answer, (*path, "answers", number), index) for number, answer in enumerate(answers)]
    return list(dict.fromkeys(texts))


def _split(reader: SourceReader, split: object, path: KeyPath, index: int) -> Split | None:
    if split == "reward":
        return "reward"
    if split == "audit":
        return "audit"
    if split is not None:
        reader.report(path, f"split must be reward or audit (is {split!r})", index)
    return None


def _merge_repeated(questions: list[QuestionDraft]) -> list[QuestionDraft]:
    merged: dict[str, QuestionDraft] = {}
    for question in questions:
        key = question_key(question.text)
        earlier = merged.get(key)
        if earlier is None or not key:
            merged[key] = question
        else:
            merged[key] = replace(earlier, answers=list(dict.fromkeys([*earlier.answers, *question.answers])))
    return list(merged.values())


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
