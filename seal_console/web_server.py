"""Serves the console in a browser through textual-serve: each visitor gets a console process of their own.

textual-serve answers anyone. A page of another site could open this console's socket from the operator's own browser,
or reach it by a name that resolves to the loopback; both are refused here by the headers Origin and Host. Not
guaranteed: that nobody on the network gets in if it listens beyond the loopback; there are no passwords.
"""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from aiohttp import web
from textual_serve.server import Server

from store.errors import WrongUseError

if TYPE_CHECKING:
    from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ConsoleServer(Server):  # type: ignore[misc, unused-ignore]
    """textual-serve's server, closed to other sites."""

    async def _make_app(self) -> web.Application:
        app: web.Application = await super()._make_app()
        app.middlewares.append(cast("Any", allow_hosts(self.public_url)))
        app.on_response_prepare.append(stays_here(self.public_url))
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the command has printed the address."""


def console_command(workspace: Path, *, read_only: bool, actor: str | None) -> str:
    """Return the shell command of one visitor's console."""
    words = [sys.executable, "-m", "seal_console", "-w", str(workspace)]
    words += ["--read-only"] if read_only else []
    words += ["--as", actor] if actor else []
    return shlex.join(words)


def make_server(command: str, host: str, port: int) -> ConsoleServer:
    """Make the server. Raises WrongUseError if the port is taken or the address is not this machine's."""
    _require_free(host, port)
    return ConsoleServer(command, host=host, port=port, title="seal-console", public_url=address(host, port))


def address(host: str, port: int) -> str:
    """Return the address to open in a browser."""
    shown = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(host, host)  # noqa: S104 - shown only
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def allow_hosts(public_url: str) -> Callable[[web.Request, _Handler], Awaitable[web.StreamResponse]]:
    """Return a middleware that refuses requests from another site's page or for another host name."""
    own = urlsplit(public_url)
    names = {own.hostname or "", *(LOOPBACK if (own.hostname or "") in LOOPBACK else ())}

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        asked = urlsplit(f"//{request.host}").hostname or ""
        origin = request.headers.get("Origin")
        if asked not in names or (origin is not None and not _same_site(origin, names, own.port)):
            raise web.HTTPForbidden(text=f"This console is served as {public_url} only.\n")
        return await handler(request)

    return check


def stays_here(public_url: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a hook that lets the page load from this server only, and keeps other pages from embedding it.

    textual-serve's page loads a font from Google: that reveals the console to others, and delays the page if there is
    no network. The font has a fallback.
    """
    own = f"'self' {public_url} {public_url.replace('http', 'ws', 1)}"
    policy = f"default-src {own} 'unsafe-inline' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

    async def add_policy(_: web.Request, response: web.StreamResponse) -> None:
        response.headers["Content-Security-Policy"] = policy

    return add_policy


def _same_site(origin: str, names: set[str], port: int | None) -> bool:
    from_site = urlsplit(origin)
    return from_site.hostname in names and (from_site.port or 80) == (port or 80)


def _require_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise WrongUseError(
                f"Cannot listen on {host} port {port}: {error.strerror or error}.",
                next_step="seal-console web --port N uses another port.",
            ) from error
