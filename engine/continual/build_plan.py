"""Builds the replay plan of a workspace from its accepted edits and the anchors in `retention/`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine.bank.encode import encode_example
from engine.continual.curvature import cached_preconditioner
from engine.continual.distillation import DistilledExample, cached_distillation
from engine.continual.own_answers import cached_own_answers
from engine.continual.perturbed_anchors import perturb_anchors
from engine.continual.replay_plan import DECAY, NEWEST, TRIM_BELOW, ReplayPlan, naming_none_of
from engine.domains.domain import examples_of
from engine.retention.earlier import lineage
from engine.retention.reading import read_retention
from engine.retention.suites import Retention
from engine.runtime.progress import Report, ignore_progress
from store.candidates import get_candidate
from store.hashing import hash_json
from store.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from engine.bank.job import TrainingSequence
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.domains.domain import Domain, TrainingExample
    from engine.executors.executor import Executor
    from engine.model.base import BaseModel
    from engine.settings.sections import ProtectionSettings
    from store.records import Candidate, Version
    from store.workspace import Workspace

MIN_ANCHORS = 32  # fewer say too little about what a model knows, and about which of their words are names


@dataclass(frozen=True, slots=True)
class MeasuredAnchors:
    """What was measured about a base on its anchors, with the hashes of what each depends on; None: not measured."""

    preconditioner: KroneckerPreconditioner | None = None
    curvature_hash: str | None = None
    distilled: tuple[DistilledExample, ...] = ()
    distilled_hash: str | None = None


def measure_anchors(
    base: BaseModel,
    anchors: Sequence[TrainingSequence],
    settings: ProtectionSettings,
    cache_folder: Path,
    report: Report = ignore_progress,
) -> MeasuredAnchors:
    """Measure what the settings need about a base, once; with fewer than MIN_ANCHORS anchors, nothing."""
    uses_perturbed = bool(settings.perturbed_ratio)
    if len(anchors) < MIN_ANCHORS or not (settings.curvature or uses_perturbed):
        return MeasuredAnchors()
    perturbed = perturb_anchors(base, anchors)
    preconditioner, curvature_hash = None, None
    if settings.curvature:
        preconditioner, curvature_hash = cached_preconditioner(base, cache_folder, anchors, perturbed, report)
    distilled, distilled_hash = list[DistilledExample](), None
    if uses_perturbed and perturbed:
        distilled, distilled_hash = cached_distillation(base, cache_folder, perturbed, report)
    return MeasuredAnchors(preconditioner, curvature_hash, tuple(distilled), distilled_hash)


def encode_anchors(base: BaseModel, domain: Domain, texts: Sequence[str]) -> list[TrainingSequence]:
    """Return anchors as sequences, shuffled by hash: neighbours in a file are often about the same thing."""
    encoded = (encode_example(base, domain.anchor(text)) for text in texts)
    return sorted((one for one in encoded if one is not None), key=lambda one: hash_json(list(one.tokens)))


@dataclass(frozen=True, slots=True)
class ReplayPlanner:
    """Builds replay plans for one workspace and base. `seed` decides which sequences are replayed."""

    db: Database
    workspace: Workspace
    base: BaseModel
    executor: Executor
    domain: Domain
    settings: ProtectionSettings
    seed: int
    report: Report = ignore_progress

    def plan(self, live_version: int | None) -> ReplayPlan:
        """Return the plan for updates that start from a version (None: the base).

        Raises WrongUseError if a file in retention/ cannot be read.
        """
        settings, cache = self.settings, self.workspace.cache_folder
        versions = lineage(self.db, live_version)
        edits = [get_candidate(self.db, version.candidate_id) for version in reversed(versions)]
        retention = read_retention(self.workspace) if settings.uses_anchors else Retention()
        texts = self._anchor_texts(retention)
        anchors = encode_anchors(self.base, self.domain, texts)
        known = measure_anchors(self.base, anchors, settings, cache, self.report)
        newest, older = self._replayed(edits) if settings.replay_ratio else ((), ())
        plan = ReplayPlan(
            older,
            newest,
            tuple(anchors) if settings.anchor_ratio else (),
            tuple(_without_exam_names(known.distilled, edits, retention)),
            known.preconditioner,
            len(versions),
        )
        hashes = {
            "anchors": hash_json(texts),
            "perturbed": known.distilled_hash,
            "curvature": known.curvature_hash,
        }
        return replace(plan, described=_described(plan, versions, len(anchors), hashes))

    def _anchor_texts(self, retention: Retention) -> list[str]:
        """Return the anchors that were written, and the base's own answers to the prompts that ask for more."""
        prompts, cache = retention.anchor_prompts, self.workspace.cache_folder
        own = cached_own_answers(self.executor, self.domain, prompts, cache, self.report)
        return list(dict.fromkeys((*retention.anchors, *own)))

    def _replayed(
        self, newest_first: Sequence[Candidate]
    ) -> tuple[tuple[TrainingSequence, ...], tuple[TrainingSequence, ...]]:
        """Return the sequences of the newest edits, and those of all earlier ones that are not among them."""
        examples = [self.domain.replayed(examples_of(one), get_task(self.db, one.task_id)) for one in newest_first]
        by_text = {one.text: one for of_edit in reversed(examples) for one in of_edit}
        texts = [[one.text for one in of_edit] for of_edit in examples]
        limit = self.settings.replay_from
        newest = round_robin_sample(texts[:NEWEST], limit, self.seed)
        before = [[text for text in of_edit if text not in newest] for of_edit in texts[NEWEST:]]
        older = round_robin_sample(before, limit - len(newest), self.seed)
        return self._encode(by_text[text] for text in newest), self._encode(by_text[text] for text in older)

    def _encode(self, examples: Iterable[TrainingExample]) -> tuple[TrainingSequence, ...]:
        encoded = (encode_example(self.base, one) for one in examples)
        return tuple(one for one in encoded if one is not None)


