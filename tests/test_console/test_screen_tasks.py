from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.screens.review import ReviewScreen
from seal_console.console.screens.tasks import TasksScreen
from seal_console.console.widgets.inputs import FilterInput
from seal_console.console.widgets.long_text import DetailPane
from store.tasks import add_tasks
from tests.test_console.cli_scenario import make_task
from tests.test_console.console_scenario import ConsoleDriver, drive, run

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

SIZES = [(80, 24), (120, 40), (200, 60)]


async def in_tasks(console: ConsoleDriver) -> TasksScreen:
    await console.press("5")
    await console.until(lambda: isinstance(console.app.screen, TasksScreen) and card(console))
    screen = console.app.screen
    assert isinstance(screen, TasksScreen)
    return screen


def card(console: ConsoleDriver) -> str:
    text = console.app.screen_stack[0].query_one(DetailPane).text
    return "" if text is None else text.plain


async def filtered(console: ConsoleDriver, text: str) -> None:
    await console.press("slash", "ctrl+u")
    await console.type(text)
    await console.press("enter")


@pytest.mark.parametrize("size", SIZES)
def test_weakness_and_todays_answers_at_every_size(
    maker: CandidateMaker, workspace: Workspace, size: tuple[int, int]
) -> None:
    add_tasks(maker.db, [make_task("Shipping")])

    async def flow() -> None:
        async with drive(workspace, size=size) as console:
            await in_tasks(console)
            shown = console.shown()
            assert "2 of 2" in shown
            assert "not answered" in shown
            assert card(console).startswith("Returns")
            assert "✗ wrong  14 days" in card(console)
            assert "expected 30 days" in card(console)
            assert "How long? (audit)  audit" in card(console)
            assert "Now 30 days." in card(console)
            await console.press("j")
            await console.until(lambda: card(console).startswith("Shipping"))
            assert "· not answered yet" in card(console)

    run(flow())


def test_filter_explain_correct_clear(maker: CandidateMaker, workspace: Workspace) -> None:
    add_tasks(maker.db, [make_task("Shipping"), make_task("Warranty")])

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_tasks(console)
            await filtered(console, "weekness>0.5")
            await console.until(lambda: "did you mean" in console.shown())
            assert len(screen.table.keys) == 3
            await filtered(console, "asked=0")
            await console.until(lambda: len(screen.table.keys) == 2)
            assert screen.table.has_focus
            assert "did you mean" not in console.shown()
            await console.press("slash")
            await console.type("x")
            await console.press("escape")
            await console.until(lambda: screen.query_one(FilterInput).value == "asked=0")
            assert len(screen.table.keys) == 2
            await console.press("escape")
            await console.until(lambda: len(screen.table.keys) == 3)

    run(flow())


def test_sorting_by_key_and_by_heading(maker: CandidateMaker, workspace: Workspace) -> None:
    add_tasks(maker.db, [make_task("Shipping"), make_task("Aisles")])

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_tasks(console)
            await console.press("s", "s")
            await console.until(lambda: "by title" in console.shown())
            await console.until(lambda: card(console).startswith("Aisles"))
            await console.press("S")
            await console.until(lambda: "by title, reversed" in console.shown())
            await console.until(lambda: card(console).startswith("Shipping"))
            await console.pilot.click(screen.table, offset=(4, 0))
            await console.until(lambda: card(console).startswith("Aisles"))

    run(flow())


def test_tasks_that_come_are_counted(maker: CandidateMaker, workspace: Workspace) -> None:
    assert maker.made == 0

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_tasks(console)
            add_tasks(maker.db, [make_task("Aisles"), make_task("Shipping")])
            await console.until(lambda: "2 new · R shows them" in console.shown())
            assert len(screen.table.keys) == 1
            await console.press("R")
            await console.until(lambda: len(screen.table.keys) == 3)
            assert card(console).startswith("Returns")

    run(flow())


def test_enter_opens_the_best_self_edit(maker: CandidateMaker, workspace: Workspace) -> None:
    add_tasks(maker.db, [make_task("Shipping")])
    maker.examined(0.25)
    best = maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_tasks(console)
            await console.press("j", "enter")
            await console.until(lambda: "No self-edit" in console.said)
            await console.press("k", "enter")
            await console.until(lambda: isinstance(console.app.screen, ReviewScreen))
            await console.until(
                lambda: (now := console.review.pane.shown) is not None and now.whole.candidate.id == best.id
            )

    run(flow())


def test_what_fits_the_filter_is_exported(maker: CandidateMaker, workspace: Workspace) -> None:
    add_tasks(maker.db, [make_task("=HYPERLINK(1)"), make_task("Warranty")])

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_tasks(console)
            await filtered(console, "hyper")
            await console.until(lambda: len(screen.table.keys) == 1)
            await console.press("w")
            await console.until(lambda: isinstance(console.app.screen, ExportDialog))
            await console.press("enter")
            await console.until(lambda: "1 row written to" in console.said)

    run(flow())
    (path,) = (workspace.root / "exports").glob("tasks-*.csv")
    (row,) = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    assert (row["title"], row["asked"], row["weakness"]) == ("'=HYPERLINK(1)", "0", "")


def test_hostile_tasks_are_sanitized(maker: CandidateMaker, workspace: Workspace) -> None:
    add_tasks(maker.db, [make_task("[@click=app.quit]\x1b]52;c;x\x07", "\x1b[2J [bold]why\u202e")])

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_tasks(console)
            await console.press("j")
            await console.until(lambda: card(console).startswith("[@click=app.quit]"))
            assert not set("\x1b\x07\u202e") & set(console.shown() + card(console))

    run(flow())
