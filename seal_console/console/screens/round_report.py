"""Text and rows about rounds: proposed, refused and kept self-edits, and whether the policy improved."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.trackers.summary import summary_of
from seal_console.console.content import (
    assemble,
    fact,
    format_duration,
    format_time,
    heading,
    lines,
    muted,
    safe,
    sparkline,
)
from seal_console.console.widgets.table_columns import Cell, Column
from seal_console.format import gain, percent, short_id
from seal_console.queries.rounds import policy_outcome
from store.version_tags import live_name, policy_tag
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.content import Content

    from seal_console.console.widgets.table_columns import Row, Tone
    from seal_console.queries.rounds import RankedCandidate, RoundFacts, RoundLine
    from store.records import PolicyVersion


_BAR_CELLS = 20
_CURVE_CELLS = 40


def round_report(facts: RoundFacts, rounds: Sequence[RoundLine], policies: Sequence[PolicyVersion]) -> Content:
    """Write the report of a round; `rounds` are all of them, oldest first, for the curve over rounds."""
    return lines(*_head(facts), *_e_step(facts), *_m_step(facts), *_trajectory(rounds), *_policies(policies))


def policy_name(number: int | None) -> str:
    """Return the author of the self-edits: a policy's tag, or the base."""
    return "the base model" if number is None else policy_tag(number)


def duration(line: RoundLine) -> str:
    """Return how long a round took; "–" if unknown."""
    return "–" if line.duration_s is None else format_duration(line.duration_s)


def _head(facts: RoundFacts) -> list[Content]:
    line = facts.line
    title = assemble(
        (f"Round {line.number}", "bold"),
        f"  {line.state}",
        ("  imported", "$text-accent bold") if line.imported else "",
    )
    if line.imported:
        source = str(facts.round.settings.get("source") or facts.round.settings.get("path") or "a published run")
        return [title, fact("from", source), fact("imported", format_time(line.started_at)), safe("")]
    return [
        title,
        fact("started", format_time(line.started_at)),
        fact("finished", f"{format_time(line.finished_at)}, after {duration(line)}" if line.finished_at else "not yet"),
        *_given_up(facts),
        fact("seed", str(line.seed)),
        fact("student", live_name(line.live_version)),
        fact("written by", policy_name(line.policy_version)),
        fact("tasks", f"{line.tasks:,} to train on, {line.held_out_tasks:,} held out"),
        safe(""),
    ]


def _given_up(facts: RoundFacts) -> list[Content]:
    said = (facts.round.summary or {}).get("abandoned")
    return [fact("given up", f"by {said.get('actor')}: {said.get('reason')}")] if isinstance(said, dict) else []


def _e_step(facts: RoundFacts) -> list[Content]:
    line = facts.line
    formats = ", ".join(f"{count:,} as {name}" for name, count in facts.by_format.items())
    rows = [
        heading("E-step: self-edits written and evaluated"),
        fact("candidates", formats or "none yet"),
        fact("reward", f"mean {gain(line.mean_reward)}, best {gain(line.best_reward)}"),
        fact("kept", "not known" if line.kept is None else f"{line.kept:,}"),
        fact("refused", _refused(facts)),
    ]
    if facts.updates:
        known = facts.trained_tokens
        tokens = f" on {counted(known, 'token')}" if known else ", their tokens not published"
        rows.append(fact("inner updates", f"{facts.updates:,}{tokens}"))
    if line.racing is not None:
        rows.append(fact("stopped early", line.racing.said))
    if facts.first_loss is not None and facts.last_loss is not None:
        rows.append(fact("loss", f"{facts.first_loss:.3f} → {facts.last_loss:.3f}, first to last step"))
    most = max((one.count for one in facts.rewards), default=0)
    if most:
        rows.append(muted("Candidates by reward"))
    for one in facts.rewards if most else []:
        bar = "█" * math.ceil(_BAR_CELLS * one.count / most)
        rows.append(assemble(f"{one.low:+.2f} … {one.high:+.2f} ", (bar, "$text-accent"), f" {one.count:,}"))
    return [*rows, safe("")]


def _refused(facts: RoundFacts) -> str:
    gates = ", ".join(f"{count:,} by {gate}" for gate, count in facts.refused_by_gate.items())
    return f"{facts.line.refused:,}" + (f": {gates}" if gates else "")


def _m_step(facts: RoundFacts) -> list[Content]:
    line = facts.line
    rows = [heading("M-step: the policy is trained on kept self-edits")]
    if line.imported:
        return [*rows, muted("Not published with the run."), safe("")]
    if not line.held_out_tasks:
        return [*rows, muted("No task is held out, so no policy was trained."), safe("")]
    edits = f", {counted(facts.held_out_edits, 'self-edit')} each" if facts.held_out_edits else ""
    rows.append(
        fact(
            "held out",
            f"{counted(line.held_out_tasks, 'task')}, {counted(facts.held_out_questions, 'question')}{edits}",
        )
    )
    before, after = line.held_out_before, line.held_out_after
    change = "" if before is None or after is None else f"  ({gain(after - before)})"
    rows.append(fact("exam", f"{percent(before)} before → {percent(after)} after{change}"))
    if facts.policy is not None:
        rows.append(safe(f"✓ the new policy was kept as {facts.policy.tag}", "$text-success"))
    elif line.policy_dropped:
        rows.append(safe("✗ the new policy was dropped: it did no better on held-out tasks", "$text-error"))
    elif line.finished_at is not None:
        rows.append(muted("Nothing was kept, so the policy is unchanged."))
    return [*rows, *_policy_training(facts), safe("")]


