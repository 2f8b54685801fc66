"""A tracker that appends one JSON object for each report to a file, for whatever reads such logs.

A line that cannot be written is dropped, because tracking must not fail a round; the first one is reported. An
interrupted round that is resumed reports again, as `resumed`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.trackers.summary import published
from store.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.trackers.summary import RoundSummary


@dataclass(slots=True)
class JsonLinesTracker:
    """Appends to `path`; `warn` gets one sentence if a line cannot be written."""

    path: Path
    warn: Callable[[str], None]
    _failed: bool = field(default=False, init=False)

    def round_began(self, number: int, *, train_tasks: int, held_out_tasks: int, resumed: bool) -> None:
        """Append the round's number, the sizes of its task sets, and whether it was interrupted before."""
        sizes = {"train_tasks": train_tasks, "held_out_tasks": held_out_tasks}
        self._append("round_began", {"round": number, **sizes, "resumed": resumed})

    def metric(self, name: str, value: float, round_number: int, step: int | None = None) -> None:
        """Append one figure."""
        of = {"round": round_number} if step is None else {"round": round_number, "step": step}
        self._append("metric", {"name": name, "value": value, **of})

    def artefact(self, kind: str, name: str, content_hash: str) -> None:
        """Append what was made."""
        self._append("artefact", {"kind": kind, "name": name, "hash": content_hash})

    def round_ended(self, number: int, summary: RoundSummary, new_policy_version: int | None) -> None:
        """Append the summary."""
        shown = {"new_policy_version": new_policy_version, "summary": published(summary.as_json())}
        self._append("round_ended", {"round": number, **shown})

    def _append(self, event: str, values: dict[str, Any]) -> None:
        line = json.dumps({"event": event, "at": utc_now(), **values}, ensure_ascii=False)
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            if not self._failed:
                self._failed = True
                self.warn(f"tracking.file: cannot write to {self.path}: {error.strerror}. Figures are missing there.")
