"""Measures a round when it is over, and raises the alarms that its figures call for.

Done again after a crash it changes nothing: measures stay as they were kept, and a round raises each alarm once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.alarms.examples import examples
from engine.alarms.measures import Measures
from engine.alarms.reading import conditions_of, read_measures
from engine.alarms.rules import RULES, raised
from store.alarms import cleared_until, list_alarms, measures_of, raise_alarm, record_measures
from store.database import transaction
from store.rounds import list_rounds

if TYPE_CHECKING:
    from sqlite_utils import Database

    from engine.settings import AlarmSettings
    from store.alarm_records import Alarm
    from store.records import Round


def watch_round(db: Database, current: Round, settings: AlarmSettings) -> tuple[Measures, list[Alarm]]:
    """Measure a round whose candidates are examined; returns its measures and the alarms that it raised."""
    with transaction(db):
        now = _measures(db, current.number)
        compared = {name: _earlier(db, current, settings, cleared_until(db, name)) for name in RULES}
        for one in raised(now, compared, settings):
            evidence = {**one.evidence, "examples": examples(db, current.number, one.tasks)}
            raise_alarm(db, current.number, one.name, evidence)
    return now, list_alarms(db, round_number=current.number)


def _measures(db: Database, round_number: int) -> Measures:
    """Return what is kept of a round, or measure it now: an older program may have run it."""
    kept = measures_of(db, round_number) or record_measures(db, round_number, read_measures(db, round_number).as_json())
    return Measures(**kept.measures)


def _earlier(db: Database, current: Round, settings: AlarmSettings, since: int | None) -> list[Measures]:
    """Return the newest earlier rounds of the same conditions.

    Who clears an alarm takes that round as the new measure of things: what was before it is not compared any more.
    """
    comparable = [
        one.number
        for one in list_rounds(db, imported=False)
        if one.state == "done"
        and (since or 0) <= one.number < current.number
        and conditions_of(one) == conditions_of(current)
    ]
    return [_measures(db, number) for number in comparable[-settings.rounds_back :]]
