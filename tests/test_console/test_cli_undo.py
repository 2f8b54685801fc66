from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.queries.queue import queue_rows
from seal_console.queries.rounds import ranked_rows
from store.candidates import decisions_of
from store.lock import current_user

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller


def test_a_decision_is_undone_and_can_be_made_again(maker: CandidateMaker, call: CliCaller) -> None:
    one = maker.examined()
    assert call("review", "reject", one.id, "--reason", "wrong line").code == 0
    called = call("review", "undo")
    assert called.code == 0
    assert f"Undone: the rejection of candidate {one.id[7:19]} by {current_user()} (wrong line)" in called.out
    assert "The candidate waits for a decision again." in called.out
    assert call("review", "defer", one.id, "--reason", "later", "--as", "ada").code == 0
    (undone,) = call("review", "undo", "--as", "ada", "--reason", "slip", "--json").objects
    assert (undone["id"], undone["state"], undone["undone"]["action"]) == (one.id, "examined", "defer")
    assert decisions_of(maker.db, one.id)[-1].reason.endswith(": slip")
    (whole,) = call("review", "show", one.id, "--json").objects
    assert [decision["action"] for decision in whole["decisions"]] == ["reject", "undo", "defer", "undo"]
    assert call("review", "accept", one.id, "--reason", "good").code == 0
    assert call("verify").code == 0


def test_what_is_not_undone_explains_why_and_what_to_do(maker: CandidateMaker, call: CliCaller) -> None:
    nothing = call("review", "undo", "--as", "ada")
    assert nothing.code == 3
    assert "ada has no decision to undo" in nothing.err
    one, two = maker.examined(), maker.examined()
    call("review", "defer", two.id, "--reason", "later", "--as", "ada")
    call("review", "reject", two.id, "--reason", "never", "--as", "bo")
    overtaken = call("review", "undo", "--as", "ada")
    assert overtaken.code == 2
    assert "bo has decided since (reject at" in overtaken.err
    call("review", "accept", one.id, "--reason", "good", "--as", "ada")
    committed = call("review", "undo", "--as", "ada")
    assert committed.code == 2
    assert "An acceptance is a commit" in committed.err
    assert "seal-console versions rollback v0000" in committed.err
    assert call("versions", "rollback", "v0000", "--reason", "back").code == 0


def test_two_people_learn_who_was_first(maker: CandidateMaker, call: CliCaller) -> None:
    one = maker.examined()
    assert call("review", "reject", one.id, "--reason", "dull", "--as", "ada").code == 0
    for word in ("accept", "reject", "defer"):
        late = call("review", word, one.id, "--reason", "mine", "--as", "bo")
        assert late.code == 2
        assert "has been rejected since 20" in late.err
        assert "by ada (dull)" in late.err


def test_a_single_repeat_has_no_spread_in_any_list(maker: CandidateMaker, call: CliCaller) -> None:
    candidate = maker.examined(0.5)
    key = next(iter(maker.db.query("SELECT rowid AS key FROM candidates")))["key"]
    assert "+0.500" in call("review", "list").out
    assert "±" not in call("review", "list").out
    assert queue_rows(maker.db, [key])[key].reward_std is None
    assert ranked_rows(maker.db, [key])[key].reward_std is None
    again = {**next(iter(maker.db.query("SELECT * FROM inner_updates"))), "repeat": 1}
    maker.db["inner_updates"].insert(again)
    assert f"{candidate.reward_mean:+.3f} ± 0.000" in call("review", "list").out
    assert queue_rows(maker.db, [key])[key].reward_std == 0.0
    assert ranked_rows(maker.db, [key])[key].reward_std == 0.0
