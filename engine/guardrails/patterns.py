"""The kind `pattern`: regular expressions that a text must not hold.

The library `regex` stops a search that takes too long. A text that could not be searched in time counts as found: what
nobody could look at is not let through. A pattern whose repeats would be unrolled into millions of places is refused
when the file is read, because compiling it would take the machine's memory.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import regex

from engine.guardrails.rule import Match, MatchReport
from engine.guardrails.texts import excerpt, line_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.guardrails.options import OptionReader
    from engine.guardrails.rule import CheckInput, TextPart

OPTIONS = ("patterns", "ignore_case")
MOST_CHARACTERS = 500
SEARCH_S = 1.0
_MOST_PLACES = 100_000
_MOST_MATCHES = 50
_ESCAPED = regex.compile(r"\\.", regex.DOTALL)
_CLASS = regex.compile(r"\[\^?\]?[^\]]*\]")
_REPEAT = regex.compile(r"\{(\d*),?(\d*)\}")


@dataclass(frozen=True, slots=True)
class PatternCheck:
    """Patterns in the syntax of `regex`; ^ and $ stand for the ends of lines."""

    patterns: tuple[str, ...]
    ignore_case: bool

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each place where a pattern is found; a pattern that takes too long is not searched any further."""
        return MatchReport(
            tuple(match for pattern in self.patterns for match in self._of_pattern(pattern, looked_at.parts))
        )

    def says(self) -> str:
        """Name the patterns."""
        return "none of: " + ", ".join(self.patterns)

    def _of_pattern(self, pattern: str, parts: tuple[TextPart, ...]) -> Iterator[Match]:
        for part in parts:
            try:
                yield from self._in_part(pattern, part)
            except TimeoutError:
                yield Match(part.where, None, f"pattern {pattern}", f"could not be searched within {SEARCH_S:g} s")
                return

    def _in_part(self, pattern: str, part: TextPart) -> Iterator[Match]:
        searched = _compiled(pattern, self.ignore_case).finditer(part.text, timeout=SEARCH_S)
        for count, found in enumerate(searched, 1):
            yield Match(part.where, line_at(part.text, found.start()), f"pattern {pattern}", excerpt(found.group()))
            if count == _MOST_MATCHES:
                return


def read_patterns(options: OptionReader) -> PatternCheck:
    """Read the options of a rule; every pattern that cannot be used is named."""
    if options.written.get("patterns") is None:
        options.report("patterns missing: a list of regular expressions")
    return PatternCheck(pattern_texts(options, "patterns"), options.switch("ignore_case", default=False))


def pattern_texts(options: OptionReader, key: str, default: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the patterns under a key; every one that cannot be used is named."""
    given = options.written.get(key)
    for number, one in enumerate(given if isinstance(given, list) else [given]):
        problem = pattern_problem(one) if isinstance(one, str) and one.strip() else None
        if problem:
            options.report(problem, key, *([number] if isinstance(given, list) else []))
    return options.texts(key, default)


def is_in(pattern: str, text: str) -> bool:
    """Tell whether a pattern is found, whatever the case; raises TimeoutError where the search takes too long."""
    return _compiled(pattern, ignore_case=True).search(text, timeout=SEARCH_S) is not None


def pattern_problem(pattern: str) -> str | None:
    """Say why a pattern cannot be used; None where it can."""
    if len(pattern) > MOST_CHARACTERS:
        return f"a pattern is longer than {MOST_CHARACTERS} characters"
    if _places(pattern) > _MOST_PLACES:
        return f"the repeats of the pattern {pattern!r} are too many; make the numbers in {{…}} smaller"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found_nothing = regex.compile(pattern, regex.MULTILINE).search("", timeout=SEARCH_S)
    except (regex.error, RecursionError, OverflowError, ValueError, Warning, TimeoutError) as error:
        return f"{pattern!r} is no regular expression: {error}"
    return None if found_nothing is None else f"the pattern {pattern!r} matches an empty text, and so every text"


@cache
def _compiled(pattern: str, ignore_case: bool) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.MULTILINE | (regex.IGNORECASE if ignore_case else 0))


def _places(pattern: str) -> int:
    """Return about how many places a pattern has once its counted repeats are unrolled."""
    text = _CLASS.sub("c", _ESCAPED.sub("e", pattern))
    sums, last, at = [0], 0, 0
    while at < len(text):
        repeat = _REPEAT.match(text, at)
        if repeat:
            # Long numbers are cut: a repeat of ten digits is refused whatever they are.
            times = max(int((number or "1")[:9]) for number in repeat.groups())
            sums[-1] += last * max(0, times - 1)
            last *= max(1, times)
            at = repeat.end()
            continue
        if text[at] == "(":
            sums.append(0)
        else:
            last = sums.pop() if text[at] == ")" and len(sums) > 1 else 1
            sums[-1] += last
        at += 1
    return sum(sums)
