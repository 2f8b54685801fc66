from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from engine.trackers.summary import PolicyTraining
from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.screens.review import ReviewScreen
from seal_console.console.screens.rounds import RoundsScreen
from seal_console.console.widgets.long_text import DetailPane
from seal_console.queries.rounds import ranking
from store.candidates import defer
from store.lock import hold_lock
from store.rounds import finish_round, get_round, interrupt_round
from tests.test_console.cli_scenario import round_summary
from tests.test_console.console_scenario import ConsoleDriver, drive, run
from tests.test_console.test_round_queries import begin, finish

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

SIZES = [(80, 24), (120, 40), (200, 60)]


async def in_rounds(console: ConsoleDriver) -> RoundsScreen:
    await console.press("4")
    await console.until(lambda: isinstance(console.app.screen, RoundsScreen))
    screen = console.app.screen
    assert isinstance(screen, RoundsScreen)
    await console.until(lambda: not screen.rounds.keys or report(console))
    return screen


def report(console: ConsoleDriver) -> str:
    text = console.app.screen_stack[0].query_one(DetailPane).text
    return "" if text is None else text.plain


def two_rounds(maker: CandidateMaker) -> tuple[str, str]:
    first = begin(maker, held_out=True)
    best, worst = maker.examined(0.5), maker.examined(-0.5, passed=False)
    finish(maker, first, [best.id], 0.5, 0.25)
    begin(maker)
    maker.examined(0.75)
    return best.id, worst.id


def test_the_losses_of_the_policys_training_are_drawn(maker: CandidateMaker, workspace: Workspace) -> None:
    number = begin(maker, held_out=True)
    training = PolicyTraining(steps=4, trained_tokens=1234, elapsed_s=1.0, losses=[2.0, None, 1.0, 0.5])
    finish_round(maker.db, number, "done", round_summary(policy_training=training))

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_rounds(console)
            await console.until(lambda: "4 steps on 1,234 tokens" in report(console))
            assert "2.000 → 0.500" in report(console)

    run(flow())


@pytest.mark.parametrize("size", SIZES)
def test_rounds_report_and_candidates_at_every_size(
    maker: CandidateMaker, workspace: Workspace, size: tuple[int, int]
) -> None:
    two_rounds(maker)

    async def flow() -> None:
        async with drive(workspace, size=size) as console:
            screen = await in_rounds(console)
            await console.until(lambda: "interrupted" in console.shown())  # no engine holds the lock
            await console.press("j")
            await console.until(lambda: report(console).startswith("Round 1"))
            shown = console.shown()
            assert "50.0 % → 25.0 %" in shown
            assert "✗ dropped" in shown
            assert "+0.500 ✓" in shown
            assert "✗ the new policy was dropped" in report(console)
            assert "1: 1 by reward" in report(console)
            assert "1 task, 2 questions, 2 self-edits each" in report(console)
            assert len(screen.candidates.keys) == 2

    run(flow())


