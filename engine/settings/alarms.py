"""The sections of `seal.yaml` on what is alarming in a round, and on what may go live without a person."""

from __future__ import annotations

from pydantic import Field

from engine.settings.section import PositiveInt, Section


class AlarmSettings(Section):
    """When the figures of a round are alarming; null switches one alarm off. docs/alarms.md has the reasons."""

    one_answer: float | None = Field(
        default=0.25,
        ge=0,
        le=1,
        description="the commonest answer's share of the questions may be this much above the same share of the gold "
        "answers",
    )
    accuracy_fall: float | None = Field(
        default=0.05,
        ge=0,
        le=1,
        description="held-out or audit accuracy may fall by less than this while answers agree more",
    )
    alike: float | None = Field(
        default=0.95,
        ge=0,
        le=1,
        description="likeness from which the self-edits of a task count as alike; most may not",
    )
    echo: float | None = Field(
        default=0.8, ge=0, le=1, description="share copied from the prompt from which a task's self-edits are an echo"
    )
    length_factor: float | None = Field(
        default=3.0, gt=1, description="self-edits may become less than so many times as long, or as short"
    )
    audit_fall: float | None = Field(
        default=0.1,
        ge=0,
        le=2,
        description="the mean audit gain may fall by less than this while the mean reward rises",
    )
    significance: float = Field(
        default=0.01, gt=0, lt=0.5, description="how likely chance may be to raise an alarm, over all compared rounds"
    )
    rounds_back: PositiveInt = Field(default=5, description="earlier rounds that a round is compared with, at most")


class AcceptanceSettings(Section):
    """Whether the best candidate of a round becomes live without a person. Never while an alarm stands."""

    automatic: bool = Field(default=False, description="true: after each round its best candidate goes live")
    min_reward: float | None = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="its reward must be strictly above it, besides the gates; null: gates alone",
    )
    min_audit_gain: float | None = Field(
        default=0.0,
        ge=-1,
        le=1,
        description="its gain on the audit questions must be measured and at least this; null: gates alone",
    )
