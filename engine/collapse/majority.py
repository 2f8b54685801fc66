"""Majority vote as reward, as in SRT (arXiv 2505.21444): how far a candidate agrees with the others of its task.

Pure. It never looks at a gold answer, which is the point: this is what the product does not do, kept for the experiment
that shows why.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.alarms.majority import majority_answers
from engine.graders.normalise import comparable

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Vote:
    """One answer of one candidate."""

    candidate_id: str
    question_id: str
    text: str


def self_labelled_rewards(votes: Iterable[Vote]) -> dict[str, float]:
    """Return for each candidate the share (0 … 1) of its answers that are the majority's."""
    cast = list(votes)
    majority = majority_answers((vote.question_id, vote.text) for vote in cast)
    agreed: dict[str, list[bool]] = defaultdict(list)
    for vote in cast:
        agreed[vote.candidate_id].append(comparable(vote.text) == majority[vote.question_id])
    return {candidate_id: sum(of_candidate) / len(of_candidate) for candidate_id, of_candidate in agreed.items()}
