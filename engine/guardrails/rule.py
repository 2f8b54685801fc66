"""A rule, what it looks at, and what it finds, as values.

They say nothing about how a rule is written (`rule_files.py`) or judged (`judging.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from store.hashing import hash_json

if TYPE_CHECKING:
    from engine.guardrails.judge_section import JudgeSettings
    from engine.guardrails.red_team import RedTeamPrompt
    from store.records import Task

RuleVerdict = Literal["deny", "hold", "note"]
VERDICTS: tuple[RuleVerdict, ...] = get_args(RuleVerdict)
AppliesTo = Literal["self-edit", "sequences", "both"]
APPLIES_TO: tuple[AppliesTo, ...] = get_args(AppliesTo)


@dataclass(frozen=True, slots=True)
class TextPart:
    """One text to look at, and what it is called in evidence."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckInput:
    """What a rule judges: the parts that it applies to, the self-edit whole, and its task where that is known."""

    parts: tuple[TextPart, ...]
    self_edit: str
    sequences: tuple[str, ...]
    task: Task | None

    @property
    def document(self) -> str:
        """The task's title and passage; empty where no task is known."""
        return "" if self.task is None else f"{self.task.title}\n{self.task.context}"


@dataclass(frozen=True, slots=True)
class Match:
    """One thing that a rule found. `text` is safe to keep: masked where the thing itself must not be stored.

    `line` counts from 1 inside its part. `in_document` says whether the document holds it too; None: not looked for.
    `same_as` tells whether two matches are one thing found twice; it is never kept. `of_audit` says that the text is
    the exam's own, which leaves the database with no version.
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
    """All that a rule found, and the figures that it measured on the way."""

    matches: tuple[Match, ...] = ()
    measured: dict[str, float | int | str | None] = field(default_factory=dict)


class Check(Protocol):
    """What a kind of rule does, with the options of one rule; a frozen dataclass of plain values."""

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return what is found; the same for the same texts."""
        ...

    def says(self) -> str:
        """Say in words what the rule looks for."""
        ...


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
    """A rule's verdict on a self-edit: whether it passed, what a failure does, and the evidence."""

    rule: Rule
    passed: bool
    evidence: dict[str, Any] = field(hash=False)

    @property
    def denied(self) -> bool:
        """True where nothing may be trained on the self-edit."""
        return not self.passed and self.rule.verdict == "deny"


@dataclass(frozen=True, slots=True)
class Guardrails:
    """All that a guardrails.yaml says, and its text; everything is empty where there is none."""

    rules: tuple[Rule, ...] = ()
    text: str = ""
    red_team: tuple[RedTeamPrompt, ...] = ()
    judge: JudgeSettings | None = None

    @property
    def hash(self) -> str:
        """The hash of what the file says; places, comments and spaces in it play no part."""
        rules = [[rule.name, rule.kind, rule.verdict, rule.applies_to, rule.options] for rule in self.rules]
        if not self.red_team and self.judge is None:
            return hash_json(rules)
        prompts = [prompt.as_hashed() for prompt in self.red_team]
        return hash_json([rules, prompts, None if self.judge is None else self.judge.as_hashed()])

    @property
    def bear_on_training(self) -> bool:
        """Whether anything here may keep a self-edit from being trained on."""
        return bool(self.rules) or self.judge is not None
