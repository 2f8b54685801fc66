from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest

from engine.settings.reading import default_settings_text
from store.workspace import Workspace, create_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITHIN_S = 60.0


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "w", default_settings_text())


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def served(workspace: Workspace, port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "seal_console", "-w", str(workspace.root), "web", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


async def page(session: aiohttp.ClientSession, url: str) -> str:
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            async with session.get(url) as response:
                assert response.status == 200
                return await response.text()
        except aiohttp.ClientConnectionError:
            assert time.monotonic() < deadline, "the server did not begin"
            await asyncio.sleep(0.1)


async def shown(session: aiohttp.ClientSession, url: str, expected: bytes) -> bytes:
    """Open the console as the page's script does, and read until the expected text is drawn."""
    seen, deadline = b"", time.monotonic() + WITHIN_S
    async with session.ws_connect(f"{url}/ws?width=120&height=40", headers={"Origin": url}) as socket_:
        while expected not in seen:
            assert time.monotonic() < deadline, seen[-2000:]
            message = await socket_.receive(timeout=WITHIN_S)
            seen += message.data if isinstance(message.data, bytes) else str(message.data).encode()
    return seen


def test_the_console_is_in_the_browser_and_closed_to_other_sites(served: str) -> None:
    async def visit() -> None:
        async with aiohttp.ClientSession() as session:
            assert "seal-console" in await page(session, served)
            greeting = b"No tasks yet"
            assert greeting in await shown(session, served, greeting)
            for headers in ({"Origin": "http://other.example"}, {"Host": "other.example"}):
                async with session.get(served, headers=headers) as response:
                    assert response.status == 403, headers
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{served}/ws", headers={"Origin": "http://other.example"})
            assert refused.value.status == 403

    asyncio.run(visit())


def test_a_port_in_use_is_reported(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "seal_console", "-w", str(workspace.root), "web", "--port", port]
        finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert finished.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in finished.stderr
    assert "--port" in finished.stderr