def round_robin_sample(of_edits: Sequence[Sequence[str]], limit: int, seed: int) -> list[str]:
    """Return at most `limit` sequences, an equal share of every edit; of each edit those of lowest hash with the seed.

    Edits keep their order, and a sequence that several edits hold is returned once.
    """
    ranked = [sorted(dict.fromkeys(of_edit), key=lambda text: hash_json([text, seed])) for of_edit in of_edits]
    longest = max(map(len, ranked), default=0)
    in_turn = dict.fromkeys(of_edit[rank] for rank in range(longest) for of_edit in ranked if rank < len(of_edit))
    return list(in_turn)[:limit]


def _described(
    plan: ReplayPlan, versions: Sequence[Version], anchors: int, hashes: dict[str, str | None]
) -> dict[str, Any]:
    """Return what the record of an inner update says; anchors are counted even if they are only measured."""
    replayed, perturbed = [*plan.newest, *plan.replayed], plan.perturbed_anchors
    preconditioned = plan.preconditioner is not None
    described = {
        "replayed": {"sequences": len(replayed), "of": [one.tag for one in versions]} if replayed else None,
        "anchors": {"texts": anchors, "hash": hashes["anchors"]} if anchors else None,
        "perturbed_anchors": {"texts": len(perturbed), "hash": hashes["perturbed"]} if perturbed else None,
        "curvature": hashes["curvature"],
        "rate": plan.rate if preconditioned else None,
        "trimmed": TRIM_BELOW if preconditioned else None,
        "decayed": DECAY if preconditioned else None,
    }
    return {key: value for key, value in described.items() if value is not None}


def _without_exam_names(
    distilled: Sequence[DistilledExample], edits: Sequence[Candidate], retention: Retention
) -> list[DistilledExample]:
    """Drop examples that mention an earlier edit or a suite prompt, so suites keep measuring unprotected knowledge."""
    texts = [text for edit in edits for text in edit.sequences]
    return naming_none_of(distilled, [*texts, *(prompt.text for prompt in retention.prompts)])
