"""What an experiment on forgetting is about: lineages of edits, what may be replayed, and what no edit touches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.graders.registry import grade_answer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bank.job import TrainingSequence
    from engine.domains.domain import StopRule
    from engine.lab.forgetting.methods import ForgettingMethod
    from engine.model.base import BaseModel
    from store.records import Question


@dataclass(frozen=True, slots=True)
class LineageQuestion:
    """A prompt with its only correct answer or, if it was asked as a `question` of a task or suite, with its grader."""

    prompt: str
    expected: str
    question: Question | None = None

    def is_right(self, answer: str) -> bool:
        """Whether an answer is correct."""
        if self.question is None:
            return answer == self.expected
        return grade_answer(self.question, answer).correct


@dataclass(frozen=True, slots=True)
class LineageEdit:
    """One edit: its training sequences as text, the passage last, and questions about it."""

    name: str
    changes_what_was_known: bool
    sequences: tuple[str, ...]
    questions: tuple[LineageQuestion, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Edits in their order, and questions about known things that none of them touches."""

    edits: tuple[LineageEdit, ...]
    untouched: tuple[LineageQuestion, ...]


class ForgettingWorld(Protocol):
    """Where lineages, anchors and recipes come from; an answer has at most `max_new_tokens`."""

    @property
    def max_new_tokens(self) -> int:
        """The longest answer, in tokens."""
        ...

    @property
    def stop(self) -> StopRule:
        """Where an answer ends."""
        ...

    def draw(self, seed: int, place: int, edits: int) -> Lineage:
        """Return the lineage at a place. Raises WrongUseError if there is not enough to edit."""
        ...

    def anchors(self, base: BaseModel, seed: int) -> tuple[TrainingSequence, ...]:
        """Return what updates rehearse; no lineage asks about it."""
        ...

    def encode(self, base: BaseModel, text: str, *, answers_only: bool) -> TrainingSequence:
        """Return a text of an edit as a sequence."""
        ...

    def made_up(self, texts: Sequence[str]) -> list[bool]:
        """Return, for each text of a perturbed anchor, whether it may be used: it names nothing that is asked about."""
        ...

    def scaled(self, method: ForgettingMethod) -> ForgettingMethod:
        """Return a method with the recipe and the rates that it has on this world's base."""
        ...
