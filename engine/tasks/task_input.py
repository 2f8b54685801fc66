"""Tasks as files give them: what a task and a question must hold, and the checks across all tasks of a run.

The checks judge form, not sense: whether a context answers its questions is for the operator to see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from engine.graders.choice import choose_grader
from engine.graders.registry import DEFAULT_GRADER, grader_problems
from engine.input_files.input_model import FilledText, GraderOptions, InputModel, Text, Texts
from engine.input_files.validation import InputReader, LocatedData, valid_values
from store.records import Split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from engine.domains.domain import PromptForm
    from engine.input_files.located_yaml import Path
    from store.records import Document, Task

CHOSEN = ""  # no grader named: one is chosen
# These are right only if a whole accepted answer is in what the model says.
_WHOLE_ANSWER_GRADERS = frozenset({"exact", "contains", "squad"})


def _single_line(title: str) -> str:
    if len(title.splitlines()) > 1:
        raise ValueError("must be a single line")
    return title


class TaskInput(InputModel):
    """A task in a file; its questions are validated one by one."""

    title: Annotated[FilledText, AfterValidator(_single_line)]
    context: FilledText
    questions: Annotated[list[object], Field(min_length=1)]


class QuestionOrPrompt(InputModel):
    """The text of a suite's or red-team prompt: a question for the template of exams, or a text to continue."""

    question: FilledText = ""
    prompt: FilledText = ""

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """There must be one text."""
        del given
        texts = {"question", "prompt"} & set(written)
        if not texts:
            return [("", "has neither question nor prompt")]
        return [("", "has both question and prompt; keep one of the two")] if len(texts) > 1 else []

    @property
    def text(self) -> str:
        """The question or the prompt."""
        return self.question or self.prompt

    @property
    def raw(self) -> bool:
        """Whether the model continues the text itself."""
        return bool(self.prompt)


class QuestionInput(InputModel):
    """A question in a file, with one accepted answer or several; without a grader, one is chosen."""

    question: FilledText
    answer: FilledText = ""
    answers: Texts = ()
    grader: Text = CHOSEN
    options: GraderOptions = Field(default_factory=dict)
    split: Split | None = None

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """There must be an answer, or several."""
        del given
        answers = {"answer", "answers"} & set(written)
        if not answers:
            return [("", "has no answer")]
        return [("", "has both answer and answers; keep one of the two")] if len(answers) > 1 else []

    @property
    def accepted_answers(self) -> list[str]:
        """All accepted answers."""
        return list(self.answers or (self.answer,))


@dataclass(frozen=True, slots=True)
class TaskSource(LocatedData):
    """A task's data as a reader of files returns it, with the document that it was made from."""

    document: Document | None = None
    merge_repeated_questions: bool = False


