"""The messages that go between the console's parts."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message


@dataclass
class StoreChanged(Message):
    """Something in the workspace is not as it was: rows, or whether an engine runs."""

    rows: bool
    engine: bool


@dataclass
class ShowCandidate(Message):
    """Somebody wants to see a candidate in the review, from whichever screen."""

    candidate_id: str


@dataclass
class ShowVersion(Message):
    """Somebody wants to see a version (0: before the first) among the versions."""

    number: int
