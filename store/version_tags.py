"""How versions are called: tag v0007 for number 7, p0003 for policy version 3; v0000 is the state before the first."""

from __future__ import annotations

import re

from store.errors import WrongUseError

_WRITTEN = re.compile(r"[vp]?0*(\d{1,9})")


def version_tag(number: int) -> str:
    """Return the tag of a version."""
    return f"v{number:04d}"


def policy_tag(number: int) -> str:
    """Return the tag of a policy version."""
    return f"p{number:04d}"


def live_name(number: int | None) -> str:
    """Return the name of a live version for a sentence."""
    return version_tag(number) if number else "v0000 (base)"


def state_name(number: int | None) -> str:
    """Return the name under which answers of a live version are recorded: its tag, or "base" if nothing is live."""
    return "base" if number is None else version_tag(number)


def tag_number(tag: str, letter: str) -> int | None:
    """Return the number of a tag that begins with `letter`, None for any other tag."""
    match = re.fullmatch(rf"{letter}(\d{{4,}})", tag)
    return int(match[1]) if match else None


def parse_number(written: str | int) -> int:
    """Return the number in "v0003", "p0003", "3" or 3. Raises WrongUseError for anything else."""
    match = _WRITTEN.fullmatch(str(written))
    if match is None:
        raise WrongUseError(
            f"{written!r} is not a version.", next_step="Write it as v0003 or 3; seal-console versions list lists all."
        )
    return int(match[1])
