"""Goes through the screens and dialogs of a console on the shop, and stops where each is drawn whole."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from textual.widgets import Input

from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.modal import TextDialog
from store.lock import hold_lock
from tests.test_console.console_scenario import ConsoleDriver, drive
from tests.test_console.screen_pictures import picture
from tests.test_console.shop_scenario import ACTOR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from store.workspace import Workspace

SCREENS = ("now", "review", "versions", "rounds", "tasks", "log", "retention", "help", "accept")
_DRAWN = {
    "now": ("inner updates ██████████░░░░░░░░░░ 6/12", "mean reward"),
    "review": ("5 listed", "Self-edit", "Goods can be returned within 30 days since 1 March."),
    "versions": ("4 accepted", "v0004", "accepted by"),
    "rounds": ("2 rounds", "round 2: 6 candidates", "written by"),
    "tasks": ("3 tasks by weakness", "Questions, answered by"),
    "log": ("events", "job.added", "follows the event before it"),
    "retention": ("3 edits on the live lineage", "v0004 on the edit of v0001"),
}


@asynccontextmanager
async def in_shop(
    shop: Workspace, size: tuple[int, int], theme: str, *, messages: bool = False
) -> AsyncIterator[ConsoleDriver]:
    """Open a console on the shop while an engine works there."""
    with hold_lock(shop.lock_file, "jobs"):
        async with drive(shop, size=size, actor=ACTOR, messages=messages) as console:
            console.app.theme = theme
            await console.until(lambda: console.app.facts.running, "the engine is seen")
            yield console


async def tour(console: ConsoleDriver) -> AsyncIterator[str]:
    """Go through SCREENS; gives the name of each once it is drawn."""
    for key, name in enumerate(SCREENS[:7], 1):
        await console.press(str(key))
        await drawn(console, name)
        yield name
    await console.press("2")
    await drawn(console, "review")
    await open_dialog(console, "question_mark", TextDialog)
    yield "help"
    await console.press("escape")
    await open_dialog(console, "A", ConfirmDialog)
    yield "accept"


async def drawn(console: ConsoleDriver, name: str) -> None:
    """Wait until a screen is there with all that it reads."""
    await console.until(lambda: console.app.current_mode == name, f"the screen {name}")
    await console.until(lambda: all(words in console.shown() for words in _DRAWN[name]), f"{name}: {_DRAWN[name]}")
    await settled(console)


async def open_dialog(console: ConsoleDriver, key: str, kind: type[object]) -> None:
    """Press a key and wait for its dialog; its cursors do not blink."""
    await console.press(key)
    await console.until(lambda: isinstance(console.app.screen, kind), f"the dialog of {key}")
    for field in console.app.screen.query(Input):
        field.cursor_blink = False
    await settled(console)


async def settled(console: ConsoleDriver) -> None:
    """Wait until nothing is read, laid out or drawn any more."""
    before = ""

    def still() -> bool:
        nonlocal before
        last, before = before, picture(console.app)
        return last == before and not any(one.is_running for one in console.app.workers if one.group != "ask")

    await console.until(still, "the screen stands still")
