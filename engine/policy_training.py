"""The M-step: supervised training of the policy on the self-edits that were kept, with loss on the self-edit only.

ReST^EM as in SEAL (arXiv 2506.10943, section 3.1). The policy goes on from the adapter that wrote the self-edits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bank.job import InnerJob, InnerResult, TrainingSequence
from engine.bank.training import InnerUpdateBank
from engine.lora.adapter import Adapter, fresh_adapter
from engine.progress import Progress
from engine.seeds import derive_seed
from engine.session import Session, recipe_of
from store.errors import NothingToDoError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Candidate


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
