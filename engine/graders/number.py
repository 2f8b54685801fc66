"""A number within a tolerance: the first number of the answer against the number of a gold answer.

Reads signs, decimals with a point, exponents, thousands separators (comma, apostrophe, thin or fixed space), a currency
sign before and any unit after. Does not read number words, "1.2 billion" as 1,200,000,000, or decimal commas: text such
as "1,5", "1.2.3" or "B12" holds no number.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from engine.graders.interface import FULL, MAX_ANSWER_CHARACTERS, ZERO, Grade, Options, is_number, unknown_options

if TYPE_CHECKING:
    from collections.abc import Sequence

_SEPARATORS = ",'’\u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"(?<![\w.,])(?P<sign>[-+−])?[$€£¥]?(?P<digits>(?:[0-9]{{1,3}}(?:[{_SEPARATORS}][0-9]{{3}})+|[0-9]+)(?:\.[0-9]+)?"
    r"|\.[0-9]+)(?P<exponent>[eE][-+]?[0-9]{1,3}(?![0-9]))?(?![.,]?[0-9])"
)
_NO_SEPARATORS = str.maketrans("", "", _SEPARATORS)
_TOLERANCES = ("abs_tolerance", "rel_tolerance")


class NumberGrader:
    """Right within `abs_tolerance` or `rel_tolerance` (a share of the gold number); both are 0 where not given."""

    name = "number"

    def check_options(self, options: Options) -> list[str]:
        """Both tolerances must be numbers of at least 0."""
        problems = unknown_options(options, _TOLERANCES)
        for key in _TOLERANCES:
            value = options.get(key, 0)
            if not is_number(value) or value < 0:
                problems.append(f"{key} must be a number of at least 0 (is {value!r})")
        return problems

    def grade(self, answer: str, gold: Sequence[str], options: Options) -> Grade:
        """Grade by the distance of the numbers, computed exactly."""
        given = first_number(answer)
        if given is None:
            return ZERO
        wanted = [number for number in map(first_number, gold) if number is not None]
        return FULL if any(_is_near(given, number, options) for number in wanted) else ZERO


def first_number(text: str) -> Fraction | None:
    """Return the first number in a text (of which only the beginning is read), or None."""
    match = _NUMBER.search(text[:MAX_ANSWER_CHARACTERS])
    if match is None:
        return None
    sign = "-" if match["sign"] in {"-", "−"} else ""
    return Fraction(Decimal(sign + match["digits"].translate(_NO_SEPARATORS) + (match["exponent"] or "")))


def _is_near(given: Fraction, wanted: Fraction, options: Options) -> bool:
    absolute = _exact(options.get("abs_tolerance", 0))
    relative = _exact(options.get("rel_tolerance", 0))
    return abs(given - wanted) <= max(absolute, relative * abs(wanted))


def _exact(value: float) -> Fraction:
    """Take 0.1 as it was written, not as the nearest binary number."""
    return Fraction(str(value))
