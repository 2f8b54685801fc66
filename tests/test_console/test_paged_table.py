"""What a table draws anew when the store has changed: the rows that say something else, and no others."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from textual.app import App

from seal_console.console.widgets.paged_table import PagedTable
from seal_console.console.widgets.table_columns import Column

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from textual.app import ComposeResult
    from textual.pilot import Pilot
    from textual.strip import Strip

    from seal_console.console.widgets.table_columns import Row

WITHIN_S = 20.0


class NotingTable(PagedTable):
    """Notes the keys of the rows that it draws."""

    def __init__(self, rows: dict[int, list[str]]) -> None:
        super().__init__([Column("Name"), Column("State", 10)], self._known, id="table")
        self._known_rows, self.drawn = rows, list[int]()

    def _known(self, keys: Sequence[int]) -> dict[int, Row]:
        return {key: list(self._known_rows[key]) for key in keys if key in self._known_rows}

    def _draw_row(self, row: Row | None, look: Any) -> Strip:
        self.drawn.append(look.key)
        return super()._draw_row(row, look)


class TableApp(App[None]):
    """An application that is nothing but a table."""

    def __init__(self, rows: dict[int, list[str]]) -> None:
        super().__init__()
        self.table = NotingTable(rows)

    def compose(self) -> ComposeResult:
        """The table."""
        yield self.table

    def shown(self) -> str:
        """The screen as text."""
        lines = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        await pilot.pause(0.02)


@asynccontextmanager
async def shown_table(rows: dict[int, list[str]]) -> AsyncIterator[tuple[TableApp, Pilot[None]]]:
    app = TableApp(rows)
    async with app.run_test(size=(60, 10)) as pilot:
        app.table.show(range(100))
        await until(pilot, lambda: set(app.table.drawn) >= set(range(9)) and not app.screen._dirty_widgets)
        app.table.drawn.clear()
        yield app, pilot


def many() -> dict[int, list[str]]:
    return {key: [f"row {key}", "waits"] for key in range(100)}


def test_a_row_that_says_something_else_is_drawn_and_no_other() -> None:
    async def flow() -> None:
        rows = many()
        async with shown_table(rows) as (app, pilot):
            rows[3] = ["row 3", "rejected"]
            app.table.refetch()
            await until(pilot, lambda: "rejected" in app.shown())
            assert set(app.table.drawn) == {3}

    asyncio.run(flow())


def test_nothing_is_drawn_if_nothing_in_view_has_changed() -> None:
    async def flow() -> None:
        rows = many()
        async with shown_table(rows) as (app, _pilot):
            rows[70] = ["row 70", "rejected"]
            app.table.refetch()
            assert not app.table._repaint_regions
            app.table.move_to(70)
            await until(_pilot, lambda: "rejected" in app.shown())

    asyncio.run(flow())


def test_a_row_that_is_gone_says_so() -> None:
    async def flow() -> None:
        rows = many()
        async with shown_table(rows) as (app, pilot):
            del rows[2]
            app.table.refetch()
            await until(pilot, lambda: "no longer there" in app.shown())
            assert "row 1 " in app.shown()

    asyncio.run(flow())


def test_other_columns_draw_every_row() -> None:
    async def flow() -> None:
        rows = many()
        async with shown_table(rows) as (app, pilot):
            for key in rows:
                rows[key] = [f"row {key}", "waits", "more"]
            app.table.set_columns([Column("Name"), Column("State", 10), Column("Third", 10)])
            await until(pilot, lambda: "Third" in app.shown() and app.shown().count("more") > 5)

    asyncio.run(flow())
