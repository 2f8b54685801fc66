"""The M-step: supervised training of the policy on the self-edits that were kept, with loss on the self-edit only.

ReST^EM as in SEAL (arXiv 2506.10943, section 3.1). Training starts from the adapter that wrote the self-edits. A policy
that was trained but not judged yet lies in the cache, so that a crash costs no training.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.bank.job import FailedUpdate, InnerJob, InnerResult, RunningUpdate, TrainingSequence, spread_points
from engine.loop.propose import Policy
from engine.loop.session import Session, recipe_of
from engine.lora.adapter import Adapter, fresh_adapter
from engine.lora.files import adapter_files
from engine.runtime.progress import Progress
from engine.seeds import derive_seed
from engine.trackers.summary import PolicyTraining
from store.adapter_files import ADAPTER_NAMES, hash_adapter
from store.database import fetch_value
from store.durable import remove, write_folder
from store.errors import SealError
from store.events import append_event

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from store.records import Candidate, Round

_RECORD = "training.json"
_TRAINED = "policy.trained"
_MAX_LOSSES = 200


@dataclass(frozen=True, slots=True)
class CandidatePolicy:
    """A trained policy that has no version yet. `training` is None if its record was lost."""

    policy: Policy
    training: PolicyTraining | None


class PolicyTrainingError(SealError):
    """The policy cannot be trained on what was kept; the round ends with the policy that it began with."""


def train_policy(session: Session, policy: Adapter | None, kept: Sequence[Candidate], round_number: int) -> InnerResult:
    """Train the next policy; returns its adapter and losses. Raises PolicyTrainingError if it cannot be trained."""
    sequences = tuple(sequence for candidate in kept if (sequence := _sequence(session, candidate)) is not None)
    if not sequences:
        raise PolicyTrainingError("None of the kept self-edits fits the model's window together with its prompt.")
    seed = derive_seed("policy", session.settings.round.seed, round_number)
    start = fresh_adapter(session.policy_spec, seed) if policy is None else policy
    recipe = recipe_of(session.settings.policy_training)
    job = InnerJob(f"policy of round {round_number}", sequences, recipe, seed, start)

    def report(running: list[RunningUpdate]) -> None:
        for update in running:
            session.report(Progress("policy", update.step, update.steps, "steps"))
        session.require_time()

    def fail(failed: FailedUpdate) -> None:
        raise PolicyTrainingError(
            f"The policy's training diverged within {failed.steps} steps; "
            "lower policy_training.learning_rate in seal.yaml."
        )

    [result] = session.executor.train([job], session.policy_spec, on_running=report, on_failed=fail)
    session.report(Progress("policy", result.steps, result.steps, "steps"))
    return result


def candidate_policy(session: Session, current: Round, policy: Policy, kept: Sequence[Candidate]) -> CandidatePolicy:
    """Train the next policy, or take the one that an interrupted round has trained already.

    Raises PolicyTrainingError if it cannot be trained.
    """
    folder = _folder(session, current)
    if folder.is_dir() and not _is_as_trained(session.db, current, folder):
        session.say(f"{folder} is not the policy that round {current.number} has trained: it is trained again.")
        remove(folder)
    if not folder.is_dir():
        result = train_policy(session, policy.adapter, kept, current.number)
        for step, loss in enumerate(result.losses):
            session.tracker.metric("policy_loss", loss, current.number, step)
        record = json.dumps(asdict(_training(result))).encode("utf-8")
        trained = adapter_files(result.adapter, session.base.folder)
        write_folder(folder, {**trained, _RECORD: record})
        append_event(session.db, _TRAINED, {"round": current.number, "adapter_hash": hash_adapter(trained)})
    files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    record_file = folder / _RECORD
    training = PolicyTraining(**json.loads(record_file.read_bytes())) if record_file.is_file() else None
    return CandidatePolicy(Policy(session.read(files, str(folder)), None, hash_adapter(files)), training)


def _is_as_trained(db: Database, current: Round, folder: Path) -> bool:
    """Return whether the files of an unjudged policy have the hash that was recorded when it had been trained."""
    try:
        files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    except OSError:
        return False
    of_round = "kind = ? AND json_extract(payload, '$.round') = ?"
    sql = f"SELECT json_extract(payload, '$.adapter_hash') FROM events WHERE {of_round} ORDER BY sequence DESC LIMIT 1"  # noqa: S608
    recorded = fetch_value(db, sql, (_TRAINED, current.number))
    return bool(recorded == hash_adapter(files))


def discard_candidate_policy(session: Session, current: Round) -> None:
    """Delete it: it is a version now, or was not good enough."""
    folder = _folder(session, current)
    if folder.is_dir():
        remove(folder)


def _folder(session: Session, current: Round) -> Path:
    return session.workspace.candidate_policy_folder(current.number)


def _sequence(session: Session, candidate: Candidate) -> TrainingSequence | None:
    """Return prompt and self-edit as one sequence; None if the self-edit is empty or does not fit the window."""
    base = session.base
    prompt = base.encoder.prompt(candidate.prompt)
    completion = base.encoder.text(candidate.completion)
    tokens = [*prompt, *completion, *base.encoder.turn_end]
    if not completion or len(tokens) > base.window_tokens:
        return None
    return TrainingSequence(tuple(tokens), loss_start=len(prompt))


def _training(result: InnerResult) -> PolicyTraining:
    losses = [result.losses[place] for place in spread_points(len(result.losses), _MAX_LOSSES)]
    finite = [loss if math.isfinite(loss) else None for loss in losses]
    return PolicyTraining(result.steps, result.tokens, result.elapsed_s, finite)
