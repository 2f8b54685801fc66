"""The time at which a run is to end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from store.errors import TimeUpError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment in seconds since the epoch. A machine that sleeps or whose clock is set reaches it by its clock."""

    at: float
    clock: Callable[[], float] = time.time

    @property
    def passed(self) -> bool:
        """Whether the moment has come."""
        return self.clock() >= self.at

    def require_time(self) -> None:
        """Raise TimeUpError if the moment has come."""
        if self.passed:
            local = datetime.fromtimestamp(self.at).astimezone()
            raise TimeUpError(f"The time for this run was up at {local:%H:%M}.")
