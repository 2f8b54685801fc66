"""The M-step: supervised training of the policy on the self-edits that were kept, with loss on the self-edit only.

ReST^EM as in SEAL (arXiv 2506.10943, section 3.1). The policy goes on from the adapter that wrote the self-edits.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bank.job import InnerJob, InnerResult, TrainingSequence, spread_points
from engine.bank.training import InnerUpdateBank
from engine.loop.propose import Policy
from engine.lora.adapter import Adapter, fresh_adapter
from engine.lora.files import adapter_files
from engine.runtime.progress import Progress
from engine.seeds import derive_seed
from engine.session import Session, recipe_of
from store.adapter_files import ADAPTER_NAMES, hash_adapter
from store.durable import remove, write_folder
from store.errors import NothingToDoError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bank.job import InnerResult
    from engine.session import Session
    from store.records import Candidate, Round


def train_policy(session: Session, policy: Adapter | None, kept: Sequence[Candidate], round_number: int) -> InnerResult:
    """Train the next policy; returns its adapter and losses. Raises NothingToDoError where nothing was kept."""
    sequences = tuple(sequence for candidate in kept if (sequence := _sequence(session, candidate)) is not None)
    if not sequences:
        raise NothingToDoError("no self-edit was kept that the policy could be trained on")
    seed = derive_seed("policy", session.settings.round.seed, round_number)
    start = fresh_adapter(session.policy_spec, seed) if policy is None else policy
    job = InnerJob(
        f"policy of round {round_number}", sequences, recipe_of(session.settings.policy_training), seed, start
    )
    bank = InnerUpdateBank(session.base, session.policy_spec, slots=1)

    def tell(_: int) -> None:
        session.report(Progress("policy", bank.statistics.ticks, job.steps, "steps"))

    [result] = bank.train([job], on_tick=tell)
    return result


def _sequence(session: Session, candidate: Candidate) -> TrainingSequence | None:
    """Prompt and self-edit as one sequence; None for an empty self-edit, or one that the window has no room for."""
    base = session.base
    prompt = base.encode_prompt(candidate.prompt)
    completion = base.encode(candidate.completion)
    end = base.tokenizer.eos_token_id
    tokens = [*prompt, *completion, *([] if end is None else [int(end)])]
    if not completion or len(tokens) > base.window_tokens:
        return None
    return TrainingSequence(tuple(tokens), learnt_from=len(prompt))


_RECORD = "training.json"
_MOST_LOSSES = 200


@dataclass(frozen=True, slots=True)
class CandidatePolicy:
    """A policy without a version, and how its training went: steps, tokens, losses in nats per token."""

    policy: Policy
    training: dict[str, Any]


def candidate_policy(session: Session, current: Round, policy: Policy, kept: Sequence[Candidate]) -> CandidatePolicy:
    """Train the next policy, or take up the one that an interrupted round has trained already."""
    folder = _folder(session, current)
    if not folder.is_dir():
        result = train_policy(session, policy.adapter, kept, current.number)
        record = json.dumps(_training(result)).encode("utf-8")
        write_folder(folder, {**adapter_files(result.adapter, session.base.name), _RECORD: record})
    files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
    record_file = folder / _RECORD
    training = json.loads(record_file.read_bytes()) if record_file.is_file() else {}
    return CandidatePolicy(Policy(session.read(files, str(folder)), None, hash_adapter(files)), training)


def discard_candidate_policy(session: Session, current: Round) -> None:
    """Forget it: it is a version now, or was judged too weak."""
    folder = _folder(session, current)
    if folder.is_dir():
        remove(folder)


def _folder(session: Session, current: Round) -> Path:
    return session.workspace.cache_folder / f"policy-of-round-{current.number}"


def _training(result: InnerResult) -> dict[str, Any]:
    losses = [result.losses[place] for place in spread_points(len(result.losses), _MOST_LOSSES)]
    return {
        "steps": result.steps,
        "trained_tokens": result.tokens,
        "elapsed_s": result.elapsed_s,
        "losses": [loss if math.isfinite(loss) else None for loss in losses],
    }
