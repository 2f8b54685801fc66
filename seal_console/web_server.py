"""Serves the console in a browser through textual-serve: each visitor gets a console process of their own.

textual-serve answers anyone; `web_access` says who may visit here. `web_visit` has a visit.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import shlex
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import aiohttp_jinja2
from aiohttp import web
from textual_serve.server import Server

from seal_console.web_access import TOKEN_NAME, allow_hosts, page, require_token, stays_here
from seal_console.web_visit import ConsoleProcess, receive_visitor
from store.errors import WrongUseError
from store.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_VISITORS = 8
_ROOM_WITHIN_S = 3.0
_SMALLEST_FONT, _USUAL_FONT, _LARGEST_FONT = 4, 16, 100


class ConsoleServer(Server):  # type: ignore[misc, unused-ignore]
    """textual-serve's server, for those who have the token, and for `most_visitors` at once."""

    def __init__(self, command: str, host: str, port: int, *, token: str | None, most_visitors: int) -> None:
        super().__init__(command, host=host, port=port, title="seal-console", public_url=address(host, port))
        self._token, self._most_visitors = token, most_visitors
        self._visitors = 0
        self._someone_left = asyncio.Condition()

    @property
    def entrance(self) -> str:
        """The address to open: with the token, if there is one."""
        return self.public_url if self._token is None else f"{self.public_url}/?{TOKEN_NAME}={self._token}"

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()
        app.middlewares.append(allow_hosts(self.public_url))
        if self._token is not None:
            app.middlewares.append(require_token(self._token, self.port))
        app.on_response_prepare.append(stays_here(self.public_url))
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the command has printed the address."""

    def initialize_logging(self) -> None:
        """Log errors only: the addresses of requests contain the token."""
        logging.basicConfig(level=logging.ERROR, format="%(message)s")

    def serve(self, debug: bool = False) -> None:
        """Serve until SIGINT or SIGTERM."""
        del debug
        self.initialize_logging()
        loop = asyncio.new_event_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.request_exit)
        web.run_app(
            self._make_app(), host=self.host, port=self.port, handle_signals=False, loop=loop,
            print=lambda *_: None, access_log=None,
        )  # fmt: skip

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """Return the page, with addresses of the name that it was asked for by; a plain one if there is no room."""
        if not await self._has_room():
            return self._full()
        size = request.query.get("fontsize", "")
        font_size = int(size) if size.isascii() and size.isdecimal() and len(size) <= len(str(_LARGEST_FONT)) else 0
        context = {
            "font_size": font_size if _SMALLEST_FONT <= font_size <= _LARGEST_FONT else _USUAL_FONT,
            "app_websocket_url": f"ws://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }
        return aiohttp_jinja2.render_template("app_index.html", request, context)

    async def handle_websocket(self, request: web.Request) -> web.StreamResponse:
        """Run a console for a visitor, if there is room for one more."""
        if not await self._has_room():
            return self._full()
        self._visitors += 1
        try:
            return await receive_visitor(request, self._make_process)
        finally:
            self._visitors -= 1
            async with self._someone_left:
                self._someone_left.notify_all()

    def _make_process(self, websocket: web.WebSocketResponse) -> ConsoleProcess:
        return ConsoleProcess(
            self.command, write_bytes=websocket.send_bytes, write_str=websocket.send_str, close=websocket.close,
            download_manager=self.download_manager,
        )  # fmt: skip

    async def _has_room(self) -> bool:
        """Whether one more may visit; waits a moment, since a page that is loaded again leaves while it comes."""
        try:
            async with asyncio.timeout(_ROOM_WITHIN_S), self._someone_left:
                await self._someone_left.wait_for(lambda: self._visitors < self._most_visitors)
        except TimeoutError:
            return False
        return True

    def _full(self) -> web.Response:
        said = (
            f"{counted(self._most_visitors, 'console is', 'consoles are')} open here, the most that are served at "
            "once. Close one, then load this page again; seal-console web --visitors N allows more."
        )
        return web.Response(text=page(said), status=503, content_type="text/html", headers={"Retry-After": "10"})


def console_command(workspace: Path, *, read_only: bool, actor: str | None) -> str:
    """Return the shell command of one visitor's console."""
    words = [sys.executable, "-m", "seal_console", "-w", str(workspace), "--in-browser"]
    words += ["--read-only"] if read_only else []
    words += ["--as", actor] if actor else []
    return shlex.join(words)


def make_server(command: str, host: str, port: int, **options: Any) -> ConsoleServer:
    """Make the server; see `ConsoleServer` for the options.

    Raises WrongUseError if the port is taken or the address is not this machine's.
    """
    _require_free(host, port)
    return ConsoleServer(command, host, port, **options)


def address(host: str, port: int) -> str:
    """Return the address that the server is reached by."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - shown only
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise WrongUseError(
                    f"{host} is not an address of this machine, so nothing can listen there.",
                    next_step="seal-console web --host 127.0.0.1 serves this machine, --host 0.0.0.0 others too.",
                ) from error
            raise WrongUseError(
                f"Cannot listen on {host} port {port}: {error.strerror or error}.",
                next_step="seal-console web --port N uses another port.",
            ) from error
