"""Automatic acceptance: the best of a round goes live, never twice; an alarm stops it, clearing lets it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.loop.accept import ACTOR, accept_best
from engine.loop.finish_round import run_result
from engine.loop.round import run_rounds
from engine.loop.session import open_session
from engine.settings.reading import default_settings_text
from engine.settings.sections import AcceptanceSettings
from store.alarms import active_alarms, clear_alarms, list_alarms, measures_of
from store.candidates import get_candidate, list_candidates
from store.database import fetch_value, open_database
from store.events import events_after
from store.rounds import open_round
from store.verify import verify
from store.version_rows import list_versions, live_version
from store.workspace import create_workspace
from tests.system.accepting import ALARMING, accepting_workspace, change_settings
from tests.system.workspaces import small_workspace
from tests.test_console.cli_scenario import CandidateMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from store.workspace import Workspace


def _run(workspace: Workspace) -> dict[str, Any]:
    with open_session(workspace, "test") as session:
        result = run_result(run_rounds(session, 1))
        assert verify(workspace, session.db).problems == []
    return result


def test_an_active_alarm_stops_automatic_acceptance_until_it_is_cleared(tmp_path: Path) -> None:
    workspace = accepting_workspace(tmp_path / "w", alarms=ALARMING)
    raised = _run(workspace)
    assert raised["alarming"]
    assert [alarm["name"] for alarm in raised["rounds"][0]["alarms"]] == ["self-edits alike"]
    assert raised["rounds"][0]["acceptance"]["alarms"] == [1]

    # The rule is quiet now, but what it raised stands until somebody clears it.
    change_settings(workspace, alarms={"alike": None})
    still = _run(workspace)
    assert (still["alarming"], still["rounds"][0]["alarms"]) == (True, [])
    assert "alarms clear 1" in still["rounds"][0]["acceptance"]["said"]
    db = open_database(workspace.database_file)
    assert live_version(db) is None
    withheld = [event.payload for event in events_after(db, 0) if event.kind == "acceptance.withheld"]
    assert [one["round"] for one in withheld] == [1, 2]

    clear_alarms(db, "1", "Ada", "the two documents are nearly the same")
    went_on = _run(workspace)
    acceptance = went_on["rounds"][0]["acceptance"]
    assert (went_on["alarming"], acceptance["version"], acceptance["alarms"]) == (False, "v0001", [])
    (version,) = list_versions(db)
    assert (version.accepted_by, version.candidate_id) == (ACTOR, acceptance["candidate"])
    assert "best of round 3" in version.reason
    rewards = [one.reward_mean or 0 for one in list_candidates(db, round_number=3)]
    assert get_candidate(db, version.candidate_id).reward_mean == max(rewards)
    db.close()


def test_nothing_is_accepted_automatically_by_default(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=2, train=2, held_out=0, epochs=1)
    result = _run(workspace)
    assert result["rounds"][0]["acceptance"] is None
    db = open_database(workspace.database_file)
    assert live_version(db) is None
    kept = measures_of(db, 1)
    assert kept is not None
    assert len(kept.measures["agreement"]) == 2
    db.close()


def test_a_round_that_dies_after_its_acceptance_accepts_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = accepting_workspace(tmp_path / "w")

    def die(*_: object) -> None:
        raise RuntimeError("no power")

    monkeypatch.setattr("engine.trackers.store_tracker.finish_round", die)
    with open_session(workspace, "test") as session, pytest.raises(RuntimeError, match="no power"):
        run_rounds(session, 1)
    monkeypatch.undo()
    db = open_database(workspace.database_file)
    assert live_version(db) == 1
    resumed = _run(workspace)["rounds"][0]
    assert (resumed["number"], resumed["acceptance"]["version"]) == (1, "v0001")
    assert len(list_versions(db)) == 1
    db.close()


def test_a_round_that_dies_after_its_alarm_raises_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = accepting_workspace(tmp_path / "w", alarms=ALARMING)

    def die(*_: object) -> None:
        raise RuntimeError("no power")

    monkeypatch.setattr("engine.trackers.store_tracker.finish_round", die)
    with open_session(workspace, "test") as session, pytest.raises(RuntimeError, match="no power"):
        run_rounds(session, 1)
    monkeypatch.undo()
    assert len(_run(workspace)["rounds"][0]["alarms"]) == 1
    db = open_database(workspace.database_file)
    assert len(list_alarms(db)) == len(active_alarms(db)) == 1
    assert fetch_value(db, "SELECT count(*) FROM events WHERE kind = 'acceptance.withheld'") == 1
    db.close()


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[CandidateMaker]:
    opened = CandidateMaker.begin(create_workspace(tmp_path / "w", default_settings_text()))
    yield opened
    opened.db.close()


def test_what_a_rule_holds_and_what_is_refused_is_left_to_people(maker: CandidateMaker) -> None:
    held = maker.examined(0.9)
    refused = maker.examined(0.8, passed=False)
    second = maker.examined(0.5)
    maker.db.execute("INSERT INTO gates VALUES (?, 'rule:names', 0, '{}', 'now', 'hold')", (held.id,))
    current = open_round(maker.db)
    assert current is not None
    assert (get_candidate(maker.db, held.id).state, get_candidate(maker.db, refused.id).state) == (
        "examined",
        "refused",
    )
    accepted = accept_best(maker.workspace, maker.db, current, AcceptanceSettings(automatic=True))
    assert accepted is not None
    assert accepted.candidate == second.id
    again = accept_best(maker.workspace, maker.db, current, AcceptanceSettings(automatic=True))
    assert again is not None
    assert (again.version, again.candidate) == (accepted.version, second.id)
    assert len(list_versions(maker.db)) == 1
