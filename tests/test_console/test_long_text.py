"""The pane for long texts: wrapped as Textual wraps, drawn where it is in view, selected with the mouse."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any

import pytest
from textual.app import App
from textual.content import Content
from textual.geometry import Offset
from textual.widgets import Static

from seal_console.console.widgets.long_text import LongText

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.app import ComposeResult

WORDS = "naïve 日本語のテキスト and a\ttab, ordinary words, Donaudampfschifffahrtsgesellschaftskapitänsmütze, → and ✓ "


class LongTextApp(App[None]):
    CSS = "LongText { width: 30; height: 8; } #reference { width: 28; height: auto; }"

    def compose(self) -> ComposeResult:
        yield LongText(id="text")
        yield Static(id="reference")

    @property
    def text(self) -> LongText:
        return self.query_one(LongText)


def as_coroutine(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*arguments: object, **named: object) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def rows_of(widget: LongText) -> list[str]:
    return [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]


@as_coroutine
async def test_a_long_text_is_wrapped_as_a_static_wraps_it() -> None:
    async with LongTextApp().run_test(size=(60, 60)) as pilot:
        shown = pilot.app
        assert isinstance(shown, LongTextApp)
        content = Content("\n".join([WORDS, "", WORDS * 3, "short", "exactly twenty-eight cells .", "x" * 57]))
        reference = shown.query_one("#reference", Static)
        reference.update(content)
        begins = shown.text.put([content, Content("the end")])
        await pilot.pause()
        expected = [reference.render_line(y).text.rstrip() for y in range(reference.size.height)]
        seen: list[str] = []
        while len(seen) < len(expected):
            shown.text.scroll_to(y=len(seen), animate=False)
            await pilot.pause()
            seen.append(rows_of(shown.text)[len(seen) - shown.text.scroll_offset.y])
        assert seen == expected
        assert begins == [0, 6]
        assert shown.text.top_of(6) == len(expected)


@as_coroutine
async def test_the_scrollbar_comes_and_goes_with_the_length_of_the_text() -> None:
    async with LongTextApp().run_test(size=(60, 60)) as pilot:
        shown = pilot.app
        assert isinstance(shown, LongTextApp)
        for lines, needed in ((8, False), (9, True), (40, True), (2, False)):
            shown.text.put([Content("\n".join(f"line {number}" for number in range(lines)))])
            await pilot.pause()
            assert shown.text.show_vertical_scrollbar is needed
            assert shown.text.virtual_size.height == lines
        assert rows_of(shown.text)[:3] == ["line 0", "line 1", ""]


@as_coroutine
async def test_a_shorter_text_is_never_scrolled_out_of_view() -> None:
    async with LongTextApp().run_test(size=(60, 60)) as pilot:
        shown = pilot.app
        assert isinstance(shown, LongTextApp)
        shown.text.put([Content("\n".join(str(number) for number in range(100)))])
        await pilot.pause()
        shown.text.scroll_end(animate=False)
        await pilot.pause()
        shown.text.put([Content("\n".join(str(number) for number in range(20)))])
        await pilot.pause()
        assert rows_of(shown.text) == [str(number) for number in range(12, 20)]


@pytest.mark.parametrize("width", [1, 2, 7])
@as_coroutine
async def test_no_width_is_too_narrow(width: int) -> None:
    async with LongTextApp().run_test(size=(60, 60)) as pilot:
        shown = pilot.app
        assert isinstance(shown, LongTextApp)
        shown.text.styles.width = width
        shown.text.put([Content(WORDS)])
        await pilot.pause()
        assert len(rows_of(shown.text)) == 8


@as_coroutine
async def test_text_is_selected_with_the_mouse_across_wrapped_rows() -> None:
    async with LongTextApp().run_test(size=(60, 60)) as pilot:
        shown = pilot.app
        assert isinstance(shown, LongTextApp)
        shown.text.put([Content("the first line is long enough to be wrapped"), Content("second line")])
        await pilot.pause()
        assert rows_of(shown.text)[:3] == ["the first line is long enough", "to be wrapped", "second line"]
        await pilot.mouse_down(shown.text, offset=Offset(3, 1))
        await pilot.hover(shown.text, offset=Offset(5, 2))
        await pilot.mouse_up(shown.text, offset=Offset(5, 2))
        await pilot.pause()
        assert shown.screen.get_selected_text() == "be wrapped\nsecond"
