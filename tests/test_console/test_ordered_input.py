from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.events import Key, Paste
from textual.widgets import Input, TextArea

from seal_console.console.dialogs.choose import ChooseDialog
from seal_console.console.dialogs.confirm import Confirmation, ConfirmDialog
from seal_console.console.dialogs.edit import EditDialog, SequencesDialog
from seal_console.console.dialogs.export import ExportDialog
from store.candidates import decisions_of
from tests.test_console.console_scenario import drive, run

if TYPE_CHECKING:
    from pathlib import Path

    from textual.screen import Screen

    from store.workspace import Workspace
    from tests.test_console.cli_scenario import CandidateMaker
    from tests.test_console.console_scenario import ConsoleDriver

TEXT = "wrong document, see ticket 4711"
_NAMES = {" ": "space", "\r": "enter", "\t": "tab", "\b": "backspace", "\x13": "ctrl+s", "\x15": "ctrl+u"}


def burst(console: ConsoleDriver, text: str) -> None:
    """Send all keys at once, before the first one is handled."""
    for character in text:
        key = _NAMES.get(character, character)
        console.app.post_message(Key(key, character if character.isprintable() else None))


async def answer(workspace: Workspace, dialog: Screen[Any], keys: str) -> Any:
    """Open a dialog, send the keys in one burst, and return its result."""
    got: list[Any] = []
    async with drive(workspace) as console:
        await console.app.push_screen(dialog, got.append)
        await console.until(lambda: console.app.screen is dialog and dialog.focused is not None)
        burst(console, keys)
        await console.until(lambda: got, "an answer")
    return got[0]


@pytest.mark.parametrize(
    ("keys", "stored"),
    [
        (f"{TEXT}\x13", TEXT),
        ("wrongg\b one\x13", "wrong one"),
        ("\x13first\x13", "first"),
        ("old\x15new\x13", "new"),
        ("a\r\t\t\t\x13", "a"),
    ],
    ids=["plain", "corrected", "too early", "emptied", "the focus moves"],
)
def test_the_reason_is_what_was_typed(workspace: Workspace, keys: str, stored: str) -> None:
    async def flow() -> None:
        dialog = ConfirmDialog(Confirmation("Do it?", ("Something happens.",), "Do it", reason="why"))
        assert await answer(workspace, dialog, keys) == stored

    run(flow())


def test_letters_after_enter_are_for_the_next_field(workspace: Workspace) -> None:
    async def flow() -> None:
        dialog = ConfirmDialog(Confirmation("Back?", ("It goes back.",), "Back", reason="why", typed="v0001"))
        assert await answer(workspace, dialog, f"v0001\r{TEXT}\x13") == TEXT

    run(flow())


def test_pasted_text_keeps_its_place(workspace: Workspace) -> None:
    async def flow() -> None:
        got: list[Any] = []
        dialog = ConfirmDialog(Confirmation("Do it?", ("Something happens.",), "Do it", reason="why"))
        async with drive(workspace) as console:
            await console.app.push_screen(dialog, got.append)
            await console.until(lambda: console.app.screen is dialog and isinstance(dialog.focused, Input))
            burst(console, "see ")
            console.app.post_message(Paste("ticket 4711"))
            burst(console, "!\x13")
            await console.until(lambda: got)
        assert got == ["see ticket 4711!"]

    run(flow())


def test_an_edited_text_a_path_a_name_and_switches(workspace: Workspace, tmp_path: Path) -> None:
    async def flow() -> None:
        edited = await answer(workspace, EditDialog("Edit", ""), f"{TEXT}\b2\x13")
        assert edited == TEXT[:-1] + "2"
        path = await answer(workspace, ExportDialog("t", tmp_path / "a.csv"), f"\x15{tmp_path}/{TEXT}.csv\r")
        assert path == tmp_path / f"{TEXT}.csv"
        assert await answer(workspace, ChooseDialog("Filters", [], new="x"), f"{TEXT}\r") == ("save", TEXT)
        off = await answer(workspace, SequencesDialog("S", ["one", "two", "three"]), " \x13")
        assert off == [0]

    run(flow())


def test_a_decision_in_the_review(maker: CandidateMaker, workspace: Workspace) -> None:
    candidate = maker.examined(0.5)

    async def flow() -> None:
        async with drive(workspace) as console:
            await console.in_review()
            await console.press("x")
            await console.until(lambda: isinstance(console.app.screen, ConfirmDialog))
            burst(console, f"{TEXT}\x13")
            await console.until(lambda: decisions_of(maker.db, candidate.id))

    run(flow())
    assert decisions_of(maker.db, candidate.id)[0].reason == TEXT


def test_the_keyboard_lives_on_after_a_field_was_removed(workspace: Workspace) -> None:
    async def flow() -> None:
        async with drive(workspace) as console:
            dialog = EditDialog("Edit", "")
            await console.app.push_screen(dialog)
            await console.until(lambda: isinstance(dialog.focused, TextArea))
            burst(console, "abc\x13" + "5" + "4" + "3")
            await console.until(lambda: console.app.current_mode == "versions")

    run(flow())
