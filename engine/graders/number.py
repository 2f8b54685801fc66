"""The grader `number`: the first number of the answer must be within a tolerance of the number of an accepted answer.

It reads signs, decimals with a point, exponents, thousands separators (comma, apostrophe, any space), a currency sign
before and any unit after. It does not read number words, "1.2 billion" as 1,200,000,000, or decimal commas: text such
as "1,5", "1.2.3" or "B12" contains no number.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from engine.graders.interface import FULL, ZERO, Grade, Options, is_number, unknown_options
from engine.graders.text_form import canonical

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS = ",' "
_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>[-+])?[$€£¥]?(?P<digits>(?:[0-9]{{1,3}}(?:[{_SEPARATORS}][0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?"
    r"|\.[0-9]+)(?P<exponent>[eE][-+]?[0-9]{1,3}(?![0-9]))?(?![.,]?[0-9])"
)
_NO_SEPARATORS = str.maketrans("", "", _SEPARATORS)
_TOLERANCES = ("abs_tolerance", "rel_tolerance")


class NumberGrader:
    """Correct within `abs_tolerance` or `rel_tolerance` (a share of the accepted number); both are 0 by default."""

    name = "number"

    def check_options(self, options: Options) -> list[str]:
        """Check that both tolerances are numbers of at least 0."""
        problems = unknown_options(options, _TOLERANCES)
        for key in _TOLERANCES:
            value = options.get(key, 0)
            if not is_number(value) or value < 0:
                problems.append(f"{key} must be a number of at least 0 (is {value!r})")
        return problems

    def grade(self, answer: str, accepted: Sequence[str], options: Options) -> Grade:
        """Grade by the distance of the numbers, computed exactly."""
        answered = first_number(answer)
        if answered is None:
            return ZERO
        expected = [number for number in map(first_number, accepted) if number is not None]
        return FULL if any(_is_near(answered, number, options) for number in expected) else ZERO


def first_number(text: str) -> Fraction | None:
    """Return the first number in a text, or None."""
    match = _NUMBER.search(canonical(text))
    if match is None:
        return None
    sign = "-" if match["sign"] == "-" else ""
    return Fraction(Decimal(sign + match["digits"].translate(_NO_SEPARATORS) + (match["exponent"] or "")))


def _is_near(answered: Fraction, expected: Fraction, options: Options) -> bool:
    absolute = _exact(options.get("abs_tolerance", 0))
    relative = _exact(options.get("rel_tolerance", 0))
    return abs(answered - expected) <= max(absolute, relative * abs(expected))


def _exact(value: float) -> Fraction:
    """Take 0.1 as it was written, not as the nearest binary number."""
    return Fraction(str(value))
