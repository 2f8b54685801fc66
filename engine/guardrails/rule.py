"""Rules, what they look at, and what they find, as values.

`kinds.py` reads a rule; `engine/gates/guardrails.py` applies it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from engine.input_files.input_model import InputModel

if TYPE_CHECKING:
    from store.records import Task

RuleVerdict = Literal["deny", "review", "note"]
VERDICTS: tuple[RuleVerdict, ...] = get_args(RuleVerdict)
AppliesTo = Literal["self-edit", "sequences", "both"]
_FORMER_REVIEW = "hold"


def renamed_verdict(written: object) -> object:
    """Return `review` for `hold`, its former name, which the files of older workspaces and recorded rounds have."""
    return "review" if written == _FORMER_REVIEW else written


def hashed_verdict(verdict: RuleVerdict) -> str:
    """Return a verdict as hashes contain it: with its former name, so that recorded hashes stay comparable."""
    return _FORMER_REVIEW if verdict == "review" else verdict


VerdictInput = Annotated[RuleVerdict, BeforeValidator(renamed_verdict)]


@dataclass(frozen=True, slots=True)
class TextPart:
    """One text to look at, and its name in evidence."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckInput:
    """What a rule judges: the parts that it applies to, the whole self-edit, and its task if that is known."""

    parts: tuple[TextPart, ...]
    self_edit: str
    sequences: tuple[str, ...]
    task: Task | None

    @property
    def document(self) -> str:
        """The task's title and context; empty if no task is known."""
        return "" if self.task is None else f"{self.task.title}\n{self.task.context}"


@dataclass(frozen=True, slots=True)
class Match:
    """One thing that a rule found. `text` is safe to store: masked if the thing itself must not be kept.

    `line` counts from 1 inside its part. `in_document` says whether the context contains it too; None: not checked.
    Two matches with the same `same_as` are one thing found twice; it is never stored. `of_audit` marks text of the exam
    itself, which leaves the database with no version.
    """

    where: str
    line: int | None
    what: str
    text: str
    in_document: bool | None = None
    same_as: str = ""
    of_audit: bool = False


@dataclass(frozen=True, slots=True)
class MatchReport:
    """Everything that a rule found, and the figures that it measured."""

    matches: tuple[Match, ...] = ()
    measured: dict[str, float | int | str | None] = field(default_factory=dict)


class Check(InputModel, ABC):
    """What a kind of rule looks for. Its fields are the options that a rule of that kind has in guardrails.yaml."""

    @abstractmethod
    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return what the check finds; always the same for the same texts."""

    @abstractmethod
    def says(self) -> str:
        """Say in words what the rule looks for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of guardrails.yaml. `options` are those of its check, as plain data; `place` is its file and line."""

    name: str
    kind: str
    verdict: RuleVerdict
    applies_to: AppliesTo
    check: Check
    options: dict[str, Any] = field(hash=False)
    place: str = ""


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """A rule's verdict on a self-edit: whether it passed, and the evidence."""

    rule: Rule
    passed: bool
    evidence: dict[str, Any] = field(hash=False)

    @property
    def denied(self) -> bool:
        """Whether nothing may be trained on the self-edit."""
        return not self.passed and self.rule.verdict == "deny"
