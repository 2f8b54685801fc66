"""The end of a round: its figures are measured, alarms raised, and where the settings want it the best goes live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.alarms.watch import watch_round
from engine.automatic import accept_best
from engine.progress import Progress

if TYPE_CHECKING:
    from engine.session import Session
    from store.records import Round


def conclude(session: Session, current: Round) -> dict[str, Any]:
    """Return what the round's summary says of it: measures, the alarms raised, and what was accepted, if that is on."""
    settings = session.settings
    measures, alarms = watch_round(session.db, current, settings.alarms)
    for alarm in alarms:
        _say(session, f"Alarm {alarm.id}: “{alarm.name}”. seal-console alarms show {alarm.id} says why.")
    acceptance = accept_best(session.workspace, session.db, current, settings.acceptance)
    if acceptance is not None:
        _say(session, acceptance.said)
    return {
        "measures": measures.means(),
        "alarms": [{"id": alarm.id, "name": alarm.name} for alarm in alarms],
        "acceptance": None if acceptance is None else acceptance.as_json(),
    }


def _say(session: Session, sentence: str) -> None:
    session.report(Progress("round", 0, 0, note=sentence))
