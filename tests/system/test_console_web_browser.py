from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.settings.reading import default_settings_text
from store.candidates import decisions_of, get_candidate
from store.workspace import create_workspace
from tests.system.headless_browser import Page, browser_page, find_browser
from tests.system.web_client import ServedConsole, serve
from tests.test_console.cli_scenario import CandidateMaker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

WITHIN_S = 60.0
BROWSER = find_browser()

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is on the PATH")


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[CandidateMaker]:
    opened = CandidateMaker.begin(create_workspace(tmp_path / "shop", default_settings_text()))
    yield opened
    opened.db.conn.close()


@pytest.fixture
def served(maker: CandidateMaker) -> Iterator[ServedConsole]:
    started = serve(maker.workspace.root, "--as", "ada")
    yield started
    started.stop()


def in_browser(served: ServedConsole, profile: Path, visit: Callable[[Page], Awaitable[None]]) -> None:
    """Open the console in a browser, and visit it once it is drawn and the keys are its own."""

    async def flow() -> None:
        assert BROWSER is not None
        async with browser_page(BROWSER, profile) as page:
            await page.open(served.entrance)
            await page.until("What needs me?", "Run a round")
            await page.click(600, 400)
            await visit(page)

    asyncio.run(flow())


def consoles_of(server: int) -> list[str]:
    """The processes that the server has started, and that still run."""
    return Path(f"/proc/{server}/task/{server}/children").read_text(encoding="utf-8").split()


def test_a_candidate_is_rejected_in_the_browser(maker: CandidateMaker, served: ServedConsole, tmp_path: Path) -> None:
    candidate = maker.examined(0.5, completion="Returns take 30 days, in 東京 as in Zürich.")

    async def visit(page: Page) -> None:
        await page.type("2")
        await page.until("── Self-edit", "in 東京 as in Zürich.")
        await page.type("x")
        await page.until("Reject this self-edit?", "ctrl+s")
        await page.type("not so, says Zoë")
        await page.until("not so, says Zoë")
        assert get_candidate(maker.db, candidate.id).state == "examined"
        await page.press_with_control("s")
        await page.until("✗ rejected")

    in_browser(served, tmp_path / "profile", visit)
    (decision,) = decisions_of(maker.db, candidate.id)
    assert (decision.action, decision.actor, decision.reason) == ("reject", "ada", "not so, says Zoë")


def test_the_page_is_painted_and_follows_the_window_and_the_theme(served: ServedConsole, tmp_path: Path) -> None:
    async def visit(page: Page) -> None:
        await page.until("live v0000")
        await page.resize(760, 500)
        await page.until("◆ v0000")
        dark = await page.picture()
        await page.press_with_control("t")
        await page.until("Theme seal-light.")
        light = await page.picture()
        assert dark[:8] == b"\x89PNG\r\n\x1a\n"
        assert dark != light

    in_browser(served, tmp_path / "profile", visit)


def test_the_page_asks_nobody_but_the_server_for_anything(served: ServedConsole, tmp_path: Path) -> None:
    asked: list[str] = []

    async def visit(page: Page) -> None:
        asked.extend(page.asked_for)

    in_browser(served, tmp_path / "profile", visit)
    assert f"{served.address}/static/js/textual.js" in asked
    assert [one for one in asked if not one.startswith((served.address, "data:"))] == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the children of a process are read from /proc")
def test_the_console_of_a_visitor_who_leaves_ends(served: ServedConsole, tmp_path: Path) -> None:
    async def visit(_: Page) -> None:
        assert consoles_of(served.process.pid)

    in_browser(served, tmp_path / "profile", visit)
    deadline = time.monotonic() + WITHIN_S
    while consoles_of(served.process.pid):
        assert time.monotonic() < deadline, "the console goes on with nobody looking"
        time.sleep(0.05)
