"""The kinds `pattern` and `topics`: regular expressions, and words or phrases, that a text must not contain.

The library `regex` stops a search that takes too long. A text that could not be searched in time counts as a match:
what nobody could look at does not pass. A pattern whose repeats would unroll into millions of places is refused when
the file is read, because compiling it would use up the machine's memory.

Topics are whole words. Case, accents and invisible characters do not matter; endings do, so a rule lists the forms.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING, Annotated

import regex
from pydantic import AfterValidator, BeforeValidator, Field

from engine.guardrails.rule import Check, Match, MatchReport
from engine.guardrails.texts import excerpt, folded_words, line_at, runs_of, words_of
from engine.input_files.input_model import FilledText, Switch, as_list, each_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.guardrails.rule import CheckInput, TextPart

MOST_CHARACTERS = 500
SEARCH_S = 1.0
_MOST_PLACES = 100_000
_MOST_MATCHES = 50
_CALLS_ITSELF = regex.compile(r"\(\?(?:R|[+-]?\d+|&\w+|P>\w+)\)")
_ESCAPED = regex.compile(r"\\.", regex.DOTALL)
_CLASS = regex.compile(r"\[\^?\]?[^\]]*\]")
_REPEAT = regex.compile(r"\{(\d*),?(\d*)\}")


def pattern_problem(pattern: str) -> str | None:
    """Say why a pattern cannot be used, or return None if it can."""
    if len(pattern) > MOST_CHARACTERS:
        return f"a pattern is longer than {MOST_CHARACTERS} characters"
    if _CALLS_ITSELF.search(pattern):
        return f"the pattern {pattern!r} calls itself, which may take all memory; rewrite it without"
    if _places(pattern) > _MOST_PLACES:
        return f"the pattern {pattern!r} repeats too often; make the numbers in {{…}} smaller"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            match_of_nothing = regex.compile(pattern, regex.MULTILINE).search("", timeout=SEARCH_S)
    except (regex.error, RecursionError, OverflowError, ValueError, Warning, TimeoutError, MemoryError) as error:
        return f"{pattern!r} is not a regular expression: {error}"
    return None if match_of_nothing is None else f"the pattern {pattern!r} matches an empty text, and so every text"


def _places(pattern: str) -> int:
    """Return about how many places a pattern has once its counted repeats are unrolled."""
    text = _CLASS.sub("c", _ESCAPED.sub("e", pattern))
    sums, last, position = [0], 0, 0
    while position < len(text):
        repeat = _REPEAT.match(text, position)
        if repeat:
            # Long numbers are cut: a repeat of ten digits is refused whatever they are.
            times = max(int((number or "1")[:9]) for number in repeat.groups())
            sums[-1] += last * max(0, times - 1)
            last *= max(1, times)
            position = repeat.end()
            continue
        if text[position] == "(":
            sums.append(0)
        else:
            last = sums.pop() if text[position] == ")" and len(sums) > 1 else 1
            sums[-1] += last
        position += 1
    return sum(sums)


def _usable_pattern(pattern: str) -> str:
    problem = pattern_problem(pattern)
    if problem:
        raise ValueError(problem)
    return pattern


def _with_words(text: str) -> str:
    if not folded_words(text):
        raise ValueError(f"{text!r} contains no word; only a pattern can find it")
    return text


Patterns = Annotated[
    tuple[Annotated[FilledText, AfterValidator(_usable_pattern)], ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    AfterValidator(each_once),
]
Phrases = Annotated[
    tuple[Annotated[FilledText, AfterValidator(_with_words)], ...],
    Field(min_length=1),
    BeforeValidator(as_list),
    AfterValidator(each_once),
]


class PatternCheck(Check):
    """Patterns in the syntax of `regex`; ^ and $ match at the ends of lines."""

    patterns: Patterns
    ignore_case: Switch = False

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each place where a pattern matches; a pattern that takes too long is not searched any further."""
        return MatchReport(
            tuple(match for pattern in self.patterns for match in self._of_pattern(pattern, looked_at.parts))
        )

    def says(self) -> str:
        """Name the patterns."""
        return "none of: " + ", ".join(self.patterns)

    def _of_pattern(self, pattern: str, parts: tuple[TextPart, ...]) -> Iterator[Match]:
        for part in parts:
            try:
                searched = _compiled(pattern, self.ignore_case).finditer(part.text, timeout=SEARCH_S)
                for count, found in enumerate(searched, 1):
                    line = line_at(part.text, found.start())
                    yield Match(part.where, line, f"pattern {pattern}", excerpt(found.group()))
                    if count == _MOST_MATCHES:
                        break
            except TimeoutError:
                yield Match(part.where, None, f"pattern {pattern}", f"could not be searched within {SEARCH_S:g} s")
                return


def matches_pattern(pattern: str, text: str) -> bool:
    """Tell whether a pattern matches, ignoring case; raises TimeoutError if the search takes too long."""
    return _compiled(pattern, ignore_case=True).search(text, timeout=SEARCH_S) is not None


@cache
def _compiled(pattern: str, ignore_case: bool) -> regex.Pattern[str]:
    return regex.compile(pattern, regex.MULTILINE | (regex.IGNORECASE if ignore_case else 0))


class TopicCheck(Check):
    """Words and phrases as they are written in the rule."""

    words: Phrases

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each place of a forbidden word, and whether the context has the word too."""
        document = words_of(looked_at.document)
        matches = []
        for phrase in self.words:
            folded = folded_words(phrase)
            in_document = next(runs_of(folded, document), None) is not None if looked_at.task else None
            matches += [
                Match(part.where, word.line, "forbidden words", phrase, in_document)
                for part in looked_at.parts
                for word in runs_of(folded, words_of(part.text))
            ]
        return MatchReport(tuple(matches))

    def says(self) -> str:
        """Name the words."""
        return "none of the words: " + ", ".join(self.words)
