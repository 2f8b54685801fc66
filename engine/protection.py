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

from engine.bank.job import Companions, TrainingSequence, rate_at, steps_of
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

GOLDEN = (math.sqrt(5) - 1) / 2
LEAST_FOR_CURVATURE = 32  # anchors; fewer say too little about what a model knows
# In these coordinates a step does less: nothing moves far where the model knows much. A fresh LoRA, which begins with
# B = 0, where A has no gradient, learns less still.
CURVED_RATE = 1.3
FRESH_RATE = 1.5
TRIMMED = 0.2  # about 14 % of the changes
# An adapter grows with every edit, and with it what it costs the base's knowledge. So each update gives back this share
# of both its factors, step by step, while what is trained beside it learns again what is still wanted.
DECAYED = 0.02
# The more edits there are, the more there is to lose, and the sooner an adapter that has learnt many learns another: so
# what stands beside it weighs more. After so many edits the weight of earlier ones has doubled, and that of anchors.
EDITS_TO_DOUBLE_REPLAY, EDITS_TO_DOUBLE_ANCHORS = 16, 32


@dataclass(frozen=True, slots=True)
class Protection:
    """Sequences that updates draw companions from, and the coordinates that they are trained in (None: plain ones).

    `edits` counts the edits that updates build on. `described` is what the records of an inner update say about it;
    empty where nothing is protected.
    """

    replayed: tuple[TrainingSequence, ...] = ()
    anchors: tuple[TrainingSequence, ...] = ()
    coordinates: Coordinates | None = None
    edits: int = 0
    described: dict[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """What the learning rate is multiplied by; the first update starts from a fresh adapter."""
        if self.coordinates is None:
            return 1.0
        return CURVED_RATE if self.edits else CURVED_RATE * FRESH_RATE

    def recipe(self, recipe: Recipe, sequences: int) -> Recipe:
        """Return a recipe as it is under this protection, for an update on so many sequences."""
        if self.coordinates is None:
            return recipe
        faster = replace(recipe, learning_rate=recipe.learning_rate * self.rate, trimmed=TRIMMED)
        steps = steps_of(faster, sequences)
        moved = sum(rate_at(step, steps, faster) for step in range(steps))
        return replace(faster, weight_decay=recipe.weight_decay + DECAYED / moved if moved else recipe.weight_decay)

    def companions(self, replayed: int, anchors: int, anchor_weight: float) -> tuple[Companions, ...]:
        """Return what is trained beside each step: so many of each, where there are any."""
        groups = (
            (self.replayed, replayed, 1.0 + self.edits / EDITS_TO_DOUBLE_REPLAY),
            (self.anchors, anchors, anchor_weight * (1.0 + self.edits / EDITS_TO_DOUBLE_ANCHORS)),
        )
        return tuple(
            Companions(sequences, each_step, weight, first=self._first(sequences))
            for sequences, each_step, weight in groups
            if sequences and each_step
        )

    def _first(self, sequences: Sequence[TrainingSequence]) -> int:
        """Where the turns of this edit begin: far from where those of the edits before it did.

        Multiples of the golden ratio spread best over a circle, however many there are, so what one update had no room
        for comes up beside the next.
        """
        return int(len(sequences) * (self.edits * GOLDEN % 1.0))


def protection_on(session: Session, live_version: int | None) -> Protection:
    """Return what protects updates that start from a version (None: the base).

    Raises WrongUseError where a file in retention/ cannot be read.
    """
    settings, base = session.settings.protection, session.base
    line = line_of(session.db, live_version)
    replayed = _replayed(session, line, settings.replay_from) if settings.replay_ratio else ()
    texts = read_retention(session.workspace).anchors if settings.uses_anchors else ()
    anchors = tuple(sequence for text in texts if (sequence := anchor_sequence(base, text)) is not None)
    curved = settings.curvature and len(anchors) >= LEAST_FOR_CURVATURE
    coordinates, curvature_hash = cached_coordinates(session, anchors) if curved else (None, None)
    # Neighbours in a file are often about one thing, and would come up in one step.
    mixed = sorted(anchors, key=lambda one: hash_json(list(one.tokens))) if settings.anchor_ratio else ()
    protection = Protection(replayed, tuple(mixed), coordinates, len(line))
    described = {
        "replayed": {"sequences": len(replayed), "of": [version.tag for version in line]} if replayed else None,
        "anchors": {"texts": len(anchors), "hash": hash_json(list(texts))} if anchors else None,
        "curvature": curvature_hash,
        "rate": protection.rate if curved else None,
        "trimmed": TRIMMED if curved else None,
        "decayed": DECAYED if curved else None,
    }
    return replace(protection, described={key: value for key, value in described.items() if value is not None})


def beside_each_step(settings: ProtectionSettings, batch_size: int) -> tuple[int, int, float]:
    """How many earlier sequences and anchors stand beside a step of so many sequences, and what the anchors weigh."""
    replayed, anchors = (math.ceil(ratio * batch_size) for ratio in (settings.replay_ratio, settings.anchor_ratio))
    return replayed, anchors, settings.anchor_weight


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
