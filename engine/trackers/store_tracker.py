"""The tracker that is always on: the workspace's own store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from store.rounds import finish_round

if TYPE_CHECKING:
    from sqlite_utils import Database

    from engine.trackers.summary import RoundSummary


@dataclass(frozen=True, slots=True)
class StoreTracker:
    """Writes the row that makes a round finished. Candidates, policy versions and events are in the store already."""

    db: Database

    def round_began(self, number: int, *, train_tasks: int, held_out_tasks: int, resumed: bool) -> None:
        """Do nothing: the round's row was written when it started."""

    def metric(self, name: str, value: float, round_number: int, step: int | None = None) -> None:
        """Do nothing: the summary holds the figures."""

    def artefact(self, kind: str, name: str, content_hash: str) -> None:
        """Do nothing: each version has its own row."""

    def round_ended(self, number: int, summary: RoundSummary, new_policy_version: int | None) -> None:
        """Finish the round."""
        finish_round(self.db, number, "done", summary.as_json(), new_policy_version)
