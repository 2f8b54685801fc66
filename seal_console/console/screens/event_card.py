"""The text about one event of the log, and about one action of the console."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from seal_console.console.fact_lines import fact, heading, moment, muted
from seal_console.console.render_event import event_words
from seal_console.console.safe_content import joined, lines, safe
from seal_console.console.widgets.paged_table import Cell

if TYPE_CHECKING:
    from textual.content import Content

    from seal_console.console.command_trace import Trace
    from seal_console.console.widgets.paged_table import Row
    from seal_console.queries.log import EventFacts, EventRow

_MOST_CHARACTERS = 20_000


def event_row(row: EventRow) -> Row:
    """One line of the table of events."""
    about = f"{row.payload_characters:,} characters" if row.payload is None else event_words(row.kind, row.payload)
    return (f"{row.sequence:,}", Cell(_short_moment(row.at), "dim"), Cell(row.kind, "accent"), about)


def event_card(facts: EventFacts) -> Content:
    """Write all of an event: its place in the chain, and its payload as indented JSON."""
    event = facts.event
    payload = json.dumps(event.payload, indent=2, ensure_ascii=False)
    rows = [
        joined((f"Event {event.sequence:,}", "bold"), "  ", (event.kind, "$text-accent bold")),
        fact("at", moment(event.at)),
        fact("hash", event.hash),
        fact("previous hash", event.previous_hash),
        safe("✓ follows the event before it", "$text-success")
        if facts.follows
        else safe("✗ does not follow the event before it: seal-console verify says more", "bold $text-error"),
        safe(""),
        heading("Payload"),
        safe(payload[:_MOST_CHARACTERS]),
    ]
    if len(payload) > _MOST_CHARACTERS:
        rows.append(muted(f"… {len(payload) - _MOST_CHARACTERS:,} characters more; w exports all of it"))
    return lines(*rows)


def action_row(trace: Trace) -> Row:
    """One line of the table of actions."""
    outcome = Cell(f"✗ {trace.failed}", "bad") if trace.failed else Cell("✓ done", "good")
    return (Cell(_short_moment(trace.at), "dim"), trace.title, trace.actor, str(len(trace.commands)), outcome)


def action_card(trace: Trace) -> Content:
    """Write all that an action ran, in order."""
    rows = [
        joined((trace.title, "bold")),
        fact("at", moment(trace.at)),
        fact("by", trace.actor),
        safe(f"✗ failed: {trace.failed}", "$text-error") if trace.failed else safe("✓ done", "$text-success"),
        safe(""),
        heading("What it ran: git, and what changed the database"),
    ]
    if not trace.commands:
        return lines(*rows, muted("Nothing."))
    for command in trace.commands:
        is_git = command.startswith("git ")
        rows.append(joined(("$ " if is_git else "› ", "$text-accent" if is_git else "$text-muted"), command))
    return lines(*rows)


def _short_moment(at: str) -> str:
    return at[5:19].replace("T", " ")
