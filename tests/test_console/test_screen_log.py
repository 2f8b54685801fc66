from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.screens.log import LogScreen
from seal_console.console.widgets.long_text import DetailPane
from store.candidates import reject
from store.events import append_event, chain_head
from store.hashing import canonical_json
from store.recovery import recover
from tests.test_console.console_scenario import ConsoleDriver, drive, run
from tests.test_console.version_scenario import accepted

if TYPE_CHECKING:
    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker

SIZES = [(80, 24), (120, 40), (200, 60)]


async def in_log(console: ConsoleDriver) -> LogScreen:
    await console.press("6")
    await console.until(lambda: isinstance(console.app.screen, LogScreen) and card(console))
    screen = console.app.screen
    assert isinstance(screen, LogScreen)
    return screen


def card(console: ConsoleDriver) -> str:
    text = console.app.screen_stack[0].query_one(DetailPane).text
    return "" if text is None else text.plain


@pytest.mark.parametrize("size", SIZES)
def test_the_newest_event_is_under_the_cursor(
    maker: CandidateMaker, workspace: Workspace, size: tuple[int, int]
) -> None:
    accepted(maker)

    async def flow() -> None:
        async with drive(workspace, size=size) as console:
            screen = await in_log(console)
            head = chain_head(maker.db)[0]
            await console.until(lambda: screen.events.key == head)
            await console.until(lambda: "live.moved" in console.shown())
            await console.press("k")  # the newest event: the console found no engine that holds the round
            await console.until(lambda: card(console).startswith(f"Event {head - 1}  live.moved"))
            assert '  "move": {' in card(console)
            assert "✓ follows the event before it" in card(console)
            await console.press("g")
            await console.until(lambda: card(console).startswith("Event 1  "))

    run(flow())


def test_the_tail_follows_unless_the_cursor_is_elsewhere_or_it_is_frozen(
    maker: CandidateMaker, workspace: Workspace
) -> None:
    accepted(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_log(console)
            head = chain_head(maker.db)[0]
            await console.until(lambda: screen.events.key == head)
            append_event(maker.db, "test.one", {})
            await console.until(lambda: screen.events.key == head + 1)
            await console.until(lambda: "following" in console.shown())
            await console.press("k")
            await console.until(lambda: "G: newest" in console.shown())
            append_event(maker.db, "test.two", {})
            await console.until(lambda: len(screen.events.keys) == head + 2)
            assert screen.events.key == head
            await console.press("f")
            await console.until(lambda: "frozen · 0 new" in console.shown())
            append_event(maker.db, "test.three", {})
            append_event(maker.db, "test.four", {})
            await console.until(lambda: "frozen · 2 new" in console.shown())
            assert (len(screen.events.keys), screen.events.key) == (head + 2, head)
            await console.press("f")
            await console.until(lambda: screen.events.key == head + 4)
            await console.until(lambda: "following" in console.shown())

    run(flow())


def test_a_frozen_list_is_still_frozen_after_a_look_elsewhere(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker)

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_log(console)
            await console.press("f")
            await console.until(lambda: "frozen · 0 new" in console.shown())
            shown = list(screen.events.keys)
            await console.press("5")
            await console.until(lambda: console.app.screen is not screen)
            head = chain_head(maker.db)[0]
            append_event(maker.db, "test.one", {})
            await console.until(lambda: screen._stale)
            await console.press("6")
            await console.until(lambda: "frozen · 1 new" in console.shown())
            assert list(screen.events.keys) == shown
            await console.press("R")
            await console.until(lambda: list(screen.events.keys) == list(range(1, head + 2)))

    run(flow())


def test_filtered_events_and_new_ones(maker: CandidateMaker, workspace: Workspace) -> None:
    rejected, other = maker.examined(0.5), maker.examined(0.4)
    reject(maker.db, rejected.id, "zoe", "mixed up")

    async def flow() -> None:
        async with drive(workspace) as console:
            screen = await in_log(console)
            await console.press("slash")
            await console.type("actor:zoe kind:rejected")
            await console.press("enter")
            await console.until(lambda: len(screen.events.keys) == 1)
            await console.until(lambda: '"mixed up"' in card(console))
            append_event(maker.db, "test.one", {})
            reject(maker.db, other.id, "zoe", "again")
            await console.until(lambda: len(screen.events.keys) == 2)
            await console.until(lambda: '"again"' in card(console))
            await console.press("slash", "ctrl+u")
            await console.type("at>x what:")
            await console.press("enter")
            await console.until(lambda: "Unknown field 'what'" in console.shown())
            assert len(screen.events.keys) == 2
            await console.press("escape")
            await console.until(lambda: len(screen.events.keys) == chain_head(maker.db)[0])

    run(flow())


def test_what_the_actions_ran_is_shown(maker: CandidateMaker, workspace: Workspace) -> None:
    accepted(maker)
    accepted(maker)
    recover(workspace, maker.db)  # nothing is left to be repaired when the console opens

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.press("3")
            await console.until(lambda: "v0002 ◆ live" in console.shown())
            await console.press("j", "ctrl+b")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            await console.type("v0001")
            await console.press("enter")
            await console.type("back")
            await console.press("ctrl+s")
            await console.until(lambda: "v0001 is live now" in console.said)
            screen = await in_log(console)
            await console.press("a")
            await console.until(lambda: screen.shows_actions and "roll back to v0001" in console.shown())
            assert "open the workspace" not in console.shown(), "looking is no action"
            await console.press("end")
            await console.until(lambda: "$ git -C" in card(console))
            assert "› INSERT INTO" in card(console)
            assert "✓ done" in card(console)
            await console.press("slash")
            await console.until(lambda: "filter is for events" in console.said)
            await console.press("a")
            await console.until(lambda: not screen.shows_actions and "Event" in card(console))

    run(flow())


def test_actions_of_an_earlier_console_are_there_too(maker: CandidateMaker, workspace: Workspace) -> None:
    assert maker.made == 0
    earlier = {
        "at": "2026-01-02T03:04:05.000Z",
        "title": "reject",
        "actor": "zoe",
        "commands": [],
        "failed": "locked\x1b",
    }
    workspace.cache_folder.mkdir(exist_ok=True)
    (workspace.cache_folder / "commands.jsonl").write_text(json.dumps(earlier) + "\nnot json\n", encoding="utf-8")

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_log(console)
            await console.press("a")
            await console.until(lambda: "✗ failed: locked␛" in card(console))
            await console.until(lambda: "✗ locked␛" in console.shown())

    run(flow())


def test_events_are_exported_as_they_are_stored(maker: CandidateMaker, workspace: Workspace) -> None:
    event = append_event(maker.db, "test.hostile", {"text": "\x1b[2J\u202e=1"})

    async def flow() -> None:
        async with drive(workspace) as console:
            await in_log(console)
            assert not set("\x1b\u202e") & set(console.shown() + card(console))
            await console.press("w")
            await console.until(lambda: isinstance(console.app.screen, ExportDialog))
            await console.press("ctrl+u")
            await console.type("events.json")
            await console.press("enter")
            await console.until(lambda: "rows written to" in console.said)

    run(flow())
    rows = json.loads((workspace.root / "events.json").read_text(encoding="utf-8"))
    assert rows[-1]["payload"] == canonical_json(event.payload)
    assert rows[-1]["hash"] == event.hash
