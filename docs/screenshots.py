"""Makes the pictures in the README from a workspace: `python docs/screenshots.py WORKSPACE`.

The console runs without a terminal, is driven by keys, and draws itself as SVG. It is read-only, so the workspace, such
as one that `seal-console demo --headless` made, stays as it is.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.settings.reading import load_settings
from seal_console.console.app import ConsoleApp
from store.workspace import Workspace

IMAGES = Path(__file__).parent / "images"
SIZE = (132, 40)
PICTURES = {"now": ("1",), "review": ("2", "j"), "versions": ("3",), "rounds": ("4",), "retention": ("7",)}


async def draw(workspace: Workspace) -> None:
    """Go over the screens and write a picture of each."""
    app = ConsoleApp(
        workspace,
        load_settings(workspace.settings_file),
        actor="ada",
        read_only=False,
        start_engine=lambda _: 0,
    )
    async with app.run_test(size=SIZE) as pilot:
        await app.reader.ready.wait()
        for name, keys in PICTURES.items():
            await pilot.press(*keys)
            await app.workers.wait_for_complete()
            await pilot.pause(0.5)
            (IMAGES / f"{name}.svg").write_text(app.export_screenshot(title=""), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004
        raise SystemExit("usage: python docs/screenshots.py WORKSPACE")
    asyncio.run(draw(Workspace(Path(sys.argv[1]).resolve())))
