"""The pane beside the queue: one candidate whole, in sections that scroll."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from seal_console.console.safe_content import joined, lines
from seal_console.console.screens.candidate_content import Shown, sections

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.content import Content


class CandidatePane(VerticalScroll, can_focus=True):
    """Shows one candidate; [ and ] go from section to section."""

    DEFAULT_CSS = """
    CandidatePane { padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="candidate", classes="panel")
        self.shown: Shown | None = None
        self._starts: list[int] = []

    def compose(self) -> ComposeResult:
        """One text; its sections are headed."""
        yield Static(id="candidate_text")

    def show(self, shown: Shown | None) -> None:
        """Show a candidate; None where the queue is empty."""
        other = shown is None or self.shown is None or shown.whole.candidate.id != self.shown.whole.candidate.id
        self.shown = shown
        self._draw()
        if other:
            self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Draw anew: curves follow the width."""
        self._draw()

    def go_to_section(self, by: int) -> None:
        """Scroll to the next or the last heading."""
        here = round(self.scroll_offset.y)
        later = [start for start in self._starts if start > here]
        earlier = [start for start in self._starts if start < here]
        target = (later[0] if later else None) if by > 0 else (earlier[-1] if earlier else 0)
        if target is not None:
            self.scroll_to(y=target, animate=False)

    def _draw(self) -> None:
        body = self.query_one("#candidate_text", Static)
        if self.shown is None:
            body.update(
                joined(
                    ("No candidate waits here. ", "$text-muted"), ("v", "$text-accent"),
                    " shows those too that are decided, refused or imported; ", ("ctrl+r", "$text-accent"),
                    " runs a round.",
                )
            )  # fmt: skip
            return
        width = max(20, self.size.width - 4)
        rows: list[Content] = []
        self._starts, at = [], 0
        for title, content in sections(self.shown, width):
            if title:
                rows += [joined(""), joined((f"── {title} ", "bold $primary"))]
                self._starts.append(at + 1)
                at += 2
            rows.append(content)
            at += sum(max(1, -(-line.cell_length // width)) for line in content.split("\n", allow_blank=True))
        body.update(lines(*rows))
