"""The kind `secrets`: keys, tokens and passwords, found by the detectors of the library detect-secrets.

Its detectors run one by one, without the library's global settings and without asking any service whether a secret is
valid. Evidence never contains a secret. Random-looking strings are found only if the entropy options are set.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated

import regex
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.filters.heuristic import (
    is_not_alphanumeric_string,
    is_potential_uuid,
    is_sequential_string,
    is_templated_secret,
)
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.high_entropy_strings import (
    Base64HighEntropyString,
    HexHighEntropyString,
    HighEntropyStringsPlugin,
)
from detect_secrets.plugins.keyword import CONFIG_DENYLIST_REGEX_TO_GROUP, KeywordDetector
from pydantic import AfterValidator, Field

from engine.guardrails.rule import Check, Match, MatchReport
from engine.guardrails.texts import MASK
from engine.input_files.input_model import Number, PositiveCount, Switch, Texts
from store.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from detect_secrets.plugins.base import BasePlugin

    from engine.guardrails.rule import CheckInput, TextPart

_WINDOW, _OVERLAP = 4000, 500
# Public addresses are personal data or allowed; entropy has its own options.
_LEFT_OUT = {"IPPublicDetector", "Base64HighEntropyString", "HexHighEntropyString"}
_RANDOM = {"base64": regex.compile(r"[A-Za-z0-9+/_=-]+"), "hex": regex.compile(r"\b[0-9a-fA-F]+\b")}


@cache
def _detectors() -> dict[str, BasePlugin]:
    """The library's detectors by the names of their classes, in a fixed order."""
    kinds: Mapping[str, type[BasePlugin]] = get_mapping_from_secret_type_to_class()
    classes = {kind.__name__: kind for kind in kinds.values()}
    return {name: classes[name]() for name in sorted(classes) if name not in _LEFT_OUT}


def _known_detectors(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in _detectors():
            raise ValueError(f"unknown detector {name!r}; {suggestion(name, _detectors())}")
    return tuple(name for name in _detectors() if name in names)


Entropy = Annotated[Number, Field(ge=0, le=8)]


class SecretCheck(Check):
    """Which detectors run. An entropy is in bits for each character; None leaves that search out.

    `unquoted` takes what follows `password =` or `api_key:` for a secret even without quotation marks around it.
    """

    unquoted: Switch = False
    base64_entropy: Entropy | None = None
    hex_entropy: Entropy | None = None
    entropy_characters: PositiveCount = 20
    leave_out: Annotated[Texts, AfterValidator(_known_detectors)] = ()

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each secret with its kind and its line, masked."""
        return MatchReport(
            tuple(match for part in looked_at.parts for match in self._in_part(part, looked_at.document))
        )

    def says(self) -> str:
        """Say what is looked for."""
        random = [
            f"random-looking {name} strings above {limit:g} bits a character"
            for name, limit in (("base64", self.base64_entropy), ("hex", self.hex_entropy))
            if limit is not None
        ]
        exceptions = f" except {', '.join(self.leave_out)}" if self.leave_out else ""
        return "; ".join([f"no keys, tokens and passwords{exceptions}", *random])

    def _in_part(self, part: TextPart, document: str) -> Iterator[Match]:
        for number, line in enumerate(part.text.split("\n"), 1):
            seen: list[str] = []
            for what, secret in self._in_line(line):
                # A string that several detectors find, or a piece of one, is one secret.
                if any(secret in other for other in seen):
                    continue
                seen.append(secret)
                in_document = secret in document if document else None
                yield Match(part.where, number, what, MASK, in_document, same_as=secret)

    def _in_line(self, line: str) -> Iterator[tuple[str, str]]:
        for start in range(0, max(1, len(line) - _OVERLAP), _WINDOW - _OVERLAP):
            piece = line[start : start + _WINDOW]
            for name, detector in _detectors().items():
                if name in self.leave_out:
                    continue
                for secret in self._found_by(detector, piece):
                    if secret.strip() and not _is_harmless(detector, secret):
                        yield str(detector.secret_type), secret
            yield from self._random(piece)

    def _found_by(self, detector: BasePlugin, piece: str) -> Iterator[str]:
        if isinstance(detector, KeywordDetector) and self.unquoted:
            yield from detector.analyze_string(piece, CONFIG_DENYLIST_REGEX_TO_GROUP)
        finds_as_usual = type(detector).analyze_string is RegexBasedDetector.analyze_string
        if isinstance(detector, RegexBasedDetector) and finds_as_usual:
            # The library returns the groups of its expressions, for a GitHub token only "ghp".
            yield from (found.group() for expression in detector.denylist for found in expression.finditer(piece))
        else:
            yield from detector.analyze_string(piece)

    def _random(self, piece: str) -> Iterator[tuple[str, str]]:
        for name, limit in (("base64", self.base64_entropy), ("hex", self.hex_entropy)):
            if limit is None:
                continue
            for text in _RANDOM[name].findall(piece):
                is_long = len(text) >= self.entropy_characters and not is_potential_uuid(text)
                if is_long and _entropy_of(name).calculate_shannon_entropy(text) > limit:
                    yield f"random-looking {name} string", text


@cache
def _entropy_of(name: str) -> HighEntropyStringsPlugin:
    return Base64HighEntropyString() if name == "base64" else HexHighEntropyString()


def _is_harmless(detector: BasePlugin, secret: str) -> bool:
    """Tell whether the library's own filters take a probable secret for a placeholder or a sequence."""
    if not isinstance(detector, KeywordDetector):
        return False
    return is_templated_secret(secret) or is_sequential_string(secret) or is_not_alphanumeric_string(secret)
