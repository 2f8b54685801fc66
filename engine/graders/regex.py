"""A regular expression that is searched in the answer.

The pattern is an option; the gold answers stay readable examples of what it accepts. Python's `re` cannot be stopped
once it runs, so patterns that repeat a group which itself varies are refused, patterns have a maximal length, and an
answer is cut at its own. A hostile pattern may still be slow (several `.*` in a row); tasks come from the operator.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING

from engine.graders.interface import FULL, MAX_ANSWER_CHARACTERS, ZERO, Grade, Options, unknown_options

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERN_CHARACTERS = 300
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_REPEATED = re.compile(r"[*+]|\{\d*,?\d*\}")
_VARYING = re.compile(r"[*+|]|(?<!\()\?|\{\d*,\d*\}")


class RegexGrader:
    """Right where `pattern` (required) is found. Options: `ignore_case` (default true), `whole` (default false)."""

    name = "regex"

    def check_options(self, options: Options) -> list[str]:
        """`pattern` must compile and be tame; the two switches must be true or false."""
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

    def grade(self, answer: str, gold: Sequence[str], options: Options) -> Grade:  # noqa: ARG002 - the pattern decides
        """Grade by search, or by a match of the whole stripped answer where `whole` is true."""
        flags = re.IGNORECASE if options.get("ignore_case", True) else 0
        pattern = re.compile(options["pattern"], flags)
        text = answer.strip()[:MAX_ANSWER_CHARACTERS]
        found = pattern.fullmatch(text) if options.get("whole", False) else pattern.search(text)
        return FULL if found and text else ZERO


def _pattern_problem(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        return f"pattern is longer than {MAX_PATTERN_CHARACTERS} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        return f"pattern is no regular expression: {error}"
    if _repeats_what_varies(pattern):
        return "pattern repeats a group that itself repeats or chooses, which may take for ever; write it without"
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
