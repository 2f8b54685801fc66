"""The end of a round: its figures are measured, alarms raised, and where the settings want it the best goes live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.alarms.watch import watch_round
from engine.loop.accept import accept_best
from engine.runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.session import Session
    from store.records import Round


def conclude_round(session: Session, current: Round) -> dict[str, Any]:
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


def run_result(finished: Sequence[Round]) -> dict[str, Any]:
    """Return number, policy and summary of each finished round, and whether all was refused or an alarm was raised.

    `alarming` is true where a round raised an alarm, or accepted nothing because one stood.
    """
    summaries = [
        {"number": one.number, "new_policy_version": one.new_policy_version, **(one.summary or {})} for one in finished
    ]
    all_refused = bool(summaries) and all(one["candidates"] == one["refused"] for one in summaries)
    alarming = any(one.get("alarms") or (one.get("acceptance") or {}).get("alarms") for one in summaries)
    return {"rounds": summaries, "all_refused": all_refused, "alarming": alarming}
