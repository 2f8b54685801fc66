"""Drives the real console in this process, without a terminal and an engine: keys in, the screen's state out."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from engine.settings.reading import load_settings
from seal_console.console.app import ConsoleApp
from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.screens.review import ReviewScreen
from store.candidates import get_candidate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from textual.pilot import Pilot

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

_WITHIN_S = 20.0


class ConsoleDriver:
    """A running console, and waiting for what it shows."""

    def __init__(self, app: ConsoleApp, pilot: Pilot[Any], started: list[Path]) -> None:
        self.app, self.pilot, self.started = app, pilot, started

    @property
    def review(self) -> ReviewScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ReviewScreen)
        return screen

    @property
    def said(self) -> str:
        return "\n".join(str(one.message) for one in self.app._notifications)

    def shown(self) -> str:
        """The screen as text."""
        lines = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        for character in text:
            await self.pilot.press({" ": "space", ":": "colon", ">": "greater_than_sign"}.get(character, character))

    async def until(self, holds: Callable[[], object], what: str = "") -> None:
        """Wait for a condition; the failure shows the screen."""
        deadline = time.monotonic() + _WITHIN_S
        while not holds():
            late = time.monotonic() >= deadline
            assert not late, f"{what or 'the condition'} did not come true:\n{self.shown()}\n{self.said}"
            await self.pilot.pause(0.02)

    async def in_review(self) -> None:
        """Go to the review and wait for its queue and candidate."""
        await self.press("2")
        await self.until(lambda: isinstance(self.app.screen, ReviewScreen) and self.review.pane.shown is not None)


async def decide(console: ConsoleDriver, key: str, reason: str) -> None:
    await console.press(key)
    await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
    await console.type(reason)
    await console.press("ctrl+s")
    await console.until(lambda: not isinstance(console.app.screen, ConfirmDialog))


def state_of(maker: CandidateMaker, candidate_id: str) -> str:
    return get_candidate(maker.db, candidate_id).state


@asynccontextmanager
async def drive(
    workspace: Workspace,
    *,
    size: tuple[int, int] = (120, 40),
    read_only: bool = False,
    actor: str = "ada",
    messages: bool = False,
) -> AsyncIterator[ConsoleDriver]:
    """Open the console on a workspace. Engines that it would start are only noted, `messages` shown or only kept."""
    started: list[Path] = []

    def start(root: Path) -> int:
        started.append(root)
        return 0

    app = ConsoleApp(
        workspace, load_settings(workspace.settings_file), actor=actor, read_only=read_only, start_engine=start
    )
    async with app.run_test(size=size, notifications=messages) as pilot:
        console = ConsoleDriver(app, pilot, started)
        await console.until(lambda: app.facts.live != "…", "the first look")
        yield console


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test that drives the console."""
    asyncio.run(test)
