"""Text and background, as the compositor hands them to the terminal, by the formula of WCAG 2.2 (1.4.3 and 1.4.6).

Left out: blank cells; the signs that only draw (frames, plots, bars, scrollbars), since a word or figure beside each
says the same; and the screen behind a dialog, which is darkened so that the dialog is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from textual.command import CommandPalette
from textual.screen import ModalScreen

from seal_console.console.dialogs.choose import ChooseDialog
from seal_console.console.dialogs.confirm import ConfirmDialog
from seal_console.console.dialogs.edit import EditDialog, SequencesDialog
from seal_console.console.dialogs.export import ExportDialog
from seal_console.console.dialogs.modal import FailureDialog, TextDialog
from seal_console.console.themes import CONTRAST, DARK, LIGHT
from tests.test_console.console_scenario import ConsoleDriver, run
from tests.test_console.screen_pictures import DrawnCharacter, drawn_characters, style_name
from tests.test_console.shop_tour import drawn, in_shop, open_dialog, settled, tour

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.style import Style
    from textual.app import App
    from textual.notifications import SeverityLevel

    from store.workspace import Workspace

SIZE = (120, 40)
LEAST = [(DARK, 4.5), (LIGHT, 4.5), (CONTRAST, 7.0)]
SEVERITIES: tuple[SeverityLevel, ...] = ("information", "warning", "error")
_DRAWS_ONLY = range(0x2500, 0x25A0), range(0x2800, 0x2900)  # frames and blocks; Braille, as plots use it


def luminance(colour: tuple[int, int, int]) -> float:
    """How light a colour is, 0 … 1."""
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
        for share in (part / 255 for part in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(style: Style) -> float:
    """The ratio of the lighter to the darker colour, 1 … 21."""
    assert style.color is not None, "the terminal's own colours are not known"
    assert style.bgcolor is not None, "the terminal's own colours are not known"
    assert not style.dim, "a terminal dims as it likes"
    dark, light = sorted(luminance(colour.get_truecolor()) for colour in (style.color, style.bgcolor))
    return (light + 0.05) / (dark + 0.05)


def is_text(one: DrawnCharacter) -> bool:
    return not one.text.isspace() and not any(ord(one.text) in signs for signs in _DRAWS_ONLY)


def hard_to_read(app: App[Any], least: float) -> list[str]:
    """Each pair of colours that has too little contrast, with the characters that are drawn in it."""
    screen = app.screen
    weak: dict[str, str] = {}
    for one in drawn_characters(app):
        if not is_text(one) or (isinstance(screen, ModalScreen) and screen.get_widget_at(one.x, one.y)[0] is screen):
            continue
        ratio = contrast(one.style)
        if ratio < least:
            colours = f"{ratio:.2f}, {style_name(one.style)}"
            weak[colours] = weak.get(colours, "") + one.text
    return [f"{colours}: {text[:60]!r}" for colours, text in weak.items()]


async def more_to_read(console: ConsoleDriver) -> AsyncIterator[str]:
    """What the tour of the pictures leaves out: other dialogs, messages, problems, marks, the focus elsewhere."""
    await console.press("escape")
    await settled(console)
    await console.press("space", "space", "tab")
    await console.until(lambda: console.review.pane.has_focus)
    await settled(console)
    yield "the focus in the candidate, rows marked"
    await console.press("escape", "escape")
    console.review.put_filter("rewrd>0")
    await console.until(lambda: "Unknown field" in console.shown())
    yield "a filter that cannot be read"
    console.review.put_filter("")
    await console.until(lambda: "Unknown field" not in console.shown())
    await console.press("slash")
    await console.type("rome")
    await settled(console)
    yield "a filter being typed"
    await console.press("escape")
    console.review.put_filter("reward>0")
    await settled(console)
    dialogs: dict[str, type[object]] = {
        "x": ConfirmDialog, "e": EditDialog, "t": SequencesDialog, "F": ChooseDialog, "w": ExportDialog,
        "f2": TextDialog, "f3": TextDialog, "ctrl+p": CommandPalette,
    }  # fmt: skip
    for key, kind in dialogs.items():
        await open_dialog(console, key, kind)
        yield f"the dialog of {key}"
        await console.press("escape")
        await console.until(lambda: len(console.app.screen_stack) == 1)
    for severity in SEVERITIES:
        console.app.notify("It is said.", title="By somebody", severity=severity, timeout=600)
    await console.until(lambda: console.shown().count("It is said.") == 3)
    yield "messages"
    console.app.clear_notifications()
    await console.press("3", "j")
    await drawn(console, "versions")
    await open_dialog(console, "ctrl+b", ConfirmDialog)
    await console.press("ctrl+s")
    await console.until(lambda: "Type v0003 to confirm." in console.shown())
    yield "a rollback without its word"
    await console.press("tab", "tab")
    await settled(console)
    yield "the focus on the safe button"
    await console.press("tab")
    await settled(console)
    yield "the focus on the grave button"
    await console.press("escape")
    await console.until(lambda: len(console.app.screen_stack) == 1)
    console.app.unexpected(RuntimeError("the roof leaks"))
    await console.until(lambda: isinstance(console.app.screen, FailureDialog))
    await settled(console)
    yield "an unexpected failure"


@pytest.mark.parametrize(("theme", "least"), LEAST)
def test_all_text_can_be_read_in_every_theme(shop: Workspace, theme: str, least: float) -> None:
    weak: list[str] = []

    async def flow() -> None:
        async with in_shop(shop, SIZE, theme, messages=True) as console:
            for places in (tour(console), more_to_read(console)):
                async for place in places:
                    weak.extend(f"{place}: {one}" for one in hard_to_read(console.app, least))

    run(flow())
    assert not weak, f"less than {least}:\n" + "\n".join(weak)
