"""The one place that reads the time of day, so that tests can freeze it."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> str:
    """Return the time in UTC as ISO-8601 with milliseconds and a trailing "Z"."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_s(at: str) -> int:
    """Return whole seconds since 1970 of a time that `utc_now` wrote."""
    return int(datetime.fromisoformat(at).timestamp())
