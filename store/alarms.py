"""Measures of rounds, alarms and their clearing: append-only rows, each backed by an event.

An alarm is active until it is cleared; nothing else ends it. The engine decides what is alarming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from store.candidates import require_words
from store.clock import utc_now
from store.database import fetch_value, transaction
from store.errors import NothingToDoError, WrongUseError
from store.events import append_event
from store.hashing import hash_json
from store.rows import insert, select, to_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlite_utils import Database


_ACTIVE = "id NOT IN (SELECT alarm_id FROM alarm_clearings)"
_LIST = "seal-console alarms list"


def record_measures(db: Database, round_number: int, measures: Mapping[str, Any]) -> RoundMeasures:
    """Keep the measures of a round; if there are some already, return those unchanged."""
    with transaction(db):
        kept = measures_of(db, round_number)
        if kept is not None:
            return kept
        new = RoundMeasures(round_number, dict(measures), utc_now())
        insert(db, "round_measures", new)
        append_event(db, "round.measured", {"number": round_number, "hash": hash_json(to_row(new))})
    return new


def measures_of(db: Database, round_number: int) -> RoundMeasures | None:
    """Return the measures of a round, or None if it has none."""
    found = select(db, RoundMeasures, "SELECT * FROM round_measures WHERE round_number = ?", (round_number,))
    return found[0] if found else None


def raise_alarm(db: Database, round_number: int, name: str, evidence: Mapping[str, Any]) -> Alarm:
    """Record an alarm; a round raises each name at most once, so an existing one is returned."""
    with transaction(db):
        there = select(db, Alarm, "SELECT * FROM alarms WHERE round_number = ? AND name = ?", (round_number, name))
        if there:
            return there[0]
        number = 1 + (fetch_value(db, "SELECT max(id) FROM alarms") or 0)
        raised = Alarm(number, name, round_number, dict(evidence), utc_now())
        insert(db, "alarms", raised)
        place = {"id": number, "name": name, "round": round_number}
        append_event(db, "alarm.raised", {**place, "hash": hash_json(to_row(raised))})
    return raised


def list_alarms(db: Database, *, round_number: int | None = None) -> list[Alarm]:
    """Return all alarms, or those of one round, oldest first."""
    condition, values = ("1", ()) if round_number is None else ("round_number = ?", (round_number,))
    return select(db, Alarm, f"SELECT * FROM alarms WHERE {condition} ORDER BY id", values)  # noqa: S608


def active_alarms(db: Database) -> list[Alarm]:
    """Return the alarms that nobody has cleared, oldest first."""
    return select(db, Alarm, f"SELECT * FROM alarms WHERE {_ACTIVE} ORDER BY id")  # noqa: S608


def clearings(db: Database) -> dict[int, AlarmClearing]:
    """Return who cleared which alarm, by the alarm's number."""
    return {one.alarm_id: one for one in select(db, AlarmClearing, "SELECT * FROM alarm_clearings ORDER BY alarm_id")}


def cleared_until(db: Database, name: str) -> int | None:
    """Return the newest round whose alarm of this name was cleared; None if none was."""
    found = fetch_value(db, f"SELECT max(round_number) FROM alarms WHERE name = ? AND NOT {_ACTIVE}", (name,))  # noqa: S608
    return None if found is None else int(found)


def find_alarms(db: Database, wanted: str) -> list[Alarm]:
    """Return the alarm of this number, or all of this name, oldest first. Raises WrongUseError for neither."""
    every = list_alarms(db)
    found = [alarm for alarm in every if wanted in {str(alarm.id), alarm.name}]
    if not found:
        raise WrongUseError(f"There is no alarm {wanted!r}.", next_step=f"{_LIST} --all lists all.")
    return found


def clear_alarms(db: Database, wanted: str, actor: str, reason: str) -> list[Alarm]:
    """Clear the active alarm of this number, or all active alarms of this name, and return them.

    Raises WrongUseError if there is no such alarm or if actor or reason is empty, NothingToDoError if it is cleared
    already.
    """
    require_words(actor, reason)
    with transaction(db):
        done = clearings(db)
        found = find_alarms(db, wanted)
        open_ones = [alarm for alarm in found if alarm.id not in done]
        if not open_ones:
            last = done[found[-1].id]
            raise NothingToDoError(
                f"Alarm {found[-1].id} ({found[-1].name}) was cleared at {last.cleared_at} by {last.actor}: "
                f"{last.reason}",
                next_step=f"{_LIST} lists the active alarms.",
            )
        for alarm in open_ones:
            clearing = AlarmClearing(alarm.id, actor, reason, utc_now())
            insert(db, "alarm_clearings", clearing)
            append_event(db, "alarm.cleared", {"clearing": to_row(clearing), "name": alarm.name})
    return open_ones


@dataclass(frozen=True, slots=True)
class RoundMeasures:
    """Measures of a round as a whole; `measures` has the engine's own format."""

    round_number: int
    measures: dict[str, Any]
    measured_at: str


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm about the figures of a round. It is active until someone clears it."""

    id: int
    name: str
    round_number: int
    evidence: dict[str, Any]
    raised_at: str


@dataclass(frozen=True, slots=True)
class AlarmClearing:
    """Who cleared an alarm, and why."""

    alarm_id: int
    actor: str
    reason: str
    cleared_at: str
