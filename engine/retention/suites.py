"""Retention suites as values: prompts whose answers must not change, and anchor texts.

They say nothing about whether a model answers as they expect. Reading them from files is in `reading.py`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from store.hashing import hash_json

if TYPE_CHECKING:
    from engine.retention.answer_part import AnswerPart
    from engine.retention.harness_task import HarnessTask


@dataclass(frozen=True, slots=True)
class Choices:
    """What a prompt lets the model choose from: the likeliest continuation `delimiter` + option is the answer.

    With `per_character` each likelihood is divided by the option's length in characters.
    """

    options: tuple[str, ...]
    delimiter: str
    per_character: bool


@dataclass(frozen=True, slots=True)
class RetentionPrompt:
    """One prompt with all accepted answers.

    A question is put through the template of exams; with `as_it_stands` the text itself is what the model continues.
    `place` is "file:line". Without `choices` the answer is written, and `part` says which part of the text is graded.
    """

    text: str
    as_it_stands: bool
    answers: tuple[str, ...]
    grader: str
    grader_options: dict[str, Any] = field(hash=False)
    group: str
    place: str
    choices: Choices | None = None
    part: AnswerPart | None = None

    @property
    def identity(self) -> str:
        """The hash of all that an answer's verdict depends on, but for the model."""
        own = [asdict(one) for one in (self.choices, self.part) if one is not None]
        return hash_json([self.text, self.as_it_stands, list(self.answers), self.grader, self.grader_options, *own])


@dataclass(frozen=True, slots=True)
class HarnessPrompts:
    """Prompts of a suite that are still to be built from a task of lm-evaluation-harness, `limit` of them at most."""

    task: HarnessTask
    place: str
    limit: int | None
    grader: str
    grader_options: dict[str, Any] = field(hash=False)
    group: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The prompts of one file. `allowed_losses`: None is the settings' own, an int counts, a float is a share.

    Where `to_build` is set, `prompts` are empty until `harness_prompts.built` has built them.
    """

    name: str
    place: str
    prompts: tuple[RetentionPrompt, ...]
    anchors: tuple[str, ...]
    allowed_losses: float | None = None
    to_build: HarnessPrompts | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """All that a workspace's `retention/` folder holds."""

    suites: tuple[Suite, ...] = ()

    @property
    def prompts(self) -> tuple[RetentionPrompt, ...]:
        """The prompts of all suites."""
        return tuple(prompt for suite in self.suites for prompt in suite.prompts)

    @property
    def anchors(self) -> tuple[str, ...]:
        """The anchor texts of all files, each once, in the order of the files."""
        return tuple(dict.fromkeys(anchor for suite in self.suites for anchor in suite.anchors))

    def drift_anchors(self, most: int) -> tuple[str, ...]:
        """What drift is measured on: of more than `most` anchors those of lowest hash, in the order of the files."""
        drawn = set(sorted(self.anchors, key=hash_json)[:most])
        return tuple(anchor for anchor in self.anchors if anchor in drawn)
