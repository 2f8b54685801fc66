"""One call of an OpenAI-compatible chat endpoint, through the `openai` client: its timeouts and its retries.

Neither proxies nor keys are taken from the environment except the key that is named, and redirects are not followed:
what is sent goes to the configured address. A response is read up to a limit. The key appears in no message, and is
masked in what an endpoint sends back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, Self

from engine.input_files.strict_json import JsonProblemError, is_unicode, parse_strict_json
from engine.writers.writer import UnreachableError, UnusableReplyError, Writing
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openai import AsyncOpenAI

    from engine.generation.sampling import Sampling
    from engine.writers.writer import WritingRequest

_PATH = "/chat/completions"
_MAX_BYTES = 256 * 1024
_OK = 200
_MASK = "••••"


class ChatCall(Protocol):
    """Something that answers one request at a time; a chat endpoint."""

    url: str
    model: str

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc_info: object) -> None: ...

    async def complete(self, request: WritingRequest, sampling: Sampling | None) -> Writing:
        """Return the reply. Raises UnreachableError if there is none, UnusableReplyError if it has no text."""
        ...


@dataclass(slots=True)
class ChatEndpoint:
    """An endpoint and a model there. `timeout_s` limits one attempt; the key is kept out of the object's repr."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 60.0
    attempts: int = 3
    _client: AsyncOpenAI | None = field(default=None, init=False, repr=False)

    async def __aenter__(self) -> Self:
        """Open the client; it belongs to the event loop that runs this."""
        # The client takes half a second to load, and most workspaces have no endpoint.
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient  # noqa: PLC0415

        self._client = AsyncOpenAI(
            api_key=self.key or "none",
            base_url=self.url.removesuffix(_PATH),
            max_retries=self.attempts - 1,
            timeout=self.timeout_s,
            http_client=DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False, timeout=self.timeout_s),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def complete(self, request: WritingRequest, sampling: Sampling | None) -> Writing:
        """Return the reply; see `ChatCall`."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAIError  # noqa: PLC0415

        try:
            return read_completion(self._masked(await self._body(request, sampling)))
        except APITimeoutError as error:
            raise self._unreachable(f"no response within {self.timeout_s:g} s") from error
        except APIStatusError as error:
            raise self._unreachable(f"it responded with status {error.status_code}") from error
        except APIConnectionError as error:
            cause = error.__cause__ or error
            raise self._unreachable(f"{type(cause).__name__}: {cause}") from error
        except (OpenAIError, OSError, ValueError) as error:
            if isinstance(error, UnusableReplyError):
                raise
            raise self._unreachable(f"{type(error).__name__}: {error}") from error

    async def _body(self, request: WritingRequest, sampling: Sampling | None) -> bytes:
        from openai import Omit  # noqa: PLC0415

        if self._client is None:
            raise ValueError("the endpoint is used as an async context")
        # What the client would take from the environment is left out.
        left_out = ["OpenAI-Organization", "OpenAI-Project", *([] if self.key else ["Authorization"])]
        options: dict[str, Any] = {"extra_headers": {name: Omit() for name in left_out}}
        if sampling is not None:
            options |= {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": request.seed}
        if request.max_new_tokens is not None:
            options["max_tokens"] = request.max_new_tokens
        system = [{"role": "system", "content": request.instructions}] if request.instructions else []
        messages: Any = [*system, {"role": "user", "content": request.prompt}]
        create = self._client.chat.completions.with_streaming_response.create
        async with create(model=self.model, messages=messages, **options) as response:
            if response.status_code != _OK:
                raise self._unreachable(f"it responded with status {response.status_code}")
            body = b""
            async for part in response.iter_bytes():
                body += part
                if len(body) > _MAX_BYTES:
                    raise self._unreachable(f"its response is longer than {_MAX_BYTES // 1024} KiB")
            return body

    def _unreachable(self, failure: str) -> UnreachableError:
        text = self._masked(failure.encode("utf-8", "replace")).decode("utf-8", "replace")
        return UnreachableError(
            f"Cannot reach {self.model} at {self.url}: {text}.",
            next_step="Check that it is running and that url, model and key are right, then run again.",
        )

    def _masked(self, content: bytes) -> bytes:
        return content.replace(self.key.encode(), _MASK.encode()) if self.key else content


def read_key(variable: str, environ: Mapping[str, str]) -> str:
    """Return the key in an environment variable; empty if no variable is named.

    Raises WrongUseError if the variable is not set or cannot be a key.
    """
    if not variable:
        return ""
    key = environ.get(variable, "").strip()
    if not key:
        raise WrongUseError(
            f"The API key is expected in the environment variable {variable}, which is not set.",
            next_step=f"export {variable}=…, or leave out api_key_env if the endpoint needs no key.",
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise WrongUseError(
            f"{variable} does not hold a valid API key (spaces or unprintable characters).",
            next_step=f"Check the value of {variable}.",
        )
    return key


def read_completion(body: bytes) -> Writing:
    """Return the text of a chat completion's only choice; raises UnusableReplyError if there is no such text."""
    try:
        value = parse_strict_json(body.decode("utf-8"))
    except (UnicodeDecodeError, JsonProblemError) as error:
        raise UnusableReplyError("the response is not JSON in UTF-8") from error
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise UnusableReplyError("the response is not a chat completion with one choice")
    message = choices[0].get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str) or not is_unicode(content):
        raise UnusableReplyError("the response's message has no text")
    usage = value.get("usage") if isinstance(value, dict) else None
    return Writing(content, _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens"))


def _tokens(usage: object, key: str) -> int:
    count = usage.get(key) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else 0
