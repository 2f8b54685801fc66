"""A command-line value that is several names of a known few, as in `base,policy`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def several_of(known: Sequence[str]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Return an option's callback that splits at commas and refuses unknown names with a hint."""

    def convert(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        unknown = next((name for name in names if name not in known), None)
        if unknown is not None:
            nearest = get_close_matches(unknown, known, n=1, cutoff=0.5)
            hint = f"Did you mean '{nearest[0]}'?" if nearest else f"Choices: {', '.join(known)}."
            raise click.BadParameter(f"Unknown name '{unknown}'. {hint}", context, parameter)
        if not names:
            raise click.BadParameter(f"name at least one of {', '.join(known)}.", context, parameter)
        return names

    return convert
