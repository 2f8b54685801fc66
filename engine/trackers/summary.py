"""What a round came to, as typed values: the record of a finished round, and what trackers are given.

Needs no model. A round that was imported from elsewhere has figures of its own and no `RoundSummary`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from store.share import Share
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from store.records import Round

DROPPED_POLICY = -1  # in place of a version: keeps a dropped policy's figure from being taken for that of the base


@dataclass(frozen=True, slots=True)
class HeldOutFigure:
    """Accuracy (0 … 1) after inner updates on a policy's self-edits for held-out tasks.

    It rests on this many answers about this many tasks; None in rounds of older releases. `policy_version` is None for
    the base and DROPPED_POLICY for a policy that was not kept. `conditions` is the hash of everything else that the
    figure depends on.
    """

    accuracy: float
    policy_version: int | None
    conditions: str
    answers: int | None = None
    tasks: int | None = None

    @property
    def share(self) -> Share | None:
        """The accuracy with what it rests on."""
        if self.answers is None or self.tasks is None:
            return None
        return Share(round(self.accuracy * self.answers), self.answers, self.tasks)


@dataclass(frozen=True, slots=True)
class HeldOutFigures:
    """The policy before the round and the one that it trained; None was not measured."""

    before: HeldOutFigure | None = None
    after: HeldOutFigure | None = None


@dataclass(frozen=True, slots=True)
class PolicyTraining:
    """How the M-step went: optimiser steps, trained tokens, seconds, losses in nats per token (None: not finite)."""

    steps: int
    trained_tokens: int
    elapsed_s: float
    losses: list[float | None]


@dataclass(frozen=True, slots=True)
class AlarmRef:
    """An alarm by its number and name."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What automatic acceptance did in a round; `said` is a sentence for people.

    `version` is the tag of what went live. `alarms` are those that prevented it, by number.
    """

    said: str
    candidate: str | None = None
    version: str | None = None
    alarms: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RacingFigures:
    """What a race over repeats saved: self-edits that stopped early, and inner updates that were not trained.

    Both are counted among the self-edits that were examined.
    """

    rule: str
    self_edits: int
    stopped: int
    updates: int
    of_updates: int

    @property
    def said(self) -> str:
        """The saving in a phrase."""
        saved = f"{100 * (1 - self.updates / self.of_updates):.0f} %"
        return f"{self.stopped} of {counted(self.self_edits, 'self-edit')}, which saved {saved} of the inner updates"


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """What a round came to.

    `kept` are the ids of the candidates that the policy was trained on; `mean_reward` is None if nothing was trained.
    `measures` are those of the alarms (`alarms.measures`), by name. `racing` is None if nothing stopped early.
    """

    candidates: int
    kept: list[str]
    refused: int
    mean_reward: float | None
    held_out: HeldOutFigures = field(default_factory=HeldOutFigures)
    policy_training: PolicyTraining | None = None
    measures: dict[str, float | None] = field(default_factory=dict)
    alarms: list[AlarmRef] = field(default_factory=list)
    acceptance: Acceptance | None = None
    racing: RacingFigures | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        row = asdict(self)
        if self.acceptance is not None:
            row["acceptance"]["alarms"] = list(self.acceptance.alarms)
        return row


def published(summary: dict[str, Any]) -> dict[str, Any]:
    """Return a summary for other programs: a policy that was not kept has no version there."""
    after = (summary.get("held_out") or {}).get("after")
    if not after or after.get("policy_version") != DROPPED_POLICY:
        return summary
    return {**summary, "held_out": {**summary["held_out"], "after": {**after, "policy_version": None}}}


def racing_of(summary: Mapping[str, Any]) -> RacingFigures | None:
    """Return what racing saved, from a published summary; None if nothing stopped early."""
    racing = summary.get("racing")
    return None if not racing else RacingFigures(**racing)


def summary_of(finished: Round) -> RoundSummary | None:
    """Return the summary of a finished round; None if it is not finished, was imported, or has another shape."""
    if finished.summary is None or finished.imported:
        return None
    try:
        summary: RoundSummary = _adapter().validate_python(finished.summary)
    except ValidationError:
        return None
    return summary


@cache
def _adapter() -> TypeAdapter[RoundSummary]:
    return TypeAdapter(RoundSummary)
