from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.dialogs.modal import TextDialog
from seal_console.console.screens.review import ReviewScreen
from seal_console.console.screens.versions import VersionsScreen
from seal_console.console.widgets.long_text import DetailPane
from store.version_rows import list_moves, live_version
from tests.test_console.console_scenario import ConsoleDriver, drive, run
from tests.test_console.version_scenario import accepted, branched

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker, CliCaller

SIZES = [(80, 24), (120, 40), (200, 60)]


async def in_versions(console: ConsoleDriver) -> VersionsScreen:
    await console.press("3")
    await console.until(lambda: isinstance(console.app.screen, VersionsScreen) and card_text(console))
    screen = console.app.screen
    assert isinstance(screen, VersionsScreen)
    return screen


def card_text(console: ConsoleDriver) -> str:
    text = console.app.screen_stack[0].query_one(DetailPane).text
    return "" if text is None else text.plain


def test_a_file_of_the_live_version_that_was_deleted_is_named_with_the_command(
    maker: CandidateMaker, workspace: Workspace, call: CliCaller
) -> None:
    accepted(maker)
    (workspace.adapters_folder / "adapter_model.safetensors").unlink()
    listed = " ".join(call("versions", "list").err.split())
    assert "lacks adapter_model.safetensors of the live version" in listed
    assert "reset --hard live" in listed

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            await console.until(lambda: "lacks adapter_model.safetensors of the live version" in card_text(console))

    run(flow())
    subprocess.run(["git", "-C", str(workspace.adapters_folder), "reset", "-q", "--hard", "live"], check=True)
    assert call("versions", "list").err == ""


@pytest.mark.parametrize("size", SIZES)
def test_the_graph_and_the_card_are_seen_at_every_size(
    maker: CandidateMaker, workspace: Workspace, size: tuple[int, int]
) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace, size=size) as console:
            await in_versions(console)
            await console.until(lambda: "p0001 in use" in console.shown())
            shown = console.shown()
            assert "├─●" in shown
            assert "v0004 ◆ live" in shown
            assert "the base model alone" in shown
            assert "reason" in shown
            assert "✓ matches its record" in card_text(console)
            await console.press("end")
            await console.until(lambda: "policy in use" in card_text(console))
            await console.press("up")
            await console.until(lambda: card_text(console).startswith("v0000"))

    run(flow())


def test_two_versions_are_compared(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_versions(console)
            await console.press("m")
            await console.until(lambda: "● v0004 marked" in console.shown())
            await console.press("m")
            await console.until(lambda: not screen.table.marked)
            await console.press("m", "j", "j", "m")
            await console.until(lambda: isinstance(console.app.screen, TextDialog))
            shown = console.shown()
            assert "v0002 and v0004 compared" in shown
            assert "2 questions: 2 both right" in shown
            assert "Euclidean distance" in shown
            await console.press("escape", "escape")
            await console.press("end", "m")
            await console.until(lambda: "this is a policy" in console.said)

    run(flow())


def test_two_that_are_marked_with_the_tables_own_key_are_compared(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace, size=(80, 24)) as console:
            await in_versions(console)
            await console.press("space", "space")
            await console.until(lambda: "marked" in console.shown())
            await console.press("c")
            await console.until(lambda: "v0003 and v0004 compared" in console.shown())

    run(flow())


def test_compare_without_a_second_says_how(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            await console.press("c")
            await console.until(lambda: "Mark one version with m" in console.said)

    run(flow())


def test_a_rollback_wants_the_tag_and_a_reason(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_versions(console)
            await console.press("ctrl+b")
            await console.until(lambda: "v0004 is live already" in console.said)
            await console.press("j", "j", "ctrl+b")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            assert "Nothing is deleted" in console.shown()
            await console.press("ctrl+s")
            await console.until(lambda: "Type v0002" in console.shown())
            await console.type("v0002")
            await console.press("ctrl+s")
            await console.until(lambda: "A reason is required" in console.shown())
            assert live_version(maker.db) == 4
            await console.type("better after all")
            await console.press("ctrl+s")
            await console.until(lambda: "v0002 is live now" in console.said)
            await console.until(lambda: "v0002 ◆ live" in console.shown())
            assert "v0004 ◆ live" not in console.shown()
            assert screen.table.key == 2
            assert console.app.actions.history[-1].title == "roll back to v0002"

    run(flow())
    assert live_version(maker.db) == 2
    assert (list_moves(maker.db)[-1].actor, list_moves(maker.db)[-1].reason) == ("ada", "better after all")


def test_a_rollback_that_is_left_changes_nothing(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            await console.press("j", "ctrl+b")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.press("escape")
            await console.until(lambda: isinstance(console.app.screen, VersionsScreen))

    run(flow())
    assert live_version(maker.db) == 4


def test_the_list_is_exported(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            await console.press("w")
            await console.until(lambda: isinstance(console.app.screen, ExportDialog))
            await console.press("ctrl+u")
            await console.type("versions.json")
            await console.press("enter")
            await console.until(lambda: "5 rows written to" in console.said)

    run(flow())
    rows = json.loads((workspace.root / "versions.json").read_text(encoding="utf-8"))
    assert [row["version"] for row in rows] == ["v0004", "v0003", "v0002", "v0001", "v0000"]
    assert rows[0]["pointers"] == "live"


def test_read_only_nothing_is_rolled_back_and_no_file_is_written(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace, read_only=True) as console:
            await in_versions(console)
            await console.press("j", "ctrl+b")
            await console.until(lambda: "start it without --read-only" in console.said)
            for key in ("w", "f4"):
                await console.press(key)
                await console.until(lambda: console.said.endswith("it writes no files."))
                console.app.clear_notifications()
            assert isinstance(console.app.screen, VersionsScreen)

    run(flow())
    assert not (workspace.root / "exports").exists()


def test_the_git_command_is_copied_and_shown(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            await console.press("y")
            await console.until(lambda: "checkout v0001" in console.said)
            assert console.app.clipboard == f"git -C {workspace.adapters_folder} checkout v0001"

    run(flow())


def test_enter_shows_the_candidate_in_the_review(maker: CandidateMaker, workspace: Workspace) -> None:
    version = accepted(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            await console.press("enter")
            await console.until(lambda: isinstance(console.app.screen, ReviewScreen))
            await console.until(
                lambda: (
                    (now := console.review.pane.shown) is not None and now.whole.candidate.id == version.candidate_id
                )
            )

    run(flow())


def test_a_version_that_comes_moves_no_row(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_versions(console)
            accepted(maker, reason="from another console")
            await console.until(lambda: "1 new · R shows them" in console.shown())
            assert list(screen.table.keys) == [1, 0]
            assert "v0001 ◆ live" not in console.shown()
            await console.press("R")
            await console.until(lambda: "v0002 ◆ live" in console.shown())
            assert (list(screen.table.keys), screen.table.key) == ([2, 1, 0], 1)

    run(flow())


def test_an_old_console_shows_a_version_by_its_number(maker: CandidateMaker, workspace: Workspace) -> None:
    branched(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_versions(console)
            screen.show_version(2)
            await console.until(lambda: card_text(console).startswith("v0002"))
            assert screen.table.key == 2

    run(flow())


def test_hostile_words_of_a_decision_are_sanitized(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker, reason="[@click=app.quit]x[/] \x1b]0;owned\x07", completion="\x1b[2J[bold]\u202eevil")

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_versions(console)
            shown = console.shown()
            assert "[@click=app.quit]" in shown
            assert not set("\x1b\x07\u202e") & set(shown + card_text(console))

    run(flow())
