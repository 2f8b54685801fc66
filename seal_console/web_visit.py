"""One visitor of the served console: a websocket, a console process, and the messages between them.

What comes from a browser is data of a stranger: messages have a size limit, and what is not one of the page's own
messages ends the visit.
"""

from __future__ import annotations

import asyncio
import json
import shlex
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode, WSMsgType, web
from textual_serve.app_service import AppService

from engine.runtime.child_environment import child_environment

if TYPE_CHECKING:
    from asyncio.subprocess import Process

LONGEST_MESSAGE_BYTES = 1024 * 1024
_MOST_COLUMNS, _MOST_ROWS = 1000, 500
_USUAL_COLUMNS, _USUAL_ROWS = 80, 24
_LONGEST_NUMBER = 8
_ENDS_WITHIN_S = 10.0
_HEARTBEAT_S = 15.0


class StrangeMessageError(ValueError):
    """A message that the console's page never sends."""


class ConsoleProcess(AppService):  # type: ignore[misc, unused-ignore]
    """textual-serve's service, with an environment in which no file of the current folder is run."""

    def _build_environment(self, width: int = _USUAL_COLUMNS, height: int = _USUAL_ROWS) -> dict[str, str]:
        return {**super()._build_environment(width, height), **_python_variables()}

    async def _open_app_process(self, width: int = _USUAL_COLUMNS, height: int = _USUAL_ROWS) -> Process:
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *shlex.split(self.command), stdin=pipe, stdout=pipe, stderr=pipe,
            env=self._build_environment(width, height),
        )  # fmt: skip
        self._stdin = self._process.stdin
        return self._process

    async def stop(self) -> None:
        """End the console; one that does not end by itself is killed."""
        process = self._process
        try:
            async with asyncio.timeout(_ENDS_WITHIN_S):
                await super().stop()
        except TimeoutError:
            if process is not None:
                with suppress(ProcessLookupError):
                    process.kill()
        if process is not None:
            await process.wait()


async def receive_visitor(request: web.Request, make_process: Any) -> web.WebSocketResponse:
    """Run a console for a websocket until either ends. `make_process` gets the websocket."""
    websocket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=LONGEST_MESSAGE_BYTES)
    columns = size_or(request.query.get("width"), _USUAL_COLUMNS, _MOST_COLUMNS)
    rows = size_or(request.query.get("height"), _USUAL_ROWS, _MOST_ROWS)
    await websocket.prepare(request)
    process: ConsoleProcess = make_process(websocket)
    try:
        await process.start(columns, rows)
        await _pass_messages_on(websocket, process)
    except StrangeMessageError:
        await websocket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"not a message of this console")
    finally:
        await process.stop()
    return websocket


async def _pass_messages_on(websocket: web.WebSocketResponse, process: ConsoleProcess) -> None:
    async for message in websocket:
        if message.type is not WSMsgType.TEXT:
            continue
        kind, value = parse_message(message.data)
        if kind == "stdin":
            await process.send_bytes(value.encode("utf-8", "replace"))
        elif kind == "resize":
            await process.set_terminal_size(*value)
        elif kind == "ping":
            await websocket.send_json(["pong", value])
        elif kind == "blur":
            await process.blur()
        else:
            await process.focus()


def parse_message(text: str) -> tuple[str, Any]:
    """Return the kind of a page's message and its value. Raises StrangeMessageError if it is none.

    The value is text for `stdin`, text, a number or None for `ping`, columns and rows for `resize`, else None.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StrangeMessageError from error
    match envelope:
        case ["stdin", str(typed)]:
            return "stdin", typed
        case ["resize", {"width": int(width), "height": int(height)}]:
            return "resize", (_within(width, _MOST_COLUMNS), _within(height, _MOST_ROWS))
        case ["ping", str() | int() | float() | None as value]:
            return "ping", value
        case ["ping"]:
            return "ping", None
        case ["blur" | "focus" as kind, *_]:
            return str(kind), None
    raise StrangeMessageError


def size_or(given: str | None, otherwise: int, most: int) -> int:
    """Return a number of columns or rows from an address; `otherwise` if it is none."""
    if given is None or not given.isascii() or not given.isdecimal() or len(given) > _LONGEST_NUMBER:
        return otherwise
    return _within(int(given), most)


def _within(size: int, most: int) -> int:
    return max(1, min(size, most))


def _python_variables() -> dict[str, str]:
    return {name: value for name, value in child_environment().items() if name.startswith("PYTHON")}
