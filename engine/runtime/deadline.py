"""The time at which a run is to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.clock import local_time, now_s
from store.errors import TimeUpError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment in seconds since 1970, by the clock of the machine: also if it sleeps, or its clock is set."""

    at: float
    clock: Callable[[], float] = now_s

    def require_time(self) -> None:
        """Raise TimeUpError if the moment has come."""
        if self.clock() >= self.at:
            raise TimeUpError(
                f"The time for this run was up at {local_time(self.at)}.",
                next_step="seal-console run resumes the round.",
            )
