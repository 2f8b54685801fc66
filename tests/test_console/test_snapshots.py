from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seal_console.console.themes import CONTRAST, DARK, LIGHT
from tests.test_console.console_scenario import run
from tests.test_console.screen_pictures import difference, picture, store
from tests.test_console.shop_tour import in_shop, settled, tour

if TYPE_CHECKING:
    from store.workspace import Workspace

SIZES = [(80, 24, DARK), (120, 40, DARK), (200, 60, DARK), (120, 40, LIGHT), (120, 40, CONTRAST)]


@pytest.mark.parametrize(("columns", "rows", "theme"), SIZES)
def test_every_screen_looks_as_it_did(
    shop: Workspace, columns: int, rows: int, theme: str, pytestconfig: pytest.Config
) -> None:
    update = bool(pytestconfig.getoption("--update-pictures"))
    changed: list[str] = []

    async def flow() -> None:
        async with in_shop(shop, (columns, rows), theme) as console:
            async for place in tour(console):
                name = f"{place}-{columns}x{rows}-{theme}"
                drawn = picture(console.app)
                if update:
                    store(name, drawn)
                if found := difference(name, drawn):
                    changed.append(found)

    run(flow())
    assert not changed, "\n\n".join([*changed, "Look at it; where it is right, --update-pictures keeps it."])


def test_a_console_that_was_resized_looks_as_if_it_had_begun_so(shop: Workspace) -> None:
    async def flow() -> None:
        async with in_shop(shop, (120, 40), LIGHT) as console:
            for columns, rows, theme in ((80, 24, DARK), (200, 60, DARK), (120, 40, CONTRAST)):
                await console.pilot.resize_terminal(columns, rows)
                console.app.theme = theme
                await settled(console)
                found = difference(f"now-{columns}x{rows}-{theme}", picture(console.app))
                assert not found, found

    run(flow())