@dataclass(frozen=True, slots=True)
class TaskFile:
    """The tasks of one file, not yet validated, what is wrong with the file itself, and how many questions in it have
    no answer and were left out.
    """

    sources: Sequence[TaskSource] = ()
    problems: Sequence[str] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class TaskRoom:
    """How a model counts a text's tokens, how many a title with its context may have, and how many an answer.

    `one_line` is whether an answer ends with its line.
    """

    count_tokens: Callable[[str], int]
    context_tokens: int
    answer_tokens: int
    one_line: bool = True


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A valid task with its valid questions; each question has the place that messages about it name."""

    source: TaskSource
    title: str
    context: str
    questions: list[tuple[str, QuestionInput]]


def question_key(text: str) -> str:
    """Return what two questions have in common if they differ only in case and spaces."""
    return " ".join(text.split()).casefold()


def read_draft(source: TaskSource, form: PromptForm) -> tuple[TaskDraft | None, list[str]]:
    """Validate a task and its questions; returns None if the task itself is not valid, and every problem.

    `form` is how the model is asked, on which the grader depends that is chosen where a question names none.
    """
    reader = InputReader(source)
    task = reader.read(TaskInput, source.data)
    entries = source.data.get("questions") if isinstance(source.data, dict) else None
    questions: list[tuple[str, QuestionInput]] = []
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        path: Path = ("questions", index)
        question = reader.read(QuestionInput, entry, path)
        if isinstance(entry, dict):
            report_grader(reader, path, valid_values(QuestionInput, entry), "options")
        if question is not None:
            questions.append((source.problem(path, ""), question))
    if source.merge_repeated_questions:
        questions = _merge_repeated(questions)
    questions = [(place, _with_grader(question, form)) for place, question in questions]
    draft = None if task is None else TaskDraft(source, task.title, task.context, questions)
    return draft, reader.problems


def _with_grader(question: QuestionInput, form: PromptForm) -> QuestionInput:
    if question.grader != CHOSEN:
        return question
    return question.model_copy(update={"grader": choose_grader(question.accepted_answers, form)})


def report_grader(reader: InputReader, path: Path, given: Mapping[str, Any], options_key: str) -> None:
    """Report what is wrong with the grader, its options or the answers of an entry, as far as these are valid."""
    answers = given.get("answers") or tuple(filter(None, (given.get("answer"),)))
    if "grader" not in given or options_key not in given:
        return
    keys = {"grader": "grader", "options": options_key, "answers": "answers" if given.get("answers") else "answer"}
    for part, problem in grader_problems(given["grader"] or DEFAULT_GRADER, given[options_key], answers):
        reader.report((*path, keys[part]), problem)


def _merge_repeated(questions: Sequence[tuple[str, QuestionInput]]) -> list[tuple[str, QuestionInput]]:
    merged: dict[str, tuple[str, QuestionInput]] = {}
    for place, question in questions:
        first_place, first = merged.setdefault(question_key(question.question), (place, question))
        answers = tuple(dict.fromkeys([*first.accepted_answers, *question.accepted_answers]))
        merged[question_key(question.question)] = (first_place, first.model_copy(update={"answers": answers}))
    return list(merged.values())


def check_drafts(drafts: Sequence[TaskDraft], room: TaskRoom | None) -> Iterator[str]:
    """Yield what is wrong with valid tasks: too long for the model, no reward question, or a question that repeats."""
    first_places: dict[tuple[str, str], str] = {}
    for draft in drafts:
        if room is not None:
            yield from _too_long(draft, room)
        if draft.questions and all(question.split == "audit" for _, question in draft.questions):
            yield f"{draft.source.place()}: all questions are for the audit; at least one must give the reward"
        for place, question in draft.questions:
            key = (question_key(draft.context), question_key(question.question))
            if key in first_places:
                yield f"{place}: the same context and question as {first_places[key]}"
            first_places.setdefault(key, place)


def _too_long(draft: TaskDraft, room: TaskRoom) -> Iterator[str]:
    length = room.count_tokens(f"{draft.title}\n{draft.context}")
    if length > room.context_tokens:
        yield (
            f"{draft.source.place()}: title and context are {length} tokens long, but the model's window leaves"
            f" room for {room.context_tokens}"
        )
    for place, question in draft.questions:
        if question.grader not in _WHOLE_ANSWER_GRADERS:
            continue
        answers = question.accepted_answers
        if room.one_line and all("\n" in answer.strip() for answer in answers):
            yield f"{place}: no answer is a single line, but in an exam an answer ends with its line"
        elif (shortest := min(room.count_tokens(f" {answer}") for answer in answers)) > room.answer_tokens:
            yield (
                f"{place}: every accepted answer has {shortest} tokens or more, but exam.max_new_tokens in seal.yaml"
                f" ends an answer after {room.answer_tokens}"
            )


def repeated_tasks(tasks: Sequence[Task], places: Sequence[str]) -> dict[int, str]:
    """Return the index of each task that equals an earlier one, with the problem in words."""
    first_places: dict[str, str] = {}
    problems: dict[int, str] = {}
    for index, (task, place) in enumerate(zip(tasks, places, strict=True)):
        if task.id in first_places:
            problems[index] = f"{place}: the same task as {first_places[task.id]}"
        first_places.setdefault(task.id, place)
    return problems
