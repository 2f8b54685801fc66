from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest

from engine.runtime.child_environment import child_environment
from engine.settings.reading import default_settings_text
from seal_console.web_visit import LONGEST_MESSAGE_BYTES
from store.candidates import decisions_of, get_candidate
from store.workspace import Workspace, create_workspace
from tests.system.web_client import WITHIN_S, ServedConsole, serve, visit
from tests.test_console.cli_scenario import CandidateMaker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "w", default_settings_text())


@pytest.fixture
def served(workspace: Workspace) -> Iterator[ServedConsole]:
    started = serve(workspace.root, "--as", "ada")
    yield started
    started.stop()


def with_session(test: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def flow() -> None:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            await test(session)

    asyncio.run(flow())


async def status_of_socket(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    """Return the status with which a socket is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await session.ws_connect(url, headers=headers)
    return refused.value.status


async def end_of(connection: aiohttp.ClientWebSocketResponse) -> int | None:
    """Read until the socket is closed and return the code."""
    async with asyncio.timeout(WITHIN_S):
        async for _ in connection:
            pass
    return connection.close_code


def test_the_console_is_in_the_browser_and_closed_to_other_sites(served: ServedConsole) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        await visit(session, served)
        async with session.get(served.entrance) as response:
            assert response.status == 200
        async with session.get(served.address) as response:
            assert "seal-console" in await response.text()
        for headers in (
            {"Origin": "http://other.example"}, {"Host": "other.example"}, {"Origin": "http://[broken"},
            {"Host": "[broken"},
        ):  # fmt: skip
            async with session.get(served.entrance, headers=headers) as response:
                assert response.status == 403, headers
        assert await status_of_socket(session, served.socket_address, Origin="http://other.example") == 403
        assert await status_of_socket(session, served.socket_address, Host="other.example") == 403

    with_session(test)


def test_without_the_token_nothing_is_shown(served: ServedConsole) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        for path in ("", "/?token=", "/?token=wrong", "/static/js/textual.js", "/download/x", "/?token=%ff"):
            async with session.get(served.address + path) as response:
                assert response.status == 403, path
                assert "printed when it started" in await response.text()
                assert "Set-Cookie" not in response.headers
        assert await status_of_socket(session, f"{served.address}/ws") == 403
        assert await status_of_socket(session, f"{served.address}/ws?token=wrong") == 403
        assert await status_of_socket(session, f"{served.address}/ws", Origin=served.address) == 403

    with_session(test)


def test_the_token_is_exchanged_for_a_cookie(served: ServedConsole) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        async with session.get(f"{served.entrance}&fontsize=20", allow_redirects=False) as response:
            cookie = response.headers["Set-Cookie"]
            text = await response.text()
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert "url=/?fontsize=20" in text
        assert served.token not in text
        async with session.get(f"{served.address}/?fontsize=20") as response:
            text = await response.text()
        assert served.token not in text
        assert 'data-font-size="20"' in text
        connection = await session.ws_connect(f"{served.address}/ws", headers={"Origin": served.address})
        assert not connection.closed

    with_session(test)


def test_two_servers_have_two_tokens(workspace: Workspace, served: ServedConsole) -> None:
    other = serve(workspace.root)
    try:
        assert len(served.token) >= 40
        assert served.token != other.token
    finally:
        other.stop()


def test_no_token_needs_read_only(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "seal_console", "-w", str(workspace.root), "web", "--no-token"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WITHIN_S)
    assert finished.returncode == 2
    assert "--read-only" in finished.stderr


def test_read_only_changes_nothing(workspace: Workspace) -> None:
    maker = CandidateMaker.begin(workspace)
    candidate = maker.examined(0.5)
    maker.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    maker.db.conn.close()
    before = files_of(workspace)
    served = serve(workspace.root, "--read-only", "--no-token")
    try:
        assert "token" not in served.entrance

        async def test(session: aiohttp.ClientSession) -> None:
            visitor = await visit(session, served)
            await visitor.type("2")
            await visitor.until("Self-edit")
            for key, answer in (
                ("w", "writes no files"), ("\x1bOS", "writes no files"), ("x", "is read-only"), ("e", "is read-only"),
                ("E", "is read-only"), ("\x12", "is read-only"),
            ):  # fmt: skip
                await visitor.type(key)
                await visitor.until(answer)

        with_session(test)
    finally:
        served.stop()
    assert files_of(workspace) == before
    maker = CandidateMaker.begin(workspace)
    assert get_candidate(maker.db, candidate.id).state == "examined"
    maker.db.conn.close()


def files_of(workspace: Workspace) -> dict[str, bytes]:
    """The contents of all files, but for those that SQLite makes while somebody reads."""
    files = (path for path in workspace.root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path): path.read_bytes() for path in files if not path.name.endswith(("-wal", "-shm"))}


def test_exports_stay_in_their_folder(workspace: Workspace, served: ServedConsole, tmp_path: Path) -> None:
    maker = CandidateMaker.begin(workspace)
    maker.examined(0.5)
    maker.db.conn.close()
    exports = workspace.root / "exports"

    async def test(session: aiohttp.ClientSession) -> None:
        visitor = await visit(session, served)
        await visitor.type("2")
        await visitor.until("Self-edit")
        for name in (str(tmp_path / "stolen.csv"), "../stolen.csv", "sub/stolen.csv", "~/stolen.csv"):
            await visitor.type("w")
            await visitor.until("the ending decides")
            await visitor.type(f"\x15{name}\r")
            await visitor.until("Not the name of a file")
        await visitor.type("w")
        await visitor.until("the ending decides")
        await visitor.type("\x15mine.csv\r")
        await visitor.until("written to")
        assert [path.name for path in exports.iterdir()] == ["mine.csv"]
        (exports / "mine.csv").unlink()
        exports.rmdir()
        exports.symlink_to(tmp_path)
        await visitor.type("\x1bOS")
        await visitor.until("exports/ is a link")
        await visitor.type("w")
        await visitor.until("the ending decides")
        await visitor.type("\x15stolen.csv\r")
        await visitor.until("exports/ is a link")

    with_session(test)
    assert not list(tmp_path.rglob("*stolen*"))
    assert not list(tmp_path.glob("screen*"))


def test_files_of_the_current_folder_are_not_run(workspace: Workspace) -> None:
    planted = "from pathlib import Path\nPath('ran-' + __name__).touch()\n"
    for name in ("seal_console", "textual", "sitecustomize", "usercustomize", "json", "engine", "store"):
        (workspace.root / f"{name}.py").write_text(planted, encoding="utf-8")
    served = serve(workspace.root, cwd=workspace.root)
    try:
        with_session(lambda session: _only_visit(session, served))
    finally:
        served.stop()
    assert not list(workspace.root.glob("ran-*"))


async def _only_visit(session: aiohttp.ClientSession, served: ServedConsole) -> None:
    await visit(session, served)


def test_only_so_many_visitors_at_once(workspace: Workspace) -> None:
    served = serve(workspace.root, "--visitors", "1")
    try:

        async def test(session: aiohttp.ClientSession) -> None:
            first = await visit(session, served)
            async with session.get(served.entrance):
                pass
            async with session.get(served.address) as response:
                assert response.status == 503
                assert "1 console is open here" in await response.text()
            assert await status_of_socket(session, served.socket_address) == 503
            await first.type("\x11")
            await end_of(first.connection)
            await visit(session, served)

        with_session(test)
    finally:
        served.stop()


@pytest.mark.parametrize(
    "message",
    [
        "[" * 200_000,
        '{"a":' * 100_000,
        "null",
        "[]",
        "7",
        '["stdin"]',
        '["stdin", 7]',
        '["resize", {"width": "x", "height": 3}]',
        '["resize", {}]',
        '["shutdown"]',
        '["ping", [[]]]',
    ],
    ids=lambda message: message[:20],
)
def test_a_strange_message_ends_the_visit_quietly(served: ServedConsole, message: str) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        visitor = await visit(session, served)
        await visitor.connection.send_str(message)
        assert await end_of(visitor.connection) == aiohttp.WSCloseCode.POLICY_VIOLATION

    with_session(test)


def test_messages_have_a_size_limit_and_sizes_a_range(served: ServedConsole) -> None:
    async def test(session: aiohttp.ClientSession) -> None:
        visitor = await visit(session, served)
        await visitor.connection.send_str(json.dumps(["resize", {"width": 10**12, "height": -5}]))
        await visitor.connection.send_str(json.dumps(["resize", {"width": 120, "height": 40}]))
        await visitor.connection.send_str('["stdin", "\\ud800"]')
        await visitor.connection.send_str('["ping", 7]')
        await visitor.until('["pong", 7]')
        await visitor.connection.send_str("x" * (LONGEST_MESSAGE_BYTES + 1))
        assert await end_of(visitor.connection) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG

    with_session(test)


def test_a_reason_in_one_burst_is_stored_whole(workspace: Workspace, served: ServedConsole) -> None:
    maker = CandidateMaker.begin(workspace)
    candidate = maker.examined(0.5)
    reason = "wrong document, see ticket 4711"

    async def test(session: aiohttp.ClientSession) -> None:
        visitor = await visit(session, served)
        await visitor.type("2")
        await visitor.until("Self-edit")
        await visitor.type("x")
        await visitor.until("Reject this self-edit?")
        await visitor.type(f"{reason}\x13")
        await visitor.until("rejected")

    with_session(test)
    (decision,) = decisions_of(maker.db, candidate.id)
    assert (decision.action, decision.actor, decision.reason) == ("reject", "ada", reason)
    maker.db.conn.close()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the children of a process are read from /proc")
def test_the_console_of_a_visitor_who_leaves_ends(served: ServedConsole) -> None:
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children")

    async def test(session: aiohttp.ClientSession) -> None:
        await visit(session, served)
        assert children.read_text(encoding="utf-8").split()

    with_session(test)
    deadline = time.monotonic() + WITHIN_S
    while children.read_text(encoding="utf-8").split():
        assert time.monotonic() < deadline, "the console goes on with nobody looking"
        time.sleep(0.05)


def test_a_port_in_use_is_reported(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "seal_console", "-w", str(workspace.root), "web", "--port", port]
        finished = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=WITHIN_S, env=child_environment()
        )
    assert finished.returncode == 2
    assert f"Cannot listen on 127.0.0.1 port {port}" in finished.stderr
    assert "--port" in finished.stderr
