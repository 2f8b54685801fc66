from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.settings.reading import default_settings_text
from store.candidates import decisions_of, get_candidate
from store.workspace import create_workspace
from tests.system.headless_browser import Page, browser_page, find_browser
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


@dataclass(frozen=True)
class ServedConsole:
    """The console's address, and the number of the server's process."""

    address: str
    process: int


@pytest.fixture
def address(served: ServedConsole) -> str:
    return served.address


@pytest.fixture
def served(maker: CandidateMaker) -> Iterator[ServedConsole]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    root = str(maker.workspace.root)
    command = [sys.executable, "-m", "seal_console", "-w", root, "web", "--port", str(port), "--as", "ada"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(port, process)
    yield ServedConsole(f"http://127.0.0.1:{port}", process.pid)
    process.terminate()
    process.wait(20)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not begin"
            time.sleep(0.05)
        else:
            return


def in_browser(address: str, profile: Path, visit: Callable[[Page], Awaitable[None]]) -> None:
    """Open the console in a browser, and visit it once it is drawn and the keys are its own."""

    async def flow() -> None:
        assert BROWSER is not None
        async with browser_page(BROWSER, profile) as page:
            await page.open(address)
            await page.until("What needs me?", "Run a round")
            await page.click(600, 400)
            await visit(page)

    asyncio.run(flow())


def consoles_of(server: int) -> list[str]:
    """The processes that the server has started, and that still run."""
    return Path(f"/proc/{server}/task/{server}/children").read_text(encoding="utf-8").split()


def test_a_candidate_is_rejected_in_the_browser(maker: CandidateMaker, address: str, tmp_path: Path) -> None:
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

    in_browser(address, tmp_path / "profile", visit)
    (decision,) = decisions_of(maker.db, candidate.id)
    assert (decision.action, decision.actor, decision.reason) == ("reject", "ada", "not so, says Zoë")


def test_the_page_is_painted_and_follows_the_window_and_the_theme(address: str, tmp_path: Path) -> None:
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

    in_browser(address, tmp_path / "profile", visit)


def test_the_page_asks_nobody_but_the_server_for_anything(address: str, tmp_path: Path) -> None:
    asked: list[str] = []

    async def visit(page: Page) -> None:
        asked.extend(page.asked_for)

    in_browser(address, tmp_path / "profile", visit)
    assert f"{address}/static/js/textual.js" in asked
    assert [one for one in asked if not one.startswith((address, "data:"))] == []


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the children of a process are read from /proc")
def test_the_console_of_a_visitor_who_leaves_ends(served: ServedConsole, tmp_path: Path) -> None:
    async def visit(_: Page) -> None:
        assert consoles_of(served.process)

    in_browser(served.address, tmp_path / "profile", visit)
    deadline = time.monotonic() + WITHIN_S
    while consoles_of(served.process):
        assert time.monotonic() < deadline, "the console goes on with nobody looking"
        time.sleep(0.05)
