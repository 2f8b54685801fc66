"""The one place that reads the time of day, so that tests can freeze it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def utc_now() -> str:
    """Return the time in UTC as ISO-8601 with milliseconds and a trailing "Z"."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now_s() -> float:
    """Return the seconds since 1970."""
    return datetime.now(UTC).timestamp()


def in_utc(moment_s: float) -> str:
    """Return seconds since 1970 in the form of `utc_now`."""
    moment = datetime.fromtimestamp(moment_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_time(moment_s: float) -> str:
    """Return seconds since 1970 as hour and minute of the local clock."""
    return f"{datetime.fromtimestamp(moment_s).astimezone():%H:%M}"


def next_occurrence(hour: int, minute: int, after_s: float) -> float:
    """Return the seconds since 1970 at which the local clock next shows a time of the day, after a moment."""
    local = datetime.fromtimestamp(after_s).astimezone().replace(tzinfo=None)
    then = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return (then if then > local else then + timedelta(days=1)).timestamp()


def epoch_s(at: str) -> int:
    """Return whole seconds since 1970 of a time that `utc_now` wrote."""
    return int(datetime.fromisoformat(at).timestamp())
