"""The review screen on candidates that rules refused before training, or hold for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.dialogs.confirm import ConfirmDialog
from tests.test_console.console_scenario import ConsoleDriver, drive, run
from tests.test_console.rule_scenario import judged

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker


async def looking_at(console: ConsoleDriver, candidate_id: str) -> None:
    await console.until(
        lambda: (now := console.review.pane.shown) is not None and now.whole.candidate.id == candidate_id
    )


def test_a_candidate_that_needs_review_is_marked_in_the_table_the_pane_and_the_dialog(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    held = judged(maker, ("words", False, "hold"), trained=True)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await looking_at(console, held.id)
            await console.until(lambda: "needs review: rule:words: only a person may accept it" in console.shown())
            assert "‖ review" in console.shown()
            await console.press("A")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.until(lambda: "A gate requires your review" in console.shown())

    run(flow())


def test_a_candidate_that_was_never_trained_is_shown_with_its_evidence(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    refused = judged(maker, ("no-keys", False, None), ("note", False, "note"))

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press("v")
            await console.until(lambda: len(console.review.table.keys) == 2)
            await console.press("down")
            await looking_at(console, refused.id)
            await console.until(lambda: "not examined" in console.shown())
            assert "refused" in console.shown()
            await console.press("A")
            await console.until(lambda: "refused by a gate" in console.said)

    run(flow())
