"""The pane next to the queue: one whole candidate in sections that scroll."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seal_console.console.content import assemble
from seal_console.console.screens.candidate_content import CandidateContent, sections
from seal_console.console.widgets.long_text import LongText

if TYPE_CHECKING:
    from textual import events
    from textual.content import Content


class CandidatePane(LongText):
    """Shows one candidate; [ and ] go from section to section."""

    DEFAULT_CSS = """
    CandidatePane { padding: 0 1; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__(id="candidate", classes="panel")
        self.shown: CandidateContent | None = None
        self._headings: list[int] = []

    def show(self, shown: CandidateContent | None) -> None:
        """Show a candidate, or nothing if the queue is empty."""
        other = shown is None or self.shown is None or shown.whole.candidate.id != self.shown.whole.candidate.id
        self.shown = shown
        self._draw()
        if other:
            self.scroll_home(animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """Draw again: curves follow the width."""
        super().on_resize(event)
        self._draw()

    def go_to_section(self, by: int) -> None:
        """Scroll to the next or the last heading."""
        here = self.scroll_offset.y
        starts = [self.top_of(line) for line in self._headings]
        later = [start for start in starts if start > here]
        earlier = [start for start in starts if start < here]
        target = (later[0] if later else None) if by > 0 else (earlier[-1] if earlier else 0)
        if target is not None:
            self.scroll_to(y=target, animate=False)

    def _draw(self) -> None:
        if self.shown is None:
            self._headings = []
            self.put([
                assemble(
                    ("No candidate is waiting. ", "$text-muted"), ("v", "$text-accent"),
                    " shows decided, refused and imported ones too; ", ("ctrl+r", "$text-accent"),
                    " runs a round.",
                )
            ])  # fmt: skip
            return
        rows: list[Content] = []
        headings: list[int] = []
        for title, content in sections(self.shown, max(20, self.size.width - 4)):
            if title:
                headings.append(len(rows) + 1)
                rows += [assemble(""), assemble((f"── {title} ", "bold $primary"))]
            rows.append(content)
        begins = self.put(rows)
        self._headings = [begins[place] for place in headings]
