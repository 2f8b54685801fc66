"""Screens that nobody has asked for yet: filled, laid out and drawn beforehand, but never before a key."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

from textual._compositor import Compositor
from textual.app import App
from textual.color import Color
from textual.events import AppBlur, AppFocus

from seal_console.console.screens.base import SealScreen
from seal_console.console.screens.catalogue import MODES
from seal_console.console.screens.tasks import TasksScreen
from seal_console.console.widgets.bars import KeyBar
from seal_console.console.widgets.paged_table import PagedTable
from tests.test_console.console_scenario import ConsoleDriver, drive, run

if TYPE_CHECKING:
    from typing import Any

    import pytest
    from textual.dom import DOMNode

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

LONG_S = 3600.0


def unseen(console: ConsoleDriver, name: str) -> SealScreen | None:
    stack = console.app._screen_stacks.get(name)
    return stack[0] if stack and isinstance(stack[0], SealScreen) else None


async def all_prepared(console: ConsoleDriver) -> None:
    gc.disable()
    try:
        await console.until(gc.isenabled, "the end of preparing")
    finally:
        gc.enable()


def test_every_screen_is_filled_and_laid_out_before_it_is_seen(maker: CandidateMaker, workspace: Workspace) -> None:
    maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await all_prepared(console)
            for name in MODES:
                screen = unseen(console, name)
                assert screen is not None
                assert screen.was_loaded
                assert all(table.size.width > 0 for table in screen.query(PagedTable) if table.display)
            review = unseen(console, "review")
            assert review is not None
            assert review.query_one("#table", PagedTable).keys

    run(flow())


def test_a_first_look_draws_the_screen_once(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Compositor] = []
    whole, part = Compositor.render_full_update, Compositor.render_partial_update

    def noted_whole(self: Compositor, simplify: bool = False) -> Any:
        drawn.append(self)
        return whole(self, simplify)

    def noted_part(self: Compositor) -> Any:
        if self._dirty_regions:
            drawn.append(self)
        return part(self)

    monkeypatch.setattr(Compositor, "render_full_update", noted_whole)
    monkeypatch.setattr(Compositor, "render_partial_update", noted_part)

    async def flow() -> None:
        async with drive(workspace) as console:
            await all_prepared(console)
            drawn.clear()
            await console.press("5")
            await console.until(lambda: drawn, "the first look")
            await console.pilot.pause(0.2)
            assert isinstance(console.app.screen, TasksScreen)
            assert drawn == [console.app.screen._compositor]

    run(flow())


def test_during_typing_only_the_requested_screen_is_prepared(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            console.app.last_input = time.monotonic() + LONG_S  # as if a key had only just come, again and again
            before = {name for name in MODES if unseen(console, name)}
            await console.app.action_go("tasks")
            await console.until(lambda: isinstance(console.app.screen, TasksScreen) and console.app.screen.was_loaded)
            await console.pilot.pause(0.2)
            assert {name for name in MODES if unseen(console, name)} - before <= {"tasks"}
            console.app.last_input = 0.0
            await all_prepared(console)
            assert all(unseen(console, name) for name in MODES)

    run(flow())


def test_a_look_at_a_screen_that_was_seen_styles_no_widget_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    styled: list[DOMNode] = []
    style = App.update_styles

    def noted(self: App[Any], node: DOMNode, animate: bool = True) -> None:
        styled.append(node)
        style(self, node, animate)

    monkeypatch.setattr(App, "update_styles", noted)

    async def flow() -> None:
        async with drive(workspace) as console:
            await all_prepared(console)
            styled.clear()
            await console.press("5")
            await console.until(lambda: isinstance(console.app.screen, TasksScreen))
            await console.press("1")
            await console.until(lambda: console.app.screen is unseen(console, "now"))
            assert not [node for node in styled if isinstance(node, SealScreen)]

    run(flow())


def test_a_theme_reaches_the_screens_that_are_not_seen(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            await all_prepared(console)
            await console.press("ctrl+t")
            await console.press("5")
            await console.until(lambda: isinstance(console.app.screen, TasksScreen))
            table = console.app.screen.query_one(PagedTable)
            wanted = Color.parse(console.app.theme_variables["surface"])
            await console.until(lambda: table.styles.background == wanted, "the other theme's colours")

    run(flow())


def test_a_screen_that_is_seen_after_the_window_came_back_looks_as_one_with_the_focus(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            await all_prepared(console)
            console.app.post_message(AppBlur())
            await console.until(lambda: not console.app.app_focus)
            await console.press("5")
            await console.until(lambda: isinstance(console.app.screen, TasksScreen))
            console.app.post_message(AppFocus())
            await console.until(lambda: console.app.app_focus)
            await console.press("1", "5")
            await console.until(lambda: isinstance(console.app.screen, TasksScreen))
            screen = unseen(console, "tasks")
            assert screen is not None
            assert screen._styled_for == (console.app.theme, True)

    run(flow())


def test_prepared_screens_may_still_be_laid_out_while_the_console_closes(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            await all_prepared(console)
            bar = console.app._screen_stacks["tasks"][0].query_one(KeyBar)
            shown = console.app._screen_stack
            kept = shown.copy()
            shown.clear()  # as Textual does before it closes the screens of the other modes
            try:
                bar.on_resize()
            finally:
                shown.extend(kept)

    run(flow())
