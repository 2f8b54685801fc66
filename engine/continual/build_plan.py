"""What protects the updates of a workspace, by what was accepted there and what stands in `retention/`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.bank.job import TrainingSequence
from engine.continual.curvature import cached_preconditioner
from engine.continual.distillation import DistilledExample, cached_distillation
from engine.continual.perturbed_anchors import perturb_anchors
from engine.continual.replay_plan import DECAYED, NEWEST, TRIMMED, ReplayPlan, naming_none_of
from engine.domains.knowledge.compile import answer_start, passage_sequence
from engine.retention.earlier import lineage
from engine.retention.reading import read_retention
from engine.retention.suites import Retention
from store.candidates import get_candidate
from store.hashing import hash_json
from store.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from engine.model.base import BaseModel
    from engine.session import Session
    from store.records import Candidate, Version

LEAST_ANCHORS = 32  # fewer say too little about what a model knows, and about which of their words are names


def build_replay_plan(session: Session, live_version: int | None) -> ReplayPlan:
    """Return what protects updates that start from a version (None: the base).

    Raises WrongUseError where a file in retention/ cannot be read.
    """
    settings, base = session.settings.protection, session.base
    line = lineage(session.db, live_version)
    edits = [get_candidate(session.db, version.candidate_id) for version in reversed(line)]
    retention = read_retention(session.workspace) if settings.uses_anchors else Retention()
    every = (anchor_sequence(base, text) for text in retention.anchors)
    anchors = sorted((one for one in every if one is not None), key=_mixed)
    measured = anchors if len(anchors) >= LEAST_ANCHORS else []
    made_up = perturb_anchors(base, measured) if settings.curvature or settings.perturbed_ratio else []
    curved = settings.curvature and measured
    coordinates, curvature_hash = cached_preconditioner(session, measured, made_up) if curved else (None, None)
    taught, taught_hash = cached_distillation(session, made_up) if settings.perturbed_ratio and made_up else ([], None)
    newest, older = _replayed(session, edits, settings.replay_from) if settings.replay_ratio else ((), ())
    protection = ReplayPlan(
        older,
        newest,
        tuple(anchors) if settings.anchor_ratio else (),
        tuple(_asked_by_nobody(taught, edits, retention)),
        coordinates,
        len(line),
    )
    hashes = {"anchors": hash_json(list(retention.anchors)), "lookalikes": taught_hash, "curvature": curvature_hash}
    return replace(protection, described=_described(protection, line, len(anchors), hashes))


def anchor_sequence(base: BaseModel, text: str) -> TrainingSequence | None:
    """Return an anchor as it is trained; of a question with its answer only the answer is learnt.

    None where the model's window leaves nothing of it to learn.
    """
    tokens = tuple(base.encode_training(text)[: base.window_tokens])
    start = answer_start(text)
    learnt_from = max(1, len(base.encode_start(text[:start])) if start else 1)
    return TrainingSequence(tokens, learnt_from) if len(tokens) > learnt_from else None


def round_robin_sample(of_edits: Sequence[Sequence[str]], most: int, seed: int) -> list[str]:
    """Return at most `most` sequences, an equal share of every edit; of an edit, those of lowest hash with the seed.

    Each sequence once, edits in the order given, also where several hold the same.
    """
    ranked = [sorted(dict.fromkeys(of_edit), key=lambda text: hash_json([text, seed])) for of_edit in of_edits]
    longest = max(map(len, ranked), default=0)
    in_turn = dict.fromkeys(of_edit[rank] for rank in range(longest) for of_edit in ranked if rank < len(of_edit))
    return list(in_turn)[:most]


def _described(
    protection: ReplayPlan, line: Sequence[Version], anchors: int, hashes: dict[str, str | None]
) -> dict[str, Any]:
    """Return what the records of an inner update say; anchors are counted also where they are only measured."""
    replayed, made_up = [*protection.newest, *protection.replayed], protection.lookalikes
    curved = protection.coordinates is not None
    described = {
        "replayed": {"sequences": len(replayed), "of": [version.tag for version in line]} if replayed else None,
        "anchors": {"texts": anchors, "hash": hashes["anchors"]} if anchors else None,
        "lookalikes": {"texts": len(made_up), "hash": hashes["lookalikes"]} if made_up else None,
        "curvature": hashes["curvature"],
        "rate": protection.rate if curved else None,
        "trimmed": TRIMMED if curved else None,
        "decayed": DECAYED if curved else None,
    }
    return {key: value for key, value in described.items() if value is not None}


def _asked_by_nobody(
    taught: Sequence[DistilledExample], edits: Sequence[Candidate], retention: Retention
) -> list[DistilledExample]:
    """Leave out what an earlier edit is about, and what a suite asks: that measures what nobody protected."""
    texts = [text for edit in edits for text in edit.sequences]
    return naming_none_of(taught, [*texts, *(prompt.text for prompt in retention.prompts)])


def _mixed(sequence: TrainingSequence) -> str:
    """A place in another order: neighbours in a file are often about one thing, and would come up in one step."""
    return hash_json(list(sequence.tokens))


def _replayed(
    session: Session, newest_first: Sequence[Candidate], most: int
) -> tuple[tuple[TrainingSequence, ...], tuple[TrainingSequence, ...]]:
    """Return the sequences of the newest edits, and those of all before that are not among them."""
    written = [_without_passage(session, candidate) for candidate in newest_first]
    newest = round_robin_sample(written[:NEWEST], most, session.settings.round.seed)
    before = [[text for text in of_edit if text not in newest] for of_edit in written[NEWEST:]]
    older = round_robin_sample(before, most - len(newest), session.settings.round.seed)
    return _as_sequences(session.base, newest), _as_sequences(session.base, older)


def _as_sequences(base: BaseModel, texts: Sequence[str]) -> tuple[TrainingSequence, ...]:
    sequences = [tuple(base.encode_training(text)[: base.window_tokens]) for text in texts]
    return tuple(TrainingSequence(tokens) for tokens in sequences if len(tokens) > 1)


def _without_passage(session: Session, candidate: Candidate) -> list[str]:
    """What the self-edit says: the passage is long, and says the same less plainly; alone it is better than nothing."""
    task = get_task(session.db, candidate.task_id)
    passage = passage_sequence(task.title, task.context)
    return [sequence for sequence in candidate.sequences if sequence != passage] or candidate.sequences
