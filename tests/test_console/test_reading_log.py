from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seal_console.queries.log import event_facts, event_keys, event_keys_after, event_rows, exported_events
from store.candidates import reject
from store.errors import WrongUseError
from store.events import GENESIS_HASH, append_event, chain_head
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import Desk


def test_without_a_filter_nothing_is_read_but_the_last_number(desk: Desk) -> None:
    assert event_keys(desk.db, " ") == range(1, chain_head(desk.db)[0] + 1)
    head = chain_head(desk.db)[0]
    append_event(desk.db, "test.one", {})
    assert event_keys_after(desk.db, "", head) == range(head + 1, head + 2)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("kind:rejected", {"candidate.rejected"}),
        ("actor:zoe", {"candidate.rejected"}),
        ("-actor:zoe kind:candidate", {"candidates.added", "candidate.examined", "candidate.accepted"}),
        ("actor:Ada", {"candidate.accepted", "live.moved"}),
        ('"mixed up"', {"candidate.rejected"}),
        ("round:1", {"round.started"}),
        ("number<=1", {"tasks.added"}),
        ("at<2000", set()),
        ("at>=2000-01-01T00:00 kind:moved", {"live.moved"}),
    ],
)
def test_filters(desk: Desk, text: str, kinds: set[str]) -> None:
    rejected = desk.examined(0.5)
    accepted(desk)
    reject(desk.db, rejected.id, "zoe", "mixed up two products")
    keys = event_keys(desk.db, text)
    rows = event_rows(desk.db, keys)
    assert {row.kind for row in rows.values()} == kinds
    assert list(keys) == sorted(keys)
    assert event_keys_after(desk.db, text, keys[-1] if keys else 0) == []


def test_a_filter_that_cannot_be_read_is_refused(desk: Desk) -> None:
    with pytest.raises(WrongUseError, match="did you mean kind"):
        event_keys(desk.db, "kin:x")


def test_a_payload_that_is_too_long_for_a_line_is_left_for_the_card(desk: Desk) -> None:
    event = append_event(desk.db, "test.long", {"text": "x" * 50_000})
    row = event_rows(desk.db, [event.sequence])[event.sequence]
    assert row.payload is None
    assert row.payload_characters > 50_000
    facts = event_facts(desk.db, event.sequence)
    assert facts is not None
    assert facts.event == event


def test_an_event_says_whether_it_follows_the_one_before_it(desk: Desk) -> None:
    first = event_facts(desk.db, 1)
    assert first is not None
    assert (first.follows, first.event.previous_hash) == (True, GENESIS_HASH)
    append_event(desk.db, "test.one", {})
    second = append_event(desk.db, "test.two", {})
    desk.db.conn.execute("DROP TRIGGER events_stay")
    desk.db.conn.execute("UPDATE events SET previous_hash = 'sha256:other' WHERE sequence = ?", (second.sequence,))
    facts = event_facts(desk.db, second.sequence)
    assert facts is not None
    assert not facts.follows
    assert event_facts(desk.db, 999) is None


def test_what_is_exported_is_what_is_stored(desk: Desk) -> None:
    event = append_event(desk.db, "test.one", {"b": 1, "a": "é"})
    (row,) = exported_events(desk.db, [event.sequence])
    assert row == (event.sequence, event.at, "test.one", '{"a":"é","b":1}', event.previous_hash, event.hash)
