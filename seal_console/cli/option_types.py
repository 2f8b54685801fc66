"""Types of options: text that is kept for good, such as names and reasons, and times of the day."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from typing import Any

import click

from store.clock import next_occurrence, now_s
from store.sanitize import sanitize_line

_MINUTES_OF_A_YEAR = 366 * 24 * 60


class OneLine(click.ParamType[str]):
    """A line of text: neither empty nor with control or direction characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text. Raises BadParameter, which names the option."""
        text = str(value)
        try:
            text = os.fsencode(text).decode("utf-8")  # in the locale C, Python reads UTF-8 as lone surrogates
        except UnicodeError:
            self.fail("it is not valid UTF-8.", param, ctx)
        if not text.strip():
            self.fail("it must not be empty.", param, ctx)
        strange = next((character for character in text if sanitize_line(character) != character), None)
        if strange is not None:
            name = unicodedata.name(strange, f"U+{ord(strange):04X}")
            self.fail(f"it must be one line without control characters (has {name}).", param, ctx)
        return text


class TimeOfDay(click.ParamType[float]):
    """A local time of the day, as its next occurrence in seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the moment. Raises BadParameter, which names the option."""
        found = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", str(value))
        if found is None:
            self.fail(f"{str(value)!r} is no time of the day; write it as in 06:00 or 18:30.", param, ctx)
        return next_occurrence(int(found[1]), int(found[2]), now_s())


class Minutes(click.ParamType[float]):
    """A number of minutes above 0, at most a year's."""

    name = "minutes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number. Raises BadParameter, which names the option."""
        try:
            minutes = float(value)
        except ValueError:
            minutes = math.nan
        if not 0 < minutes <= _MINUTES_OF_A_YEAR:
            self.fail(f"{str(value)!r} is no number of minutes above 0 and up to a year.", param, ctx)
        return minutes


ONE_LINE = OneLine()
MINUTES = Minutes()
TIME_OF_DAY = TimeOfDay()
