"""What stands beside every inner update on one live version, so that little else is forgotten.

Sequences of earlier accepted edits and anchor texts of `retention/` are trained beside each step, and the adapter is
trained in the coordinates of what the base knows of the anchors (`bank/coordinates.py`). Where nothing was accepted and
there are no anchors, updates are what they would be without. Nothing here says that an update forgets little: the
retention gates do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.bank.job import Companions, TrainingSequence
from engine.curvature_cache import cached_coordinates
from engine.retention.earlier import line_of
from engine.retention.reading import read_retention
from engine.self_edit.compile import answer_start, passage_sequence
from store.candidates import get_candidate
from store.hashing import hash_json
from store.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bank.coordinates import Coordinates
    from engine.bank.job import Recipe
    from engine.model.base import BaseModel
    from engine.session import Session
    from engine.settings import ProtectionSettings
    from store.records import Candidate, Version

LEAST_FOR_CURVATURE = 32  # anchors; fewer say too little about what a model knows
# A fresh LoRA begins with B = 0, where A has no gradient: in these coordinates it learns too little at the same rate.
FRESH_RATE = 1.5


@dataclass(frozen=True, slots=True)
class Protection:
    """Sequences that updates draw companions from, and the coordinates that they are trained in (None: plain ones).

    `described` is what the records of an inner update say about it; empty where nothing is protected.
    """

    replayed: tuple[TrainingSequence, ...] = ()
    anchors: tuple[TrainingSequence, ...] = ()
    coordinates: Coordinates | None = None
    described: dict[str, Any] = field(default_factory=dict)

    def recipe(self, recipe: Recipe, *, is_fresh: bool) -> Recipe:
        """Return the recipe of an update, which starts from a fresh adapter or from an accepted one."""
        if self.coordinates is None or not is_fresh:
            return recipe
        return replace(recipe, learning_rate=recipe.learning_rate * FRESH_RATE)

    def companions(self, settings: ProtectionSettings, batch_size: int) -> tuple[Companions, ...]:
        """Return what is trained beside each step of `batch_size` sequences."""
        replayed, anchors = (math.ceil(one * batch_size) for one in (settings.replay_ratio, settings.anchor_ratio))
        found = [Companions(self.replayed, replayed)] if self.replayed and replayed else []
        if self.anchors and anchors:
            found.append(Companions(self.anchors, anchors, settings.anchor_weight))
        return tuple(found)


def protection_on(session: Session, live_version: int | None) -> Protection:
    """Return what protects updates that start from a version (None: the base).

    Raises WrongUseError where a file in retention/ cannot be read.
    """
    settings, base = session.settings.protection, session.base
    line = line_of(session.db, live_version) if settings.replay_ratio else []
    replayed = _replayed(session, line, settings.replay_from)
    texts = read_retention(session.workspace).anchors if settings.uses_anchors else ()
    anchors = tuple(sequence for text in texts if (sequence := anchor_sequence(base, text)) is not None)
    curved = settings.curvature and len(anchors) >= LEAST_FOR_CURVATURE
    coordinates, curvature_hash = cached_coordinates(session, anchors) if curved else (None, None)
    described = {
        "replayed": {"sequences": len(replayed), "of": [version.tag for version in line]} if replayed else None,
        "anchors": {"texts": len(anchors), "hash": hash_json(list(texts))} if anchors else None,
        "curvature": curvature_hash,
        "fresh_rate": FRESH_RATE if curved and live_version is None else None,
    }
    described = {key: value for key, value in described.items() if value is not None}
    return Protection(replayed, anchors if settings.anchor_ratio else (), coordinates, described)


def anchor_sequence(base: BaseModel, text: str) -> TrainingSequence | None:
    """Return an anchor as it is trained; of a question with its answer only the answer is learnt.

    None where the model's window leaves nothing of it to learn.
    """
    tokens = tuple(base.encode_training(text)[: base.window_tokens])
    start = answer_start(text)
    learnt_from = max(1, len(base.encode_start(text[:start])) if start else 1)
    return TrainingSequence(tokens, learnt_from) if len(tokens) > learnt_from else None


def drawn_in_turn(of_edits: Sequence[Sequence[str]], most: int, seed: int) -> list[str]:
    """Return at most `most` sequences, an equal share of every edit; of an edit, those of lowest hash with the seed.

    Each sequence once, edits in the order given, also where several hold the same.
    """
    ranked = [sorted(dict.fromkeys(of_edit), key=lambda text: hash_json([text, seed])) for of_edit in of_edits]
    longest = max(map(len, ranked), default=0)
    in_turn = dict.fromkeys(of_edit[rank] for rank in range(longest) for of_edit in ranked if rank < len(of_edit))
    return list(in_turn)[:most]


def _replayed(session: Session, line: Sequence[Version], most: int) -> tuple[TrainingSequence, ...]:
    base = session.base
    newest_first = [get_candidate(session.db, version.candidate_id) for version in reversed(line)]
    written = [_without_passage(session, candidate) for candidate in newest_first]
    texts = drawn_in_turn(written, most, session.settings.round.seed)
    sequences = [tuple(base.encode_training(text)[: base.window_tokens]) for text in texts]
    return tuple(TrainingSequence(tokens) for tokens in sequences if len(tokens) > 1)


def _without_passage(session: Session, candidate: Candidate) -> list[str]:
    """What the self-edit says: the passage is long, and says the same less plainly; alone it is better than nothing."""
    task = get_task(session.db, candidate.task_id)
    passage = passage_sequence(task.title, task.context)
    return [sequence for sequence in candidate.sequences if sequence != passage] or candidate.sequences
