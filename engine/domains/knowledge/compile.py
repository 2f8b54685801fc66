"""From the text of a self-edit to the sequences that an inner update trains on, in order.

As in SEAL (arXiv 2506.10943, section 3.1; `build_train_sequences` in its code), each line of the text becomes one
sequence with the title before it, and the context is the last. `default` splitting cleans the lines; `paper` splitting
keeps what SEAL keeps. Neither judges what a line says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Splitting = Literal["default", "paper"]

_LIST_MARK = re.compile(r"(?:[-*•–]|\(?\d{1,3}[.)])\s+")
_QUESTION = re.compile(r"(?:question|q)(?:\s+\d+)?\s*:\s*(?P<text>.*)", re.IGNORECASE)
_ANSWER = re.compile(r"(?:answer|a)(?:\s+\d+)?\s*:\s*(?P<text>.*)", re.IGNORECASE)
_QUESTION_WITH_ANSWER = re.compile(r"Question: *(?P<question>.*?) *\nAnswer(?: in a few words)?:", re.DOTALL)
_PAPER_QUESTION = re.compile(r"Question\s+\d+:")
_PAPER_ANSWER = re.compile(r"Answer\s*:")


def compile_sequences(
    completion: str, *, title: str, context: str, splitting: Splitting = "default", paper_lines: bool = True
) -> list[str]:
    """Return the training sequences of a self-edit; the context with its title is always the last.

    `default`: list marks are stripped, a question line is joined with the answer line after it in the form of the exam
    and without the title, and duplicates are dropped. `paper`: exactly SEAL's; `paper_lines` is its `split_newlines`,
    without which only "---" separates sequences.
    """
    if splitting == "paper":
        return [
            *(f"{title}\n{part}" for part in _paper_parts(completion, by_lines=paper_lines)),
            context_sequence(title, context),
        ]
    last = context_sequence(title, context)
    sequences = dict.fromkeys(_default_sequences(completion, title))
    sequences.pop(last, None)
    return [*sequences, last]


def context_sequence(title: str, context: str) -> str:
    """Return the context, with the title before it, as a training sequence."""
    return f"{title}\n{context.strip()}"


def answer_start(sequence: str) -> int:
    """Return the character at which the answer begins in a sequence of question and answer; 0 in any other."""
    found = _QUESTION_WITH_ANSWER.match(sequence)
    return 0 if found is None else found.end()


def question_of(sequence: str) -> str:
    """Return the question of a sequence of question and answer; "" of any other."""
    found = _QUESTION_WITH_ANSWER.match(sequence)
    return "" if found is None else found["question"]


def _default_sequences(completion: str, title: str) -> Iterator[str]:
    lines = [line for line in map(_without_list_mark, completion.splitlines()) if line]
    position = 0
    while position < len(lines):
        question = _QUESTION.fullmatch(lines[position])
        answer = _ANSWER.fullmatch(lines[position + 1]) if question and position + 1 < len(lines) else None
        if question and question["text"] and answer and answer["text"]:
            yield f"Question: {question['text']}\nAnswer: {answer['text']}"
            position += 2
            continue
        if not _is_bare_label(lines[position]):
            yield f"{title}\n{lines[position]}"
        position += 1


def _without_list_mark(line: str) -> str:
    bare = line.strip()
    mark = _LIST_MARK.match(bare + " ")
    return bare[mark.end() :].strip() if mark else bare


def _is_bare_label(line: str) -> bool:
    """Return whether a line is only "Question:" or "Answer:", from which there is nothing to learn."""
    label = _QUESTION.fullmatch(line) or _ANSWER.fullmatch(line)
    return label is not None and not label["text"]


def _paper_parts(completion: str, *, by_lines: bool) -> list[str]:
    """Split as SEAL does: at "---", then at numbered questions if there are any, else into lines.

    If the second line begins with "1.", the first ("Sure, here is a list:") is dropped.
    """
    segments = [segment.strip() for segment in completion.split("---") if segment.strip()] or [completion.strip()]
    if not by_lines:
        return segments
    if _PAPER_QUESTION.search(completion) and _PAPER_ANSWER.search(completion):
        questions = re.split(r"\n(?=Question\s+\d+:)", completion.strip())
        if not questions[0].lstrip().startswith("Question"):
            questions[0] = f"Question 1: {questions[0].strip()}"
        return questions
    lines = [line.strip() for segment in segments for line in segment.splitlines() if line.strip()]
    return lines[1:] if len(lines) > 1 and lines[1].startswith("1.") else lines
