"""The section `judge` of guardrails.yaml: which endpoint is asked about a self-edit, by which constitution.

The key itself is never here: only the name of the environment variable that holds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import urlsplit

from engine.guardrails.options import OptionReader, SectionReader
from engine.guardrails.rule import VERDICTS, RuleVerdict
from engine.tasks.drafts import kind_of

if TYPE_CHECKING:
    from urllib.parse import SplitResult

Asks = Literal["every", "kept"]
ASKS: tuple[Asks, ...] = get_args(Asks)
WhenUnreachable = Literal["hold", "stop"]
WHEN_UNREACHABLE: tuple[WhenUnreachable, ...] = get_args(WhenUnreachable)
KEYS = (
    "url", "model", "api_key_env", "timeout_s", "attempts", "at_once", "constitution", "verdict", "asks",
    "when_unreachable",
)  # fmt: skip
MOST_CHARACTERS = 50_000
_MOST_ATTEMPTS = 10
_MOST_AT_ONCE = 32
_LONGEST_TIMEOUT_S = 3600.0
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """One judge. `constitution` is its text; where that is in a file, `constitution_file` names it.

    `timeout_s` is for one attempt, `attempts` the most of them for one question, `at_once` the questions in flight.
    """

    url: str
    model: str
    api_key_env: str
    timeout_s: float
    attempts: int
    at_once: int
    constitution: str
    constitution_file: str
    verdict: RuleVerdict
    asks: Asks
    when_unreachable: WhenUnreachable

    def as_hashed(self) -> dict[str, str]:
        """Return what verdicts depend on; how the judge is reached plays no part."""
        return {"model": self.model, "constitution": self.constitution, "verdict": self.verdict, "asks": self.asks}

    def reached_as(self, now: JudgeSettings) -> JudgeSettings:
        """Return the same judge, reached as another section says."""
        return replace(
            self,
            url=now.url,
            api_key_env=now.api_key_env,
            timeout_s=now.timeout_s,
            attempts=now.attempts,
            at_once=now.at_once,
            when_unreachable=now.when_unreachable,
        )


def read_judge(section: SectionReader) -> JudgeSettings | None:
    """Return the judge, with problems noted; None where the section holds no keys."""
    if not isinstance(section.values, dict):
        message = f"judge must have the keys url, model and constitution (is {kind_of(section.values)})"
        section.reader.report(section.path, message)
        return None
    options = OptionReader(section.reader, section.values, section.written, section.path)
    options.reader.unknown_keys(options.written, KEYS, options.path)
    missing = [key for key in ("url", "model", "constitution") if key not in options.written]
    if missing:
        options.report(f"{' and '.join(missing)} missing")
    constitution, file = _constitution(options)
    variable = _variable(options)
    return JudgeSettings(
        url=_url(options, has_key=bool(variable)),
        model=_filled(options, "model"),
        api_key_env=variable,
        timeout_s=_timeout(options),
        attempts=_most(options, "attempts", 3, _MOST_ATTEMPTS),
        at_once=_most(options, "at_once", 4, _MOST_AT_ONCE),
        constitution=constitution,
        constitution_file=file,
        verdict=options.name("verdict", VERDICTS, "hold"),
        asks=options.name("asks", ASKS, "every"),
        when_unreachable=options.name("when_unreachable", WHEN_UNREACHABLE, "hold"),
    )


def constitution_problem(text: str) -> str | None:
    """Say why a text is no constitution; None where it is."""
    if not text.strip():
        return "the constitution is empty"
    if len(text) > MOST_CHARACTERS:
        return f"the constitution is longer than {MOST_CHARACTERS:,} characters"
    return None


def _filled(options: OptionReader, key: str) -> str:
    text = options.text(key, "")
    if isinstance(options.written.get(key), str) and not text.strip():
        options.report(f"{key} is empty", key)
    return text


def _url(options: OptionReader, *, has_key: bool) -> str:
    url = _filled(options, "url")
    problem = _url_problem(url, has_key=has_key) if url.strip() else None
    if problem:
        options.report(f"url {problem}", "url")
    return url.rstrip("/")


def _url_problem(url: str, *, has_key: bool) -> str | None:
    """Say what is wrong with an address. It is never repeated: somebody may have put a password into it."""
    wanted = "must be an address such as https://example.org/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return wanted
    plain = url.isascii() and url.isprintable() and " " not in url
    if not plain or parts.scheme not in {"http", "https"} or not parts.hostname:
        return wanted
    if parts.username is not None or parts.password is not None:
        return "must hold no name or password; put the key into the variable that api_key_env names"
    if parts.query or parts.fragment:
        return "must end with its path, without ? or #"
    if has_key and parts.scheme == "http" and not _is_this_machine(parts):
        return "must begin with https:// where a key is sent to another machine"
    return None


def _is_this_machine(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _variable(options: OptionReader) -> str:
    """Return the name of the variable. A wrong one is not repeated: it may be the key itself."""
    name = options.text("api_key_env", "")
    if name and not _VARIABLE.fullmatch(name):
        message = "must be the name of an environment variable, such as JUDGE_API_KEY, and never the key itself"
        options.report(f"api_key_env {message}", "api_key_env")
        return ""
    return name


def _timeout(options: OptionReader) -> float:
    what = f"seconds, above 0 and at most {_LONGEST_TIMEOUT_S:g}"
    seconds = options.number("timeout_s", 60.0, most=_LONGEST_TIMEOUT_S, what=what)
    if seconds == 0:
        options.report(f"timeout_s must be {what} (is 0)", "timeout_s")
    return seconds or 60.0


def _most(options: OptionReader, key: str, default: int, most: int) -> int:
    count = options.count(key, default, least=1) or default
    if count > most:
        options.report(f"{key} must be at most {most} (is {count})", key)
    return count


def _constitution(options: OptionReader) -> tuple[str, str]:
    """Return the text, or the name of the file that holds it."""
    written = options.written.get("constitution")
    if isinstance(written, dict):
        inner = OptionReader(options.reader, written, written, (*options.path, "constitution"))
        inner.reader.unknown_keys(written, ("file",), inner.path)
        if "file" not in written:
            inner.report("file missing: the name of a file in the workspace")
        return "", _filled(inner, "file")
    if "constitution" not in options.written:
        return "", ""
    text = options.text("constitution", "")
    problem = constitution_problem(text) if isinstance(written, str) else None
    if problem:
        options.report(problem, "constitution")
    return text, ""
