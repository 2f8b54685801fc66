"""Events as one line, as a table row and as a card."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from seal_console.console.content import assemble, fact, format_time, heading, lines, muted, safe
from seal_console.console.widgets.table_columns import Cell
from store.version_tags import policy_tag, version_tag
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.content import Content

    from seal_console.console.command_trace import Trace
    from seal_console.console.widgets.table_columns import Row
    from seal_console.queries.log import EventFacts, EventRow
    from store.records import Event


_SHORT = 10
_LONGEST = 80


def event_line(event: Event) -> Content:
    """Return an event on one line: time, kind, subject."""
    return assemble(
        (f"{event.at[11:19]} ", "$text-muted"),
        (event.kind, "$text-accent"),
        f" {describe_event(event.kind, event.payload)}",
    )


def describe_event(kind: str, payload: dict[str, Any]) -> str:
    """Return the subject of an event on one line."""
    decision, move = payload.get("decision"), payload.get("move")
    if isinstance(decision, dict):
        return f"{_short(decision.get('candidate_id'))} by {decision.get('actor')}: {decision.get('reason')}"
    if isinstance(move, dict):
        return f"{_version(move.get('from_version'))} → {_version(move.get('to_version'))} by {move.get('actor')}"
    by_kind = _BY_KIND.get(kind.split(".", maxsplit=1)[0] if kind != "candidate.examined" else kind)
    if by_kind is not None:
        return by_kind(payload)
    if "hashes" in payload:
        of = "answer" if kind.endswith(".examined") else kind.split(".", maxsplit=1)[0].removesuffix("s")
        return counted(len(payload["hashes"]), of)
    return json.dumps(payload, ensure_ascii=False)[:_LONGEST]


def _short(identity: Any) -> str:
    return str(identity).removeprefix("sha256:")[:_SHORT]


def _version(number: Any) -> str:
    return version_tag(number or 0)


def _round(payload: dict[str, Any]) -> str:
    number = payload.get("number", (payload.get("round") or {}).get("number", ""))
    by = f" by {payload['actor']}: {payload.get('reason')}" if "actor" in payload else ""
    return f"round {number}{by}"


def _policy(payload: dict[str, Any]) -> str:
    policy = payload.get("policy") or {}
    number = policy.get("number")
    tag = policy_tag(number) if isinstance(number, int) else ""
    return f"{tag} of round {policy.get('round_number', '')}"


def _alarm(payload: dict[str, Any]) -> str:
    clearing = payload.get("clearing")
    if isinstance(clearing, dict):
        return (
            f"{clearing.get('alarm_id')} “{payload.get('name')}” by {clearing.get('actor')}: {clearing.get('reason')}"
        )
    return f"{payload.get('id', '')} “{payload.get('name', '')}” in round {payload.get('round', '')}"


def _active(alarms: list[int]) -> str:
    return f"alarm {alarms[0]} is active" if len(alarms) == 1 else f"{len(alarms)} alarms are active"


def _job(payload: dict[str, Any]) -> str:
    return f"{payload.get('kind', '')} {payload.get('id', '')} by {payload.get('actor', '')}"


def _adapter(payload: dict[str, Any]) -> str:
    return f"{_short(payload.get('adapter_hash'))} by {payload.get('actor', '')}: {payload.get('reason', '')}"


_BY_KIND: dict[str, Callable[[dict[str, Any]], str]] = {
    "candidate.examined": lambda payload: f"{_short(payload.get('id'))} {payload.get('state')}",
    "candidates": lambda payload: counted(len(payload.get("hashes", {})), "self-edit"),
    "round": _round,
    "policy": _policy,
    "alarm": _alarm,
    "adapter": _adapter,
    "drift": lambda payload: f"of {_short(payload.get('model_state', ''))}",
    "noise": lambda payload: f"of the suite {payload.get('suite', '')}",
    "acceptance": lambda payload: f"in round {payload.get('round', '')}: {_active(payload.get('alarms') or [])}",
    "job": _job,
    "request": _job,  # as workspaces before migration 0009 call it
}


_MOST_CHARACTERS = 20_000


def event_row(row: EventRow) -> Row:
    """One line of the table of events."""
    about = f"{row.payload_characters:,} characters" if row.payload is None else describe_event(row.kind, row.payload)
    return (f"{row.sequence:,}", Cell(_short_moment(row.at), "dim"), Cell(row.kind, "accent"), about)


def event_card(facts: EventFacts) -> Content:
    """Write all of an event: its place in the chain, and its payload as indented JSON."""
    event = facts.event
    payload = json.dumps(event.payload, indent=2, ensure_ascii=False)
    rows = [
        assemble((f"Event {event.sequence:,}", "bold"), "  ", (event.kind, "$text-accent bold")),
        fact("at", format_time(event.at)),
        fact("hash", event.hash),
        fact("previous hash", event.previous_hash),
        safe("✓ follows the event before it", "$text-success")
        if facts.follows
        else safe("✗ does not follow the event before it: run seal-console verify", "bold $text-error"),
        safe(""),
        heading("Payload"),
        safe(payload[:_MOST_CHARACTERS]),
    ]
    if len(payload) > _MOST_CHARACTERS:
        rows.append(muted(f"… {len(payload) - _MOST_CHARACTERS:,} more characters; w exports all"))
    return lines(*rows)


def action_row(trace: Trace) -> Row:
    """One line of the table of actions."""
    outcome = Cell(f"✗ {trace.failed}", "bad") if trace.failed else Cell("✓ done", "good")
    return (Cell(_short_moment(trace.at), "dim"), trace.title, trace.actor, str(len(trace.commands)), outcome)


def action_card(trace: Trace) -> Content:
    """Write all that an action ran, in order."""
    rows = [
        assemble((trace.title, "bold")),
        fact("at", format_time(trace.at)),
        fact("by", trace.actor),
        safe(f"✗ failed: {trace.failed}", "$text-error") if trace.failed else safe("✓ done", "$text-success"),
        safe(""),
        heading("Git commands and changes of the database"),
    ]
    if not trace.commands:
        return lines(*rows, muted("Nothing."))
    for command in trace.commands:
        is_git = command.startswith("git ")
        rows.append(assemble(("$ " if is_git else "› ", "$text-accent" if is_git else "$text-muted"), command))
    return lines(*rows)


def _short_moment(at: str) -> str:
    return at[5:19].replace("T", " ")
