"""A served console for tests: its process, its address with the token, and a visitor's socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.runtime.child_environment import child_environment

if TYPE_CHECKING:
    from pathlib import Path

    import aiohttp

WITHIN_S = 30.0


@dataclass(frozen=True)
class ServedConsole:
    """`entrance` is the printed address, `address` the same without the token."""

    process: subprocess.Popen[str]
    entrance: str

    @property
    def address(self) -> str:
        return self.entrance.split("/?")[0]

    @property
    def token(self) -> str:
        return self.entrance.partition("token=")[2]

    @property
    def socket_address(self) -> str:
        return f"{self.address}/ws?width=120&height=40&token={self.token}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(workspace: Path, *words: str, cwd: Path | None = None) -> ServedConsole:
    """Start the server and wait until it answers."""
    port = free_port()
    command = [sys.executable, "-m", "seal_console", "-w", str(workspace), "web", "--port", str(port), *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=cwd, env=child_environment()
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"http://\S+", line)
    assert found is not None, line
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
        else:
            return ServedConsole(process, found[0])


class Visitor:
    """A socket to a console, as the page's script opens it; `seen` is everything that it has drawn."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self.seen = b""

    async def type(self, text: str) -> None:
        """Type the text as one burst."""
        await self.connection.send_str(json.dumps(["stdin", text]))

    async def until(self, expected: str) -> None:
        """Read until the text is drawn after what was read before."""
        deadline = time.monotonic() + WITHIN_S
        seen = b""
        while expected.encode() not in seen:
            assert time.monotonic() < deadline, seen[-3000:].decode("utf-8", "replace")
            message = await self.connection.receive(timeout=WITHIN_S)
            assert not self.connection.closed, (message, seen[-3000:])
            seen += message.data if isinstance(message.data, bytes) else str(message.data).encode()
        self.seen += seen


async def visit(session: aiohttp.ClientSession, served: ServedConsole) -> Visitor:
    """Open a console and wait for its first screen."""
    connection = await session.ws_connect(served.socket_address, headers={"Origin": served.address})
    visitor = Visitor(connection)
    await visitor.until("What needs me?")
    await asyncio.sleep(0)
    return visitor
