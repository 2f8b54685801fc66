from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import pytest
from textual.widgets import Input, TextArea

from seal_console.console.dialogs.confirm import ConfirmDialog
from store.candidates import decisions_of, defer, reject
from store.database import open_database
from store.jobs import list_jobs
from store.version_rows import list_versions, live_version
from tests.test_console.console_scenario import decide, drive, run, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker


def test_accepting_makes_a_version_and_the_next_candidate_comes_up(maker: CandidateMaker, workspace: Workspace) -> None:
    best, second = maker.examined(0.9), maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            shown = console.review.pane.shown
            assert shown is not None
            assert shown.whole.candidate.id == best.id
            await decide(console, "A", "says the new period")
            await console.until(lambda: "v0001 is live" in console.said)
            await console.until(
                lambda: (now := console.review.pane.shown) is not None and now.whole.candidate.id == second.id
            )
            await console.until(lambda: "live v0001" in console.shown())
            assert any("git -C" in command for command in console.app.actions.history[-1].commands)
            assert any(command.startswith("INSERT") for command in console.app.actions.history[-1].commands)

    run(flow())
    (version,) = list_versions(maker.db)
    assert (version.accepted_by, version.reason, live_version(maker.db)) == ("ada", "says the new period", 1)


def test_nothing_happens_without_the_confirming_key(maker: CandidateMaker, workspace: Workspace) -> None:
    candidate = maker.examined(0.9)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            for key in ("A", "x", "d"):
                await console.press(key)
                await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
                await console.press(key, "enter", "enter")  # the reason's field, then the safe button
                await console.until(lambda: not isinstance(console.app.screen, ConfirmDialog))
                assert state_of(maker, candidate.id) == "examined"
            await console.press("x")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.press("ctrl+s")  # no reason given: it stays and says what is missing
            await console.until(lambda: "A reason is required" in console.shown())
            await console.press("escape")

    run(flow())
    assert state_of(maker, candidate.id) == "examined"


