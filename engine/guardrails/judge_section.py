"""The section `judge` of guardrails.yaml: which endpoint judges self-edits, by which constitution.

The API key itself is never here: only the name of the environment variable that holds it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter

from engine.guardrails.rule import RuleVerdict, VerdictInput, hashed_verdict, renamed_verdict
from engine.input_files.input_model import FilledText, InputModel, Number, PositiveCount, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.input_files.validation import InputReader

Asks = Literal["every", "kept"]
WhenUnreachable = Literal["review", "stop"]
MOST_CHARACTERS = 50_000
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """One judge. `constitution` is its text; `constitution_file` names the file if the text is in one.

    `timeout_s` applies to one attempt, `attempts` is the most of them for one question, `at_once` is how many questions
    are in flight at a time.
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
        """Return what verdicts depend on; how the judge is reached does not matter."""
        verdict = hashed_verdict(self.verdict)
        return {"model": self.model, "constitution": self.constitution, "verdict": verdict, "asks": self.asks}

    def reached_as(self, now: JudgeSettings) -> JudgeSettings:
        """Return the same judge, reached as another section says."""
        return replace(
            now,
            model=self.model,
            constitution=self.constitution,
            constitution_file=self.constitution_file,
            verdict=self.verdict,
            asks=self.asks,
        )


def _address(url: str) -> str:
    """Check an address. Messages never repeat it, since it may contain a password."""
    form = "must be an address such as https://example.org/v1"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError(form) from None
    is_plain = url.isascii() and url.isprintable() and " " not in url
    if not is_plain or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(form)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a name or password; put the key into the variable that api_key_env names")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path, without ? or #")
    return url.rstrip("/")


def _variable(name: str) -> str:
    """Check the name of a variable. Messages never repeat it, since it may be the key itself."""
    if name and not _VARIABLE.fullmatch(name):
        raise ValueError("must be the name of an environment variable, such as JUDGE_API_KEY, and never the key itself")
    return name


def constitution_problem(text: str) -> str | None:
    """Say why a text cannot be a constitution, or return None if it can."""
    if not text.strip():
        return "the constitution is empty"
    if len(text) > MOST_CHARACTERS:
        return f"the constitution is longer than {MOST_CHARACTERS:,} characters"
    return None


def _constitution(text: str) -> str:
    problem = constitution_problem(text)
    if problem:
        raise ValueError(problem)
    return text


_CONSTITUTION: TypeAdapter[str] = TypeAdapter(Annotated[Text, AfterValidator(_constitution)])


class ConstitutionFile(InputModel):
    """A constitution that is in a file of the workspace."""

    file: FilledText


class JudgeInput(InputModel):
    """The section `judge`."""

    url: Annotated[FilledText, AfterValidator(_address)]
    model: FilledText
    api_key_env: Annotated[Text, AfterValidator(_variable)] = ""
    timeout_s: Annotated[Number, Field(gt=0, le=3600)] = 60.0
    attempts: Annotated[PositiveCount, Field(le=10)] = 3
    at_once: Annotated[PositiveCount, Field(le=32)] = 4
    constitution: object
    verdict: VerdictInput = "review"
    asks: Asks = "every"
    when_unreachable: Annotated[WhenUnreachable, BeforeValidator(renamed_verdict)] = "review"

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """A key may travel only encrypted, or within this machine."""
        parts = urlsplit(given.get("url", ""))
        host = parts.hostname or ""
        try:
            is_this_machine = ip_address(host).is_loopback
        except ValueError:
            is_this_machine = host == "localhost"
        sends_key = bool(given.get("api_key_env")) or ("api_key_env" in written and "api_key_env" not in given)
        if sends_key and parts.scheme == "http" and not is_this_machine:
            return [("url", "must begin with https:// if a key is sent to another machine")]
        return []


def read_judge(
    reader: InputReader, section: object, read_constitution: Callable[[str], str] | None = None
) -> JudgeSettings | None:
    """Return the judge, or None if the section is not valid; problems are noted in the reader.

    `read_constitution` reads the constitution from the file of a name, and raises ValueError with what is wrong.
    """
    path = ("judge",)
    found = reader.read(JudgeInput, section, path)
    written = section.get("constitution") if isinstance(section, dict) else None
    constitution, file = "", ""
    if isinstance(written, dict):
        source = reader.read(ConstitutionFile, written, (*path, "constitution"))
        file = source.file if source else ""
        if file and read_constitution is not None:
            try:
                constitution = read_constitution(file)
            except ValueError as error:
                reader.report((*path, "constitution", "file"), str(error))
    elif isinstance(section, dict) and "constitution" in section:
        constitution = reader.read(_CONSTITUTION, written, (*path, "constitution")) or ""
    if found is None:
        return None
    known = found.model_dump(exclude={"constitution"})
    return JudgeSettings(**known, constitution=constitution, constitution_file=file)
