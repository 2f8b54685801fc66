"""The first half of the E-step: the policy writes self-edits, which become proposed candidates.

Every self-edit has its own seed, so the same policy, task and position give the same text whatever else is written, up
to the rounding of floating point in a batch of another size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domains.knowledge.compile import compile_sequences
from engine.domains.knowledge.templates import prompt_for
from engine.generation.decoding import GenerationRequest, Limits, generate
from engine.generation.sampling import Sampling
from engine.runtime.progress import Progress
from engine.seeds import derive_seed
from store.candidates import add_candidates, list_candidates
from store.clock import utc_now
from store.hashing import hash_json
from store.records import Candidate, Role, Round, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.session import Session

_AUTO_ROWS = {"cpu": 64, "cuda": 256}
_TASKS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """Who writes: an adapter of the policy (None: the base), its kept version if it has one, and its hash."""

    adapter: Adapter | None
    version: int | None
    adapter_hash: str | None


@dataclass(frozen=True, slots=True)
class ProposalContext:
    """For which round, by which policy and in which role self-edits are written."""

    round: Round
    policy: Policy
    role: Role


def propose(session: Session, occasion: ProposalContext, tasks: Sequence[Task], per_task: int) -> list[Candidate]:
    """Let the policy write `per_task` self-edits for each task; what a crash left is kept and not written again."""
    current = occasion.round
    written = list_candidates(session.db, round_number=current.number, derived=False)
    there = {candidate.id: candidate for candidate in written}
    wanted = [(task, position) for task in tasks for position in range(per_task)]
    ids = [_candidate_id(occasion, task, position) for task, position in wanted]
    missing = [pair for pair, candidate_id in zip(wanted, ids, strict=True) if candidate_id not in there]
    for at in range(0, len(missing), _TASKS_AT_ONCE):
        part = missing[at : at + _TASKS_AT_ONCE]
        session.report(Progress("propose", len(wanted) - len(missing) + at, len(wanted), "self-edits"))
        texts = write_self_edits(session, occasion.policy.adapter, part, current.number)
        new = [
            _candidate(session, occasion, task, position, text)
            for (task, position), text in zip(part, texts, strict=True)
        ]
        add_candidates(session.db, new)
        there.update({candidate.id: candidate for candidate in new})
    session.report(Progress("propose", len(wanted), len(wanted), "self-edits"))
    return [there[candidate_id] for candidate_id in ids]


def write_self_edits(
    session: Session, policy: Adapter | None, wanted: Sequence[tuple[Task, int]], round_number: int
) -> list[str]:
    """Sample one self-edit for each task and position."""
    base, settings = session.base, session.settings.self_edit
    requests = [
        GenerationRequest(
            tuple(base.encode_prompt(prompt_for(settings.format, task.title, task.context))),
            adapter=0,
            seed=_seed(session, task, position, round_number),
        )
        for task, position in wanted
    ]
    rows = _AUTO_ROWS.get(base.device.type, 64)
    limits = Limits(settings.max_new_tokens, base.stop_tokens, rows_per_batch=rows)
    tokens = generate(base, [policy], requests, limits, Sampling(settings.temperature, settings.top_p))
    return [base.tokenizer.decode(one, skip_special_tokens=True).strip() for one in tokens]


def _seed(session: Session, task: Task, position: int, round_number: int) -> int:
    return derive_seed("self-edit", session.settings.round.seed, round_number, task.id, position)


def _candidate_id(occasion: ProposalContext, task: Task, position: int) -> str:
    current = occasion.round
    return hash_json([current.number, current.seed, occasion.policy.adapter_hash, occasion.role, task.id, position])


def _candidate(session: Session, occasion: ProposalContext, task: Task, position: int, completion: str) -> Candidate:
    current, policy = occasion.round, occasion.policy
    settings = session.settings.self_edit
    return Candidate(
        id=_candidate_id(occasion, task, position),
        round_number=current.number,
        task_id=task.id,
        position=position,
        role=occasion.role,
        edit_format=settings.format,
        prompt=prompt_for(settings.format, task.title, task.context),
        completion=completion,
        sampling={
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_new_tokens": settings.max_new_tokens,
            "policy_adapter": policy.adapter_hash,
        },
        seed=_seed(session, task, position, current.number),
        state="proposed",
        created_at=utc_now(),
        sequences=compile_sequences(completion, title=task.title, context=task.context, splitting=settings.splitting),
        live_version=current.live_version,
        policy_version=policy.version,
    )