def test_marked_candidates_are_rejected_together_and_the_last_is_undone(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    made = [maker.examined(reward) for reward in (0.9, 0.8, 0.7)]

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press("space", "space")
            await decide(console, "x", "both wrong")
            await console.until(lambda: "2 rejected" in console.said)
            await console.press("u")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.press("ctrl+s")
            await console.until(lambda: "Undone" in console.said)

    run(flow())
    assert [state_of(maker, one.id) for one in made] == ["rejected", "examined", "examined"]
    assert [one.action for one in decisions_of(maker.db, made[1].id)] == ["reject", "undo"]


def test_an_acceptance_is_not_undone_and_names_the_rollback(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.9)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await decide(console, "A", "good")
            await console.until(lambda: "is live" in console.said)
            await console.press("u")
            await console.until(lambda: "versions rollback" in console.said)

    run(flow())
    assert live_version(maker.db) == 1


def test_the_second_of_two_people_learns_who_was_first(maker: CandidateMaker, workspace: Workspace) -> None:
    candidate = maker.examined(0.9)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press("x")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            other = open_database(workspace.database_file)
            reject(other, candidate.id, "bob", "I was first")
            other.conn.close()
            await console.type("too late")
            await console.press("ctrl+s")
            await console.until(lambda: "bob" in console.said)

    run(flow())
    assert [one.actor for one in decisions_of(maker.db, candidate.id)] == ["bob"]


def test_rows_never_move_and_what_arrives_is_counted(maker: CandidateMaker, workspace: Workspace) -> None:
    first = maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            keys = list(console.review.table.keys)
            better = maker.examined(0.9)
            await console.until(lambda: "1 new" in console.shown())
            assert list(console.review.table.keys) == keys
            defer(maker.db, first.id, "bob", "ask first")
            await console.until(lambda: "deferred" in console.shown())
            await console.press("R")
            await console.until(lambda: len(console.review.table.keys) == 2)
            assert console.review.table.cursor == 1, "the cursor stays on its candidate, now second"
            await console.press("k")
            await console.until(
                lambda: (now := console.review.pane.shown) is not None and now.whole.candidate.id == better.id
            )

    run(flow())


def test_filter_sort_and_everything(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.9, completion="Oslo is far.")
    maker.examined(0.2, completion="Rome is near.")
    maker.examined(-0.4, passed=False, completion="Rome is wrong.")

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            table = console.review.table
            assert len(table.keys) == 2
            await console.press("slash")
            await console.type("rome")
            await console.press("enter")
            await console.until(lambda: len(table.keys) == 1)
            await console.press("v")
            await console.until(lambda: len(table.keys) == 2)
            console.review.put_filter("reward>0 rome")
            await console.until(lambda: len(table.keys) == 1)
            console.review.put_filter("rewrd>0")
            await console.until(lambda: "Unknown field 'rewrd'" in console.shown())
            console.review.put_filter("xyzzy:1")
            await console.until(lambda: "imported, review" in console.shown())
            assert ", held" not in console.shown()
            console.review.put_filter("")
            await console.until(lambda: len(table.keys) == 3)
            before = list(table.keys)
            await console.press("S")
            await console.until(lambda: list(table.keys) == before[::-1])

    run(flow())


@pytest.mark.parametrize(
    ("key", "change", "payload"),
    [
        ("e", lambda area: area.load_text("Returns take 30 days now."), {"completion": "Returns take 30 days now."}),
        ("t", None, {"off": [0]}),
    ],
)
def test_a_changed_self_edit_is_asked_to_be_examined_again(
    maker: CandidateMaker,
    workspace: Workspace,
    key: str,
    change: Callable[[TextArea], None] | None,
    payload: dict[str, object],
) -> None:
    candidate = maker.examined(0.5, sequences=["Returns\nReturns take 30 days.", "Returns\nNow 30 days."])

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press(key)
            await console.until(lambda: len(console.app.screen_stack) == 2)
            if change is not None:
                change(console.app.screen.query_one(TextArea))
            else:
                await console.press("space")
            await console.press("ctrl+s")
            await console.until(lambda: "Added a job" in console.said)
            assert console.started == [workspace.root]

    run(flow())
    (request,) = list_jobs(maker.db)
    assert (request.kind, request.actor) == ("reexamine", "ada")
    assert request.payload == {"candidate": candidate.id, **payload}


def test_the_text_is_edited_in_the_editor_of_the_operator(
    maker: CandidateMaker, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seal_console.console.screens.review_decisions import edit_in_program  # noqa: PLC0415

    assert edit_in_program(["sed", "-i", "s/14/30/"], "It takes 14 days.\n") == "It takes 30 days."
    assert edit_in_program(["false"], "unchanged") is None
    maker.examined(0.5)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press("E")
            await console.until(lambda: "Neither VISUAL nor EDITOR" in console.said)

    run(flow())


def test_what_is_decided_already_is_reported_before_anything_is_asked(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    gone = maker.examined(0.5)
    reject(maker.db, gone.id, "bo", "was first")
    maker.examined(-0.5, passed=False)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.press("2")
            await console.press("v")
            await console.until(lambda: "2 in all" in console.shown())
            await console.press("A")
            await console.until(lambda: "cannot become accepted: it has been rejected" in console.said)
            assert "by bo (was first)" in console.said
            await console.press("j", "x")
            await console.until(lambda: "it is refused by a gate" in console.said)
            assert len(console.app.screen_stack) == 1

    run(flow())


def test_what_a_self_edit_would_cost_is_listed_answer_by_answer(maker: CandidateMaker, workspace: Workspace) -> None:
    candidate = maker.examined(0.5, passed=False)
    evidence = {
        "prompts": 40, "right_before": 39, "right_after": 36, "gained": 12, "p_value": 0.125, "allowed_losses": 2,
        "rule": "each", "significance": 0.05,
        "lost": [
            {"prompt": f"Who owns [b]N{n}?", "expected": ["Wanda"], "before": "Wanda", "after": "\x1b[2JEdith",
             "group": ""}
            for n in range(15)
        ],
    }  # fmt: skip
    row = {"candidate_id": candidate.id, "gate": "retention:shop", "passed": 0, "evidence": json.dumps(evidence)}
    maker.db["gates"].insert({**row, "decided_at": "2026-11-22T10:00:00.000Z"})

    async def flow() -> None:
        async with drive(workspace, size=(200, 60)) as console:
            await console.press("2")
            await console.press("v")
            await console.until(lambda: "40 prompts, 39 right before, 36 right now, lost 15" in console.shown())
            assert "✗ Who owns [b]N0?  expected: Wanda; Wanda → ␛[2JEdith" in console.shown()
            assert "… and 3 more: seal-console review show lists all" in console.shown()

    run(flow())


def test_read_only_shows_everything_and_changes_nothing(maker: CandidateMaker, workspace: Workspace) -> None:
    candidate = maker.examined(0.9)
    events = maker.db.execute("SELECT count(*) FROM events").fetchone()

    async def flow() -> None:
        async with drive(workspace, read_only=True) as console:
            await console.in_review()
            assert "READ-ONLY" in console.shown()
            for key in ("A", "x", "d", "u", "e", "t", "ctrl+r"):
                await console.press(key)
                await console.pilot.pause()
                if len(console.app.screen_stack) > 1:
                    await console.press("ctrl+s", "escape")
            await console.until(lambda: "read-only" in console.said)

    run(flow())
    assert state_of(maker, candidate.id) == "examined"
    assert maker.db.execute("SELECT count(*) FROM events").fetchone() == events


def test_filters_are_saved_used_and_forgotten(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.9)
    maker.examined(0.1)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            console.review.put_filter("reward>0.5")
            await console.until(lambda: len(console.review.table.keys) == 1)
            await console.press("F")
            await console.until(lambda: bool(console.app.screen.query("#name")))
            console.app.screen.query_one("#name", Input).value = "good ones"
            await console.press("enter")
            await console.until(lambda: len(console.app.screen_stack) == 1)
            console.review.put_filter("")
            await console.until(lambda: len(console.review.table.keys) == 2)
            await console.press("F")
            await console.until(lambda: "good ones" in console.shown())
            await console.press("down", "enter")
            await console.until(lambda: len(console.review.table.keys) == 1)
            await console.press("F")
            await console.until(lambda: "good ones" in console.shown())
            await console.press("down", "delete")
            await console.until(lambda: maker.db.execute("SELECT count(*) FROM saved_filters").fetchone() == (0,))

    run(flow())


def test_the_table_is_exported_as_it_is_filtered(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.9, completion="=1+1")
    maker.examined(0.1)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            console.review.put_filter("reward>0.5")
            await console.until(lambda: len(console.review.table.keys) == 1)
            await console.press("Y")
            await console.until(lambda: "1 row copied" in console.said)
            assert "=1+1" in console.app.clipboard
            await console.press("f4")
            await console.until(lambda: "Saved a picture of the screen" in console.said)
            await console.press("w")
            await console.until(lambda: bool(console.app.screen.query("#path")))
            console.app.screen.query_one("#path", Input).value = str(workspace.root / "exports" / "review.csv")
            await console.press("enter")
            await console.until(lambda: "1 row written" in console.said)

    run(flow())
    (picture,) = (workspace.root / "exports").glob("screen-*.svg")
    assert "Review" in picture.read_text(encoding="utf-8")
    with (workspace.root / "exports" / "review.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["reward_mean"]) == 0.9
    assert row["self_edit_begins"] == "'=1+1", "no spreadsheet may take it for a formula"


def test_what_is_shown_of_a_candidate(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.9, completion="Returns take 30 days.\n[@click=app.quit]stop[/]")

    async def flow() -> None:
        async with drive(workspace, size=(200, 60)) as console:
            await console.in_review()
            await console.until(lambda: "Provenance" in console.shown())
            text = console.shown()
            for wanted in (
                "[@click=app.quit]stop[/]", "✗ wrong", "14 days", "✓ right", "30 days", "audit", "Gates", "✓ passed",
                "Trained on 1 sequence", "Loss of the inner updates", "returns.md", "List implications.",
            ):  # fmt: skip
                assert wanted in text, wanted

    run(flow())
