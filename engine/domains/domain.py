"""The port for domains: everything that the loop needs to know about a kind of task.

A domain is pure text in, text out. It loads no model: an executor tokenises its prompts and training examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Candidate, Question, Task

StopRule = Literal["line", "end"]
PromptForm = Literal["chat", "few-shot", "plain"]
"""How questions are put to a model: as a turn of a chat, after a few answered questions, or alone."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One training text. The loss is taken over the characters from `loss_start` on; 0 trains on all of it.

    What stands before `loss_start` is a prompt: a chat model is given it as the user's turn, and learns the rest as its
    own.
    """

    text: str
    loss_start: int = 0


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """What an inner update trains on, in order."""

    examples: tuple[TrainingExample, ...]


def loss_starts_of(examples: Sequence[TrainingExample]) -> list[int]:
    """Return where the loss of each example begins, as a candidate records it: empty if each is trained on whole."""
    starts = [example.loss_start for example in examples]
    return starts if any(starts) else []


def examples_of(candidate: Candidate) -> list[TrainingExample]:
    """Return the training examples that a candidate records."""
    starts = candidate.loss_starts or [0] * len(candidate.sequences)
    return [TrainingExample(text, start) for text, start in zip(candidate.sequences, starts, strict=True)]


@dataclass(frozen=True, slots=True)
class ExamItem:
    """One question of an exam: the prompt, where the answer ends, and the question that it is graded against.

    `stop` "line" ends an answer at the first line break after its first token, "end" only at the model's own end of
    text; both end it after `max_new_tokens` tokens.
    """

    question: Question
    prompt: str
    stop: StopRule
    max_new_tokens: int


class Domain(Protocol):
    """How tasks of one kind are taught and examined."""

    @property
    def edit_format(self) -> str:
        """The name of the form of self-edit that prompts ask for; each candidate records it."""
        ...

    def prompt(self, task: Task) -> str:
        """Return the prompt that asks the policy for a self-edit."""
        ...

    def compile(self, self_edit: str, task: Task) -> UpdatePlan:
        """Turn a self-edit into training data. An empty one leaves what the task itself offers."""
        ...

    def replayed(self, examples: Sequence[TrainingExample], task: Task) -> list[TrainingExample]:
        """Return which training examples of an accepted edit later updates replay."""
        ...

    def example(self, text: str) -> TrainingExample:
        """Return a training text that a person wrote as it is trained on."""
        ...

    def anchor(self, text: str) -> TrainingExample:
        """Return an anchor text of `retention/` as it is trained on."""
        ...

    @property
    def form(self) -> PromptForm:
        """How questions are asked."""
        ...

    @property
    def stop(self) -> StopRule:
        """Where an answer to a question ends."""
        ...

    def question_prompt(self, question: str) -> str:
        """Return a question that belongs to no task, such as one of a retention suite, in the form of the exam."""
        ...

    def exam(self, questions: Sequence[Question]) -> list[ExamItem]:
        """Return the exam items of questions, in their order. No item shows the task's context."""
        ...

    def open_exam(self, task: Task) -> list[ExamItem]:
        """Return the exam items of a task's questions with its context in view, which give the task's ceiling."""
        ...
