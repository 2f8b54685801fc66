"""Puts a question to an OpenAI-compatible endpoint: time limits, several attempts, and a bound on what is read.

Neither proxies nor keys are taken from the environment but the one key that is named, and no redirect is followed: what
is sent goes to the address in guardrails.yaml. The time limit is checked whenever bytes arrive and before each wait, so
an attempt may take up to twice as long. The key is put into no message, and removed from what an endpoint sends back.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from store.errors import SealError, WrongUseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from engine.guardrails.judge_question import JudgeQuestion
    from engine.guardrails.judge_section import JudgeSettings

_PATH = "/chat/completions"
_MOST_BYTES = 256 * 1024
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 30.0
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_SERVER_ERRORS = 500
_MASK = "••••"


class JudgeUnreachableError(SealError):
    """A judge gave no response that could be read."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a judge is asked, and with which key (empty: none). The key is kept out of the object's own words."""

    settings: JudgeSettings
    key: str
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def __repr__(self) -> str:
        return f"Endpoint({self.settings.url})"

    async def ask(self, question: JudgeQuestion) -> bytes:
        """Return the body of the response; raises JudgeUnreachableError after the last attempt."""
        attempts, failure = self.settings.attempts, ""
        for attempt in range(attempts):
            if attempt:
                await self.sleep(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** (attempt - 1)))
            try:
                return self._hidden(await self._once(question))
            except _NoResponseError as error:
                failure = self._hidden(str(error).encode("utf-8", "replace")).decode("utf-8", "replace")
                if not error.passing:
                    break
        raise JudgeUnreachableError(
            f"The judge at {self.settings.url} cannot be asked: {failure}",
            next_step="Check that it is running and that url, model and key in guardrails.yaml are right.",
        )

    async def _once(self, question: JudgeQuestion) -> bytes:
        timeout_s = self.settings.timeout_s
        headers = {"accept-encoding": "identity", **({"authorization": f"Bearer {self.key}"} if self.key else {})}
        url = self.settings.url if self.settings.url.endswith(_PATH) else self.settings.url + _PATH
        deadline = time.monotonic() + timeout_s
        try:
            async with (
                httpx.AsyncClient(timeout=timeout_s, trust_env=False, follow_redirects=False) as client,
                client.stream("POST", url, json=question.as_request(), headers=headers) as response,
            ):
                _require_success(response.status_code)
                return await _read(response, deadline)
        except httpx.TimeoutException as error:
            raise _NoResponseError(f"no response within {timeout_s:g} s", passing=True) from error
        except httpx.TransportError as error:
            raise _NoResponseError(f"{type(error).__name__}: {error}", passing=True) from error
        except (httpx.InvalidURL, httpx.HTTPError, UnicodeError) as error:
            raise _NoResponseError(f"{type(error).__name__}: {error}", passing=False) from error

    def _hidden(self, content: bytes) -> bytes:
        """Take the key out of what an endpoint sent back, should it have echoed it."""
        return content.replace(self.key.encode(), _MASK.encode()) if self.key else content


def endpoint_of(settings: JudgeSettings, environ: Mapping[str, str]) -> Endpoint:
    """Return where a judge is asked; raises WrongUseError where its key's variable is not set, or holds no key."""
    if not settings.api_key_env:
        return Endpoint(settings, "")
    key = environ.get(settings.api_key_env, "").strip()
    if not key:
        raise WrongUseError(
            f"guardrails.yaml: the judge's key is to be in {settings.api_key_env}, which is not set.",
            next_step=f"export {settings.api_key_env}=…, or leave api_key_env out where the judge wants no key.",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise WrongUseError(
            f"guardrails.yaml: what is in {settings.api_key_env} cannot be a key: it holds spaces or other characters.",
            next_step=f"Look what {settings.api_key_env} holds.",
        )
    return Endpoint(settings, key)


class _NoResponseError(Exception):
    """One attempt failed; `passing` says whether another may succeed."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.passing = passing


def _require_success(status: int) -> None:
    if status != httpx.codes.OK:
        passing = status >= _SERVER_ERRORS or status in _TRY_AGAIN
        raise _NoResponseError(f"it responded with status {status}", passing=passing)


async def _read(response: httpx.Response, deadline: float) -> bytes:
    content = b""
    async for part in response.aiter_raw():
        content += part
        if len(content) > _MOST_BYTES:
            raise _NoResponseError(f"its response is longer than {_MOST_BYTES // 1024} KiB", passing=False)
        if time.monotonic() > deadline:
            raise _NoResponseError("its response did not end in time", passing=True)
    return content
