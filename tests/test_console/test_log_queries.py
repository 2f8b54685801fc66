from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seal_console.queries.log import event_facts, event_keys, event_keys_after, event_rows, export_events
from store.candidates import reject
from store.errors import WrongUseError
from store.events import GENESIS_HASH, append_event, chain_head
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CandidateMaker


def test_without_a_filter_nothing_is_read_but_the_last_number(maker: CandidateMaker) -> None:
    assert event_keys(maker.db, " ") == range(1, chain_head(maker.db)[0] + 1)
    head = chain_head(maker.db)[0]
    append_event(maker.db, "test.one", {})
    assert event_keys_after(maker.db, "", head) == range(head + 1, head + 2)


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
def test_filters(maker: CandidateMaker, text: str, kinds: set[str]) -> None:
    rejected = maker.examined(0.5)
    accepted(maker)
    reject(maker.db, rejected.id, "zoe", "mixed up two products")
    keys = event_keys(maker.db, text)
    rows = event_rows(maker.db, keys)
    assert {row.kind for row in rows.values()} == kinds
    assert list(keys) == sorted(keys)
    assert event_keys_after(maker.db, text, keys[-1] if keys else 0) == []


def test_a_filter_that_cannot_be_read_is_refused(maker: CandidateMaker) -> None:
    with pytest.raises(WrongUseError, match="did you mean 'kind'"):
        event_keys(maker.db, "kin:x")


def test_a_payload_that_is_too_long_for_a_line_is_left_for_the_card(maker: CandidateMaker) -> None:
    event = append_event(maker.db, "test.long", {"text": "x" * 50_000})
    row = event_rows(maker.db, [event.sequence])[event.sequence]
    assert row.payload is None
    assert row.payload_characters > 50_000
    facts = event_facts(maker.db, event.sequence)
    assert facts is not None
    assert facts.event == event


def test_an_event_says_whether_it_follows_the_one_before_it(maker: CandidateMaker) -> None:
    first = event_facts(maker.db, 1)
    assert first is not None
    assert (first.follows, first.event.previous_hash) == (True, GENESIS_HASH)
    append_event(maker.db, "test.one", {})
    second = append_event(maker.db, "test.two", {})
    maker.db.conn.execute("DROP TRIGGER events_stay")
    maker.db.conn.execute("UPDATE events SET previous_hash = 'sha256:other' WHERE sequence = ?", (second.sequence,))
    facts = event_facts(maker.db, second.sequence)
    assert facts is not None
    assert not facts.follows
    assert event_facts(maker.db, 999) is None


def test_what_is_exported_is_what_is_stored(maker: CandidateMaker) -> None:
    event = append_event(maker.db, "test.one", {"b": 1, "a": "é"})
    (row,) = export_events(maker.db, [event.sequence])
    assert row == (event.sequence, event.at, "test.one", '{"a":"é","b":1}', event.previous_hash, event.hash)
