"""`rounds`: the list, and giving up an unfinished round under the engine lock, with a reason that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.candidates import get_candidate
from store.events import events_after
from store.lock import hold_lock
from store.rounds import finish_round, get_round, open_round, start_round
from store.verify import verify
from tests.test_console.cli_scenario import BASE, round_summary

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller


def test_an_unfinished_round_is_given_up_with_a_reason(maker: CandidateMaker, call: CliCaller) -> None:
    candidate = maker.examined(0.5)
    gone = call("rounds", "abandon", "1", "--reason", "wrong rank", "--as", "ada")
    assert (gone.code, gone.err.count("Repaired")) == (0, 1)
    assert "Round 1 is given up, by ada: wrong rank" in gone.out
    ended = get_round(maker.db, 1)
    assert (ended.state, ended.summary) == ("failed", {"abandoned": {"actor": "ada", "reason": "wrong rank"}})
    assert open_round(maker.db) is None
    abandoned = [one.payload for one in events_after(maker.db, 0) if one.kind == "round.abandoned"]
    assert abandoned == [{"number": 1, "actor": "ada", "reason": "wrong rank"}]
    assert verify(maker.workspace, maker.db).problems == []
    assert get_candidate(maker.db, candidate.id).state == "examined"
    assert "No candidate" not in call("review", "list").out
    again = call("rounds", "abandon", "1", "--reason", "x")
    assert (again.code, "ended as failed" in again.err) == (2, True)


def test_giving_up_needs_the_engine_lock_and_a_reason(maker: CandidateMaker, call: CliCaller) -> None:
    maker.examined(0.5)
    with hold_lock(maker.workspace.lock_file, "run"):
        assert call("rounds", "abandon", "1", "--reason", "x").code == 5
    assert call("rounds", "abandon", "1", "--reason", " ").code == 2
    assert call("rounds", "abandon", "7", "--reason", "x").code == 2
    assert open_round(maker.db) is not None


def test_rounds_are_listed_with_what_came_of_them(maker: CandidateMaker, call: CliCaller) -> None:
    nothing = call("rounds", "list")
    assert (nothing.code, "No round has run yet." in nothing.out) == (0, True)
    kept = maker.examined(0.5)
    finish_round(maker.db, 1, "done", round_summary([kept.id], before=0.25, after=0.5))
    chosen = {"base": BASE, "chosen_tasks": {"train": ["a", "b"], "held_out": ["c"]}}
    start_round(maker.db, seed=0, settings=chosen, live_version=None, policy_version=None)
    listed = call("rounds", "list")
    assert listed.code == 0
    newest, oldest = [line.split() for line in listed.out.splitlines() if line.split()[:1] in (["2"], ["1"])][:2]
    assert newest == ["2", "interrupted", "2", "0", "–", "–", "not", "yet"]
    assert oldest[:5] == ["1", "done", "1", "1", "1"]
    assert "25.0 % → 50.0 % (0 tasks)" in listed.out
    two, one = call("rounds", "list", "--json").objects
    assert (two["number"], two["state"], two["held_out_tasks"], two["held_out_before"]) == (2, "interrupted", 1, None)
    assert (one["kept"], one["held_out_before"], one["held_out_after"], one["policy"]) == (1, 0.25, 0.5, "✗ dropped")
