"""Who may see the served console: a secret token, the host names that it is reached by, and what its page may load.

Whoever has the token decides as the operator. It is in the address that the command prints; the first visit exchanges
it for a cookie, so that it is not in the addresses that follow. Not guaranteed: secrecy on the way, since the
connection is not encrypted; nor that another server on the same machine, if the operator visits it, does not see the
cookie, because browsers do not keep the cookies of one host's ports apart.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOKEN_NAME = "token"  # noqa: S105 - the name of the parameter
_TOKEN_BYTES = 32
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PAGE = "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>seal-console</title>{head}<p>{said}</p></html>\n"


def new_token() -> str:
    """Return a random token that nobody can guess."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def page(said: str, *, head: str = "") -> str:
    """Return a plain page with one paragraph; `head` is HTML, `said` is not."""
    return _PAGE.format(head=head, said=escape(said))


def allow_hosts(public_url: str) -> Middleware:
    """Return a middleware that refuses requests from another site's page or for another host name."""
    own = urlsplit(public_url)
    names = {own.hostname or "", *(LOOPBACK if (own.hostname or "") in LOOPBACK else ())}

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        asked = _host_name(request.host)
        origin = request.headers.get("Origin")
        if asked not in names or (origin is not None and not _same_site(origin, names, own.port)):
            raise web.HTTPForbidden(text=f"This console is served as {public_url} only.\n")
        return await handler(request)

    return check


def require_token(token: str, port: int) -> Middleware:
    """Return a middleware that refuses requests without the token, in the address or in the cookie."""
    cookie = f"seal-console-{port}"

    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        in_address = request.query.get(TOKEN_NAME)
        if _same(in_address, token):
            return _exchange(request, cookie, token) if request.path == "/" else await handler(request)
        if not _same(request.cookies.get(cookie), token):
            said = (
                "This console needs its token. Open the address that “seal-console web” printed when it started: "
                f"it ends in /?{TOKEN_NAME}=…"
            )
            raise web.HTTPForbidden(text=page(said), content_type="text/html")
        return await handler(request)

    return check


def _exchange(request: web.Request, cookie: str, token: str) -> web.Response:
    """Set the cookie and go on to the console without the token.

    The page goes on by itself: a strict cookie is not sent along a redirection that began on another site.
    """
    rest = urlencode([(key, value) for key, value in request.query.items() if key != TOKEN_NAME])
    target = escape(f"/?{rest}" if rest else "/")
    head = f'<meta http-equiv=refresh content="0; url={target}">'
    response = web.Response(text=page("The console is opening.", head=head), content_type="text/html")
    response.set_cookie(cookie, token, httponly=True, samesite="Strict", path="/")
    return response


def stays_here(public_url: str) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a hook that lets the page load from this server only, and keeps other pages from embedding it.

    textual-serve's page loads a font from Google: that reveals the console to others, and delays the page if there is
    no network. The font has a fallback.
    """

    async def add_policy(request: web.Request, response: web.StreamResponse) -> None:
        own = {"'self'", public_url, public_url.replace("http", "ws", 1)}
        if _host_name(request.host) in LOOPBACK:
            own |= {f"http://{request.host}", f"ws://{request.host}"}
        policy = f"default-src {' '.join(sorted(own))} 'unsafe-inline' data:; frame-ancestors 'none'; base-uri 'none'; "
        response.headers["Content-Security-Policy"] = policy + "form-action 'none'"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Cache-Control"] = "no-store"

    return add_policy


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _same_site(origin: str, names: set[str], port: int | None) -> bool:
    try:
        from_site = urlsplit(origin)
        from_port = from_site.port
    except ValueError:
        return False
    return from_site.hostname in names and (from_port or 80) == (port or 80)
