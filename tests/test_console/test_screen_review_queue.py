"""What the review lists, and what of it can be decided."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from seal_console.console.dialogs.confirm import ConfirmDialog
from tests.test_console.console_scenario import ConsoleDriver, decide, drive, run, state_of

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker


def test_escape_takes_the_marks_back_then_the_filter(maker: CandidateMaker, workspace: Workspace) -> None:
    for reward in (0.9, 0.8, 0.7):
        maker.examined(reward)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press("slash")
            await console.type("reward>0.75")
            await console.press("enter")
            await console.until(lambda: len(console.review.table.keys) == 2)
            await console.press("space")
            await console.until(lambda: len(console.review.table.marked) == 1)
            await console.press("escape")
            await console.until(lambda: not console.review.table.marked)
            assert len(console.review.table.keys) == 2
            await console.press("escape")
            await console.until(lambda: len(console.review.table.keys) == 3)

    run(flow())


def rows_are(console: ConsoleDriver, count: int) -> bool:
    return len(console.review.table.keys) == count


def test_a_new_filter_replaces_the_current_one(maker: CandidateMaker, workspace: Workspace) -> None:
    for reward in (0.9, 0.8, 0.7):
        maker.examined(reward)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            for text, rows in (("reward>0.75", 2), ("reward>0.85", 1)):
                await console.press("slash")
                await console.type(text)
                await console.press("enter")
                await console.until(partial(rows_are, console, rows))

    run(flow())


def test_a_candidate_on_an_older_parent_says_so_before_anybody_presses_accept(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    first, second = maker.examined(0.9), maker.examined(0.8)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await decide(console, "A", "good")
            await console.until(lambda: "is live" in console.said)
            await console.until(lambda: "trained on base, but v0001 is live" in console.shown())
            assert "↷ older" in console.shown()
            await console.press("A")
            await console.until(lambda: "it cannot be accepted now." in console.said)
            assert not isinstance(console.app.screen, ConfirmDialog)

    run(flow())
    assert [state_of(maker, one.id) for one in (first, second)] == ["accepted", "examined"]