def test_enter_goes_to_the_candidates_and_then_into_the_review(maker: CandidateMaker, workspace: Workspace) -> None:
    best, _ = two_rounds(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_rounds(console)
            await console.press("j")
            await console.until(lambda: report(console).startswith("Round 1"))
            await console.press("enter")
            await console.until(lambda: screen.candidates.has_focus)
            await console.press("escape")
            await console.until(lambda: screen.rounds.has_focus)
            await console.press("enter", "enter")
            await console.until(lambda: isinstance(console.app.screen, ReviewScreen))
            await console.until(
                lambda: (now := console.review.pane.shown) is not None and now.whole.candidate.id == best
            )

    run(flow())


def test_what_comes_moves_no_row(maker: CandidateMaker, workspace: Workspace) -> None:
    number = begin(maker)
    maker.examined(0.25)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_rounds(console)
            before = list(screen.candidates.keys)
            maker.examined(0.75)  # ranks before the one that is shown
            await console.until(lambda: "2 ranked again" in console.shown())
            assert list(screen.candidates.keys) == before
            finish_round(maker.db, number, "done", round_summary())
            begin(maker)
            await console.until(lambda: "1 new" in console.shown())
            assert list(screen.rounds.keys) == [number]
            assert "done" in console.shown()
            await console.press("R")
            await console.until(lambda: list(screen.rounds.keys) == [number + 1, number])
            await console.until(lambda: len(screen.candidates.keys) == 2)
            assert screen.rounds.key == number

    run(flow())


def test_after_hurrying_through_the_rounds_the_candidates_are_those_of_the_last(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    for _ in range(4):
        number = begin(maker)
        for _ in range(number):
            maker.examined(0.5)
        finish_round(maker.db, number, "done", round_summary())

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_rounds(console)
            await console.press("j", "j", "k", "j", "j", "k")
            await console.until(lambda: report(console).startswith("Round 2"))
            await console.until(lambda: len(screen.candidates.keys) == 2)
            assert screen.rounds.key == 2

    run(flow())


def test_the_table_with_the_focus_is_exported(maker: CandidateMaker, workspace: Workspace) -> None:
    two_rounds(maker)

    async def export(console: ConsoleDriver, name: str) -> None:
        await console.press("w")
        await console.until(lambda: isinstance(console.app.screen, ExportDialog))
        await console.press("ctrl+u")
        await console.type(name)
        await console.press("enter")
        await console.until(lambda: name in console.said)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_rounds(console)
            await export(console, "rounds.csv")
            await console.press("enter")
            await export(console, "candidates.csv")

    run(flow())
    rows = list(csv.DictReader((workspace.root / "rounds.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["number"], row["state"], row["refused"]) for row in rows] == [
        ("2", "interrupted", "0"),
        ("1", "done", "1"),
    ]
    rows = list(csv.DictReader((workspace.root / "candidates.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["place"], row["reward_mean"], row["kept"]) for row in rows] == [("1", "0.75", "false")]


def test_an_imported_round_is_marked(maker: CandidateMaker, workspace: Workspace) -> None:
    number = begin(maker, imported=True)
    finish_round(maker.db, number, "done", {"mean_gain": 0.1})

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_rounds(console)
            assert "1 imported" in console.shown()
            assert "imported" in report(console)
            assert "Not published with the run" in report(console)

    run(flow())


def test_without_a_round_it_says_how_to_run_one(maker: CandidateMaker, workspace: Workspace) -> None:
    assert maker.made == 0

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_rounds(console)
            await console.until(lambda: "ctrl+r runs one" in console.shown())
            await console.press("w")
            await console.until(lambda: "nothing to export" in console.said)

    run(flow())


def test_a_finished_round_is_ranked_again_only_if_an_edited_candidate_came(
    maker: CandidateMaker, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = begin(maker)
    origin = maker.examined(0.25)
    finish_round(maker.db, number, "done", round_summary())
    ranked: list[int] = []

    def noted(db: Database, of: int) -> dict[int, int]:
        ranked.append(of)
        return ranking(db, of)

    monkeypatch.setattr("seal_console.console.screens.rounds.ranking", noted)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_rounds(console)
            await console.until(lambda: report(console).startswith(f"Round {number}"))
            seen = list(ranked)
            assert set(seen) == {number}
            assert len(seen) == 1
            defer(maker.db, origin.id, "ada", "later")
            await console.until(lambda: "deferred" in console.shown())
            assert ranked == seen
            maker.examined(0.75, derived_from=origin.id, round_number=number)
            await console.until(lambda: "2 ranked again" in console.shown())
            assert screen.rounds.key == number

    run(flow())


def test_an_interrupted_round_is_given_up_with_a_reason(maker: CandidateMaker, workspace: Workspace) -> None:
    two_rounds(maker)
    number = 2
    interrupt_round(maker.db, number)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_rounds(console)
            await console.until(lambda: report(console).startswith(f"Round {number}"))
            with hold_lock(workspace.lock_file, "run"):
                await console.press("X")
                await console.until(lambda: "An engine is running: stop it first" in console.said)
            await console.press("X")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.press("ctrl+s")
            await console.until(lambda: "A reason is required" in console.shown())
            await console.type("too long")
            await console.press("ctrl+s")
            await console.until(lambda: f"Round {number} is given up" in console.said)
            await console.until(lambda: "given up" in report(console))
            await console.press("X")
            await console.until(lambda: "Only an unfinished round" in console.said)

    run(flow())
    ended = get_round(maker.db, number)
    assert (ended.state, ended.summary) == ("failed", {"abandoned": {"actor": "ada", "reason": "too long"}})


def test_read_only_no_round_is_given_up(maker: CandidateMaker, workspace: Workspace) -> None:
    number = begin(maker)

    async def flow() -> None:
        async with drive(workspace, read_only=True) as console:
            await in_rounds(console)
            await console.until(lambda: report(console).startswith(f"Round {number}"))
            await console.press("X")
            await console.until(lambda: "This console is read-only" in console.said)

    run(flow())
    assert get_round(maker.db, number).finished_at is None
