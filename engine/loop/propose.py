"""The first half of the E-step: the policy writes self-edits, which become proposed candidates.

Each self-edit has its own seed, so the same policy, task and position give the same text whatever else is written, up
to the rounding of floating point in a batch of another size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domains.domain import loss_starts_of
from engine.generation.sampling import Sampling
from engine.runtime.progress import Progress
from engine.seeds import derive_seed
from engine.writers.local import LocalWriter
from engine.writers.writer import WritingRequest
from store.candidates import add_candidates, list_candidates
from store.clock import utc_now
from store.hashing import hash_json
from store.records import Candidate, Role, Round, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domains.domain import Domain
    from engine.loop.session import Session
    from engine.lora.adapter import Adapter
    from engine.settings.sections import SelfEditSettings
    from engine.writers.writer import Writer

_TASKS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """Who writes: an adapter of the policy (None: the base), its version if it was kept, and its hash."""

    adapter: Adapter | None
    version: int | None
    adapter_hash: str | None


@dataclass(frozen=True, slots=True)
class ProposalContext:
    """For which round, by which policy and in which role self-edits are written."""

    round: Round
    policy: Policy
    role: Role


def propose(session: Session, context: ProposalContext, tasks: Sequence[Task], per_task: int) -> list[Candidate]:
    """Let the policy write `per_task` self-edits for each task. What was written before an interruption is kept.

    Raises TimeUpError if the session's time is up before all are written.
    """
    current, policy = context.round, context.policy
    writer = LocalWriter(session.executor, policy.adapter, policy.adapter_hash)
    written = list_candidates(session.db, round_number=current.number, derived=False)
    known = {candidate.id: candidate for candidate in written}
    slots = [
        _Slot(_candidate_id(context, writer, task, position), task, position, _seed(session, task, position, current))
        for task in tasks
        for position in range(per_task)
    ]
    missing = [slot for slot in slots if slot.candidate_id not in known]
    for start in range(0, len(missing), _TASKS_AT_ONCE):
        part = missing[start : start + _TASKS_AT_ONCE]
        session.require_time()
        session.report(Progress("propose", len(slots) - len(missing) + start, len(slots), "self-edits"))
        texts = _write(writer, session.domain, session.settings.self_edit, part)
        new = [_candidate(session, context, writer, slot, text) for slot, text in zip(part, texts, strict=True)]
        add_candidates(session.db, new)
        known.update({candidate.id: candidate for candidate in new})
    session.report(Progress("propose", len(slots), len(slots), "self-edits"))
    return [known[slot.candidate_id] for slot in slots]


def write_self_edits(
    session: Session, policy: Adapter | None, positions: Sequence[tuple[Task, int]], round_number: int
) -> list[str]:
    """Sample one self-edit for each task and position, without recording anything."""
    writer = LocalWriter(session.executor, policy, None)
    seed = session.settings.round.seed
    slots = [
        _Slot("", task, position, derive_seed("self-edit", seed, round_number, task.id, position))
        for task, position in positions
    ]
    return _write(writer, session.domain, session.settings.self_edit, slots)


@dataclass(frozen=True, slots=True)
class _Slot:
    """A self-edit that is to be written."""

    candidate_id: str
    task: Task
    position: int
    seed: int


def _write(writer: Writer, domain: Domain, settings: SelfEditSettings, slots: Sequence[_Slot]) -> list[str]:
    requests = [
        WritingRequest(domain.prompt(slot.task), max_new_tokens=settings.max_new_tokens, seed=slot.seed)
        for slot in slots
    ]
    texts = []
    for writing in writer.write(requests, Sampling(settings.temperature, settings.top_p)):
        if writing.failure is not None:
            raise writing.failure
        texts.append(writing.text)
    return texts


def _seed(session: Session, task: Task, position: int, current: Round) -> int:
    return derive_seed("self-edit", session.settings.round.seed, current.number, task.id, position)


def _candidate_id(context: ProposalContext, writer: Writer, task: Task, position: int) -> str:
    current = context.round
    return hash_json([current.number, current.seed, writer.identity, context.role, task.id, position])


def _candidate(session: Session, context: ProposalContext, writer: Writer, slot: _Slot, completion: str) -> Candidate:
    current, task = context.round, slot.task
    settings, domain = session.settings.self_edit, session.domain
    examples = domain.compile(completion, task).examples
    return Candidate(
        id=slot.candidate_id,
        round_number=current.number,
        task_id=task.id,
        position=slot.position,
        role=context.role,
        edit_format=domain.edit_format,
        prompt=domain.prompt(task),
        completion=completion,
        sampling={
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_new_tokens": settings.max_new_tokens,
            "policy_adapter": writer.identity,
        },
        seed=slot.seed,
        state="proposed",
        created_at=utc_now(),
        sequences=[example.text for example in examples],
        loss_starts=loss_starts_of(examples),
        live_version=current.live_version,
        policy_version=context.policy.version,
    )
