"""A text of any length, wrapped to the width: lines are styled and drawn when they become visible, then cached.

Textual's `Static` wraps, styles and lays out the whole text on each change, which delays keys.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions

from seal_console.console.runtime import ErrorBoundary

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from textual import events
    from textual.css.styles import RulesMap
    from textual.selection import Selection


class LongText(ErrorBoundary, ScrollView, can_focus=True):
    """Shows contents below each other; text in it can be selected with the mouse, as in other widgets."""

    DEFAULT_CSS = """
    LongText { overflow-x: hidden; overflow-y: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Scroll down", show=False),
        Binding("up,k", "scroll_up", "Scroll up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "Bottom", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - as in Textual
        super().__init__(id=id, classes=classes)
        self._lines: list[Content] = []
        self._tops: list[int] = [0]
        self._width = 0
        self._drawn: dict[int, list[Strip]] = {}

    @property
    def text(self) -> Content:
        """All that is shown."""
        return Content("\n").join(self._lines)

    def put(self, contents: Sequence[Content]) -> list[int]:
        """Show these contents; returns the number of the line at which each begins."""
        split = [content.split("\n", allow_blank=True) for content in contents]
        self._lines = [line for lines in split for line in lines]
        self._wrap()
        return [0, *accumulate(map(len, split))][:-1]

    def top_of(self, line: int) -> int:
        """The row, from the top of the text, at which a line begins."""
        return self._tops[line]

    def on_resize(self, _: events.Resize) -> None:
        """Wrap to the new width."""
        self._wrap()

    def notify_style_update(self) -> None:
        """Draw again in other colours."""
        super().notify_style_update()
        self._drawn.clear()

    def render_line(self, y: int) -> Strip:
        """Draw one row of the view."""
        width = self._width
        blank = self.visual_style.background_style.rich_style
        row = y + self.scroll_offset.y
        if not 0 <= row < self._tops[-1]:
            return Strip.blank(width, blank)
        line = bisect_right(self._tops, row) - 1
        strips = self._strips(line)
        return strips[row - self._tops[line]].extend_cell_length(width, blank)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text and its end."""
        return selection.extract(self.text.plain), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Highlight the selection."""
        self._drawn.clear()
        super().selection_updated(selection)

    def _wrap(self) -> None:
        """Wrap to the available width, without the scrollbar if the text is longer than the view."""
        self._drawn.clear()
        self._width = self.size.width
        self._tops = self._wrapped()
        if self._tops[-1] > self.size.height:
            self._width = max(0, self.size.width - self.styles.scrollbar_size_vertical)
            self._tops = self._wrapped()
        self._be_as_long_as(self._tops[-1])
        self.refresh()

    def _be_as_long_as(self, rows: int) -> None:
        """Update the scrollbar; lay the screen out again only if it appears or disappears."""
        size = Size(self._width, rows)
        if self.show_vertical_scrollbar and rows > self.size.height:
            self.set_reactive(LongText.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = rows
            self.scroll_y = self.validate_scroll_y(self.scroll_y)
        elif self.show_vertical_scrollbar or rows > self.size.height:
            self.virtual_size = size
        else:
            self.set_reactive(LongText.virtual_size, size)

    def _wrapped(self) -> list[int]:
        """The row at which each line begins, and that behind the last one."""
        rules = self.styles.get_rules()
        heights = [_height(line, rules, self._width) for line in self._lines] if self._width > 0 else []
        return [0, *accumulate(heights)]

    def _strips(self, line: int) -> list[Strip]:
        if line not in self._drawn:
            content = self._selected(line)
            options = RenderOptions(_parsed, self.styles.get_rules())
            drawn = content.render_strips(self._width, None, self.visual_style, options)
            self._drawn[line] = [_placed(strip, line) for strip in drawn]
        return self._drawn[line]

    def _selected(self, line: int) -> Content:
        content, selection = self._lines[line], self.text_selection
        span = None if selection is None else selection.get_span(line)
        if span is None:
            return content
        start, end = span
        style = Style.from_styles(self.screen.get_component_styles("screen--selection"))
        return content.stylize(style, start, len(content.plain) if end == -1 else end)


def _height(line: Content, rules: RulesMap, width: int) -> int:
    plain = line.plain
    if "\t" not in plain and line.cell_length <= width:
        return 1
    return line.get_height(rules, width)


def _parsed(style: str | Style) -> Style:
    return Style.parse(style) if isinstance(style, str) else style


def _placed(strip: Strip, line: int) -> Strip:
    """Note in each segment its place and its line; a content of one line calls every line the first."""
    segments = []
    for text, style, control in strip:
        x, _ = (style.meta if style else {}).get("offset", (0, 0))
        offset = RichStyle.from_meta({"offset": (x, line)})
        segments.append(Segment(text, style + offset if style else offset, control))
    return Strip(segments, strip.cell_length)


class DetailPane(LongText):
    """A pane of text; `show` sets it and returns to the top only if the subject is new."""

    DEFAULT_CSS = """
    DetailPane { scrollbar-size-vertical: 1; }
    """

    def __init__(self, title: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__(id=id, classes="panel")
        self.border_title = title
        self._about: Hashable = None

    def show(self, text: Content, about: Hashable) -> None:
        """Show a text about something."""
        self.put([text])
        if about != self._about:
            self._about = about
            self.scroll_home(animate=False)
