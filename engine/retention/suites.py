"""Retention suites as values: prompts whose answers must not change, and anchor texts.

Whether a model answers as they expect is not known here. `reading.py` reads them from files.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import floor
from typing import Any

from store.hashing import hash_json
from store.records import Question

LIKELIHOOD = "likelihood"
"""What a prompt with choices has instead of a grader."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What the model chooses from: the likeliest continuation `delimiter` + option is its answer.

    With `per_character`, each log-likelihood is divided by the option's length in characters.
    """

    options: tuple[str, ...]
    delimiter: str
    per_character: bool


@dataclass(frozen=True, slots=True)
class RetentionPrompt:
    """One prompt with all accepted answers.

    A question gets the template of exams; with `raw` the model continues the text itself. `place` is
    "file:line". Without `choices` the model writes its answer.
    """

    text: str
    raw: bool
    answers: tuple[str, ...]
    grader: str
    grader_options: dict[str, Any] = field(hash=False)
    group: str
    place: str
    choices: Choices | None = None

    @property
    def identity(self) -> str:
        """The hash of everything except the model that the verdict on an answer depends on."""
        choices = [asdict(self.choices)] if self.choices else []
        return hash_json([self.text, self.raw, list(self.answers), self.grader, self.grader_options, *choices])

    def as_question(self) -> Question:
        """Return the prompt in the form that graders take."""
        return Question(
            id=self.identity,
            task_id=self.place,
            position=0,
            text=self.text,
            answers=list(self.answers),
            grader=self.grader,
            grader_options=self.grader_options,
            split="audit",
        )


@dataclass(frozen=True, slots=True)
class Suite:
    """The prompts and anchors of one file; `anchor_prompts` become anchors with the base's own answers.

    `allowed_losses` is a count if it is an int, a share (0 … 1) of the prompts if it is a float, and None if the limit
    of the settings applies.
    """

    name: str
    place: str
    prompts: tuple[RetentionPrompt, ...]
    anchors: tuple[str, ...]
    allowed_losses: float | None = None
    anchor_prompts: tuple[str, ...] = ()

    @property
    def prompts_hash(self) -> str:
        """The hash of the prompts with their answers and graders, in any order."""
        return hash_json(sorted(prompt.identity for prompt in self.prompts))


@dataclass(frozen=True, slots=True)
class Retention:
    """Everything in a workspace's `retention/` folder."""

    suites: tuple[Suite, ...] = ()

    @property
    def prompts(self) -> tuple[RetentionPrompt, ...]:
        """The prompts of all suites."""
        return tuple(prompt for suite in self.suites for prompt in suite.prompts)

    @property
    def anchors(self) -> tuple[str, ...]:
        """The anchor texts of all files, each once, in the order of the files."""
        return tuple(dict.fromkeys(anchor for suite in self.suites for anchor in suite.anchors))

    @property
    def anchor_prompts(self) -> tuple[str, ...]:
        """The questions whose answers by the base itself are anchors, each once, in the order of the files."""
        return tuple(dict.fromkeys(prompt for suite in self.suites for prompt in suite.anchor_prompts))

    def drift_anchors(self, most: int) -> tuple[str, ...]:
        """Return the anchors that drift is measured on, at most `most`: those of lowest hash, in the files' order."""
        drawn = set(sorted(self.anchors, key=hash_json)[:most])
        return tuple(anchor for anchor in self.anchors if anchor in drawn)


def losses_allowed(allowed: float, prompts: int) -> int:
    """Return how many losses a limit allows: an int is a count, a float a share of the prompts, rounded down."""
    if isinstance(allowed, int):
        return allowed
    # 0.29 of 100 is 29, as it was written; the nearest binary number would make it 28.
    return floor(Fraction(str(allowed)) * prompts)
