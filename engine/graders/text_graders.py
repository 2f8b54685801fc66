"""The graders that compare texts: `exact`, `contains`, `squad`, `token_f1` and `regex`.

All but the last compare words in the form of `text_form`.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import regex

from engine.graders.interface import FULL, ZERO, Grade, Options, is_number, unknown_options
from engine.graders.text_form import comparable

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_THRESHOLD = 0.5
MAX_PATTERN_CHARACTERS = 300
SEARCH_S = 1.0
_CALLS_ITSELF = re.compile(r"\(\?(?:R|[+-]?\d+|&\w+|P>\w+)\)")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_REPEATED = re.compile(r"[*+]|\{\d*,?\d*\}")
_VARYING = re.compile(r"[*+|]|(?<!\()\?|\{\d*,\d*\}")


class ExactGrader:
    """Correct if the answer equals an accepted answer, in the form in which answers are compared. No options."""

    name = "exact"

    def check_options(self, options: Options) -> list[str]:
        """Refuse every option."""
        return unknown_options(options, ())

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - has none
        """Grade by equality."""
        text = comparable(answer)
        return FULL if text and any(text == comparable(one) for one in accepted) else ZERO


class ContainsGrader:
    """Correct if the words of an accepted answer are in the answer, in a row. No options.

    Lenient towards long answers: one that lists every possible value is correct. Keep answers short if that matters.
    """

    name = "contains"

    def check_options(self, options: Options) -> list[str]:
        """Refuse every option."""
        return unknown_options(options, ())

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - has none
        """Grade by containment."""
        words = comparable(answer).split()
        for one in accepted:
            expected = comparable(one).split()
            width = len(expected)
            if width and any(words[start : start + width] == expected for start in range(len(words) - width + 1)):
                return FULL
        return ZERO


class SquadGrader:
    """SQuAD's two measures: correct if the answer equals an accepted one; the score is the token F1. No options."""

    name = "squad"

    def check_options(self, options: Options) -> list[str]:
        """Refuse every option."""
        return unknown_options(options, ())

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - has none
        """Grade by the best of the accepted answers."""
        text = comparable(answer)
        expected = [comparable(one) for one in accepted]
        score = max((_f1(text.split(), one.split()) for one in expected), default=0.0)
        return Grade(score, correct=bool(text) and text in expected)


class TokenF1Grader:
    """Token F1, SQuAD's second measure: the overlap of words in any order; correct from `threshold` on.

    `threshold` is above 0 and at most 1, 0.5 by default. An answer that says the opposite in the same words ("not 30
    days") gets partial credit too.
    """

    name = "token_f1"

    def check_options(self, options: Options) -> list[str]:
        """Allow only `threshold`, a number above 0 and at most 1."""
        problems = unknown_options(options, ("threshold",))
        threshold = options.get("threshold", DEFAULT_THRESHOLD)
        if not is_number(threshold) or not 0 < threshold <= 1:
            problems.append(f"threshold must be a number above 0 and at most 1 (is {threshold!r})")
        return problems

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:
        """Grade by the best F1 over the accepted answers."""
        words = comparable(answer).split()
        score = max((_f1(words, comparable(one).split()) for one in accepted), default=0.0)
        return Grade(score, correct=score >= options.get("threshold", DEFAULT_THRESHOLD))


def _f1(words: list[str], expected: list[str]) -> float:
    shared = (Counter(words) & Counter(expected)).total()
    return 2 * shared / (len(words) + len(expected)) if shared else 0.0


class RegexGrader:
    """Correct if `pattern` (required) matches. Options: `ignore_case` (default true), `whole` (default false).

    The accepted answers are only readable examples of what the pattern accepts. The whole answer is searched. A pattern
    that repeats a group which itself varies is refused; a search of more than a second fails instead of giving a
    verdict that depends on the machine's speed.
    """

    name = "regex"

    def check_options(self, options: Options) -> list[str]:
        """Check that `pattern` compiles and is tame, and that the two switches are true or false."""
        problems = unknown_options(options, ("pattern", "ignore_case", "whole"))
        problems += [
            f"{switch} must be true or false (is {options[switch]!r})"
            for switch in ("ignore_case", "whole")
            if not isinstance(options.get(switch, False), bool)
        ]
        pattern = options.get("pattern")
        if not isinstance(pattern, str) or not pattern:
            return [*problems, "pattern is missing; it must be a regular expression as text"]
        problem = _pattern_problem(pattern)
        return [*problems, problem] if problem else problems

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - the pattern decides
        """Grade by search, or by a match of the whole stripped answer if `whole` is true."""
        flags = regex.IGNORECASE if options.get("ignore_case", True) else 0
        pattern = regex.compile(options["pattern"], flags)
        text = answer.strip()
        search = pattern.fullmatch if options.get("whole", False) else pattern.search
        found = search(text, timeout=SEARCH_S)
        return FULL if found and text else ZERO


def _pattern_problem(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"pattern is longer than {MAX_PATTERN_CHARACTERS} characters"
    try:
        compiled = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        return f"pattern is not a regular expression: {error}"
    if _CALLS_ITSELF.search(pattern):
        return "pattern calls itself, which may take all memory; rewrite it without"
    if _repeats_what_varies(pattern):
        return "pattern repeats a group that itself repeats or chooses, which may take forever; rewrite it without"
    if compiled.search("") is not None:
        return "pattern matches the empty answer"
    return None


def _repeats_what_varies(pattern: str) -> bool:
    """Tell whether a group that can match texts of several lengths or kinds is itself repeated."""
    text = _CLASS.sub("c", _ESCAPED.sub("e", pattern))
    group_varies: list[bool] = []
    for position, character in enumerate(text):
        if character == "(":
            group_varies.append(False)
        elif character == ")" and group_varies:
            varies = group_varies.pop()
            if varies and _REPEATED.match(text, position + 1):
                return True
            if group_varies:
                group_varies[-1] |= varies
        elif group_varies and _VARYING.match(text, position):
            group_varies[-1] = True
    return False
