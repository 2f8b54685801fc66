"""The port for trackers: what a round reports while it runs.

Values are typed, never prose. A tracker must not fail a round: whatever it does outside the store, it catches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.trackers.summary import RoundSummary


class Tracker(Protocol):
    """Follows rounds."""

    def round_began(self, number: int, *, train_tasks: int, held_out_tasks: int, resumed: bool) -> None:
        """Note that a round begins, or after an interruption that it is `resumed`."""
        ...

    def metric(self, name: str, value: float, round_number: int, step: int | None = None) -> None:
        """Note a figure of a round, or with `step` of a training step within it."""
        ...

    def artefact(self, kind: str, name: str, content_hash: str) -> None:
        """Note something that was made and can be found again, such as a policy version by its tag."""
        ...

    def round_ended(self, number: int, summary: RoundSummary, new_policy_version: int | None) -> None:
        """Note that a round is finished, and what it came to."""
        ...


class TrackerGroup:
    """Several trackers as one; they are called in their order."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def round_began(self, number: int, *, train_tasks: int, held_out_tasks: int, resumed: bool) -> None:
        """See `Tracker`."""
        for one in self._trackers:
            one.round_began(number, train_tasks=train_tasks, held_out_tasks=held_out_tasks, resumed=resumed)

    def metric(self, name: str, value: float, round_number: int, step: int | None = None) -> None:
        """See `Tracker`."""
        for one in self._trackers:
            one.metric(name, value, round_number, step)

    def artefact(self, kind: str, name: str, content_hash: str) -> None:
        """See `Tracker`."""
        for one in self._trackers:
            one.artefact(kind, name, content_hash)

    def round_ended(self, number: int, summary: RoundSummary, new_policy_version: int | None) -> None:
        """See `Tracker`."""
        for one in self._trackers:
            one.round_ended(number, summary, new_policy_version)