def _policy_training(facts: RoundFacts) -> list[Content]:
    summary = summary_of(facts.round)
    training = None if summary is None else summary.policy_training
    if training is None or not training.losses:
        return []
    losses = [loss for loss in training.losses if loss is not None]
    if not losses:
        return [muted("The policy's training had no finite loss.")]
    curve = assemble((sparkline(losses, _CURVE_CELLS), "$text-accent"), f" {losses[0]:.3f} → {losses[-1]:.3f}")
    return [
        fact("trained", f"{counted(training.steps, 'step')} on {counted(training.trained_tokens, 'token')}"),
        fact("policy loss", curve),
    ]


def _trajectory(rounds: Sequence[RoundLine]) -> list[Content]:
    measured = [one for one in rounds if one.mean_reward is not None and not one.imported]
    if not measured:
        return []
    curve = [one.mean_reward or 0.0 for one in measured]
    held_out = [one.held_out_after for one in measured if one.held_out_after is not None]
    rows = [
        heading("Mean reward over the rounds"),
        assemble((sparkline(curve, _CURVE_CELLS), "$text-accent"), f"  {curve[0]:+.3f} → {curve[-1]:+.3f}"),
    ]
    if held_out:
        shown = (sparkline(held_out, _CURVE_CELLS), "$text-accent")
        rows.append(assemble(shown, f"  held out {percent(held_out[0])} → {percent(held_out[-1])}"))
    return [*rows, safe("")]


def _policies(policies: Sequence[PolicyVersion]) -> list[Content]:
    if not policies:
        return []
    rows = [heading("Policies")]
    for one in policies:
        before, after = one.metrics.get("held_out_before"), one.metrics.get("held_out_after")
        rows.append(assemble((one.tag, "bold"), f" of round {one.round_number}: {percent(before)} → {percent(after)}"))
    return rows


ROUND_COLUMNS = (
    Column("Round", 5, right=True),
    Column("State", 11),
    Column("Edits", 6, right=True),
    Column("Kept", 5, right=True),
    Column("Refused", 7, right=True, optional=1),
    Column("Mean", 7, right=True),
    Column("Best", 7, right=True, optional=1),
    Column("Held out", 17),
    Column("Policy"),
    Column("Tasks", 6, right=True, optional=1),
    Column("Took", 8, right=True, optional=1),
    Column("Seed", 6, right=True, optional=1),
)
RANKED_COLUMNS = (
    Column("#", 4, right=True),
    Column("Reward", 16),
    Column("State", 10),
    Column("Task"),
    Column("Audit", 7, right=True, optional=1),
    Column("For", 8, optional=1),
    Column("Id", 12, optional=1),
)
_STATE_TONES: dict[str, Tone] = {"accepted": "good", "refused": "bad", "rejected": "bad", "deferred": "warn"}


def round_row(line: RoundLine) -> Row:
    """One line of the table of rounds."""
    policy_words = policy_outcome(line)
    tone: Tone = "good" if line.new_policy_version else "bad" if line.policy_dropped else "dim"
    held_out = (
        "" if line.held_out_before is None else f"{percent(line.held_out_before)} → {percent(line.held_out_after)}"
    )
    return (
        str(line.number), Cell(line.state, "warn" if line.state in {"interrupted", "failed"} else ""),
        f"{line.candidates:,}", "" if line.kept is None else f"{line.kept:,}", f"{line.refused:,}",
        _gain(line.mean_reward), _gain(line.best_reward), held_out, Cell(policy_words, tone), f"{line.tasks:,}",
        duration(line), "" if line.imported else str(line.seed),
    )  # fmt: skip


def ranked_row(row: RankedCandidate, place: int, *, kept: bool) -> Row:
    """Return a row of the table of candidates.

    "✓" marks candidates that the policy was trained on, "✎" edited ones; held-out ones are ranked apart, as h1, h2.
    """
    spread = "" if row.reward_std is None else f" ± {row.reward_std:.2f}"
    sign = " ✓" if kept else ""
    ranked_apart = "h" if row.role == "held_out" else ""
    edited = "✎ edited: " if row.derived_from is not None else ""
    return (
        f"{ranked_apart}{place:,}", f"{_gain(row.reward_mean)}{spread}{sign}",
        Cell(row.state, _STATE_TONES.get(row.state, "")),
        f"{edited}{row.title}", _gain(row.audit_gain), "held out" if row.role == "held_out" else "training",
        short_id(row.id),
    )  # fmt: skip


def _gain(value: float | None) -> str:
    return "–" if value is None else gain(value)
