"""Candidates: proposed, examined, and decided about; but acceptance, a matter of git too, is in versions.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from store.answers import answer_as_hashed
from store.candidate_states import require_move
from store.clock import utc_now
from store.database import execute, transaction
from store.errors import WrongUseError
from store.events import append_event
from store.hashing import hash_json
from store.intents import require_no_intent
from store.records import Answer, Candidate, CandidateState, Decision, GateResult, InnerUpdate, Role
from store.rows import full_id, insert, select, to_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

EXAMINED_FIELDS = frozenset({"state", "reward_mean", "reward_std", "audit_gain", "adapter_hash"})


def add_candidates(db: Database, candidates: Sequence[Candidate]) -> None:
    """Add proposed candidates, all or none. Raises WrongUseError if one is not in state proposed."""
    for candidate in candidates:
        if candidate.state != "proposed":
            raise WrongUseError(f"Candidate {candidate.id} cannot be added as {candidate.state}; it must be proposed.")
    with transaction(db):
        for candidate in candidates:
            insert(db, "candidates", candidate)
        if candidates:
            append_event(db, "candidates.added", {"hashes": {c.id: hash_proposal(c) for c in candidates}})


def list_candidates(
    db: Database,
    *,
    round_number: int | None = None,
    state: CandidateState | None = None,
    task_id: str | None = None,
    role: Role | None = None,
    imported: bool | None = None,
    derived: bool | None = None,
    limit: int | None = None,
) -> list[Candidate]:
    """Return the candidates that match all given conditions, by round, role, task and position.

    `derived` selects those that a person edited (True) or those that the policy wrote (False).
    """
    wanted = {
        "round_number": round_number,
        "state": state,
        "task_id": task_id,
        "role": role,
        "imported": None if imported is None else int(imported),
    }
    conditions = {column: value for column, value in wanted.items() if value is not None}
    parts = [f"candidates.{column} = ?" for column in conditions]
    parts += [] if derived is None else [f"candidates.derived_from IS {'NOT ' if derived else ''}NULL"]
    where = " AND ".join(parts) or "1"
    return select(
        db,
        Candidate,
        "SELECT candidates.* FROM candidates JOIN tasks ON tasks.id = candidates.task_id "  # noqa: S608
        f"WHERE {where} ORDER BY round_number, role DESC, tasks.rowid, position, candidates.rowid LIMIT ?",
        (*conditions.values(), -1 if limit is None else limit),
    )


def get_candidate(db: Database, wanted: str) -> Candidate:
    """Return the candidate whose id is `wanted` or starts with it. Raises WrongUseError with the ids that match."""
    candidate_id = full_id(db, "candidates", wanted, what="candidate", list_command="seal-console review list")
    return select(db, Candidate, "SELECT * FROM candidates WHERE id = ?", (candidate_id,))[0]


def record_examined(
    db: Database,
    candidate_id: str,
    *,
    updates: Sequence[InnerUpdate],
    answers: Sequence[Answer],
    gates: Sequence[GateResult],
    reward_mean: float | None,
    reward_std: float | None,
    audit_gain: float | None,
    adapter_hash: str | None,
) -> Candidate:
    """Record all measurements of a proposed candidate; it becomes examined, or refused if a gate stops it.

    Repeats that `record_repeats` has recorded already are not given again.
    """
    state: CandidateState = "refused" if any(gate.stops for gate in gates) else "examined"
    with transaction(db):
        candidate = get_candidate(db, candidate_id)
        require_move(candidate, state, decisions_of(db, candidate.id))
        _require_own(candidate.id, [*updates, *answers, *gates])
        for update in updates:
            insert(db, "inner_updates", update)
        for answer in answers:
            insert(db, "answers", answer)
        for gate in gates:
            insert(db, "gates", gate)
        examined = replace(
            candidate,
            state=state,
            reward_mean=reward_mean,
            reward_std=reward_std,
            audit_gain=audit_gain,
            adapter_hash=adapter_hash,
        )
        _update_examined(db, examined)
        append_event(db, "candidate.examined", {"id": candidate.id, "state": state, "hash": hash_exam(db, examined)})
    return examined


def record_repeats(db: Database, updates: Sequence[InnerUpdate], answers: Sequence[Answer]) -> None:
    """Record repeats of candidates that need more of them before they are examined.

    Raises WrongUseError if one is not proposed. The event of the examination covers these rows; until then none does.
    """
    with transaction(db):
        for candidate_id in dict.fromkeys(update.candidate_id for update in updates):
            _require_proposed(db, candidate_id)
        for update in updates:
            insert(db, "inner_updates", update)
        for answer in answers:
            insert(db, "answers", answer)


def forget_repeats(db: Database, candidate_id: str) -> None:
    """Delete what is recorded of a candidate's repeats, so that they are measured again.

    Raises WrongUseError if it is not proposed any more.
    """
    with transaction(db):
        _require_proposed(db, candidate_id)
        execute(db, "DELETE FROM answers WHERE candidate_id = ?", (candidate_id,))
        execute(db, "DELETE FROM inner_updates WHERE candidate_id = ?", (candidate_id,))


def _require_proposed(db: Database, candidate_id: str) -> None:
    candidate = get_candidate(db, candidate_id)
    if candidate.state != "proposed":
        raise WrongUseError(f"Candidate {candidate.id} is {candidate.state}: its repeats are settled.")


def reject(db: Database, candidate_id: str, actor: str, reason: str) -> Candidate:
    """Reject an examined or deferred candidate."""
    return _decide(db, candidate_id, Decision(candidate_id, "reject", actor, reason, utc_now()), "rejected")


def defer(db: Database, candidate_id: str, actor: str, reason: str) -> Candidate:
    """Defer an examined candidate; it can still be accepted or rejected."""
    return _decide(db, candidate_id, Decision(candidate_id, "defer", actor, reason, utc_now()), "deferred")


def decisions_of(db: Database, candidate_id: str) -> list[Decision]:
    """Return the decisions about a candidate, oldest first."""
    return select(db, Decision, "SELECT * FROM decisions WHERE candidate_id = ? ORDER BY id", (candidate_id,))


def inner_updates_of(db: Database, candidate_id: str) -> list[InnerUpdate]:
    """Return a candidate's inner updates by repeat."""
    return select(
        db, InnerUpdate, "SELECT * FROM inner_updates WHERE candidate_id = ? ORDER BY repeat", (candidate_id,)
    )


def gates_of(db: Database, candidate_id: str) -> list[GateResult]:
    """Return the gates' verdicts on a candidate."""
    return select(db, GateResult, "SELECT * FROM gates WHERE candidate_id = ? ORDER BY gate", (candidate_id,))


def gates_needing_review(db: Database, candidate_id: str) -> list[GateResult]:
    """Return the gates because of which only a person may accept a candidate."""
    return [gate for gate in gates_of(db, candidate_id) if gate.needs_review]


def answers_of(db: Database, candidate_id: str) -> list[Answer]:
    """Return the answers of a candidate's adapters, by repeat and question."""
    return select(
        db,
        Answer,
        "SELECT answers.* FROM answers JOIN questions ON questions.id = answers.question_id "
        "WHERE candidate_id = ? ORDER BY repeat, questions.task_id, questions.position, phase DESC",
        (candidate_id,),
    )


def require_words(actor: str, reason: str) -> None:
    """Raise WrongUseError if a decision has no author or no reason."""
    if not actor.strip():
        raise WrongUseError("A decision needs the name of its author.", next_step="--actor NAME")
    if not reason.strip():
        raise WrongUseError("A decision needs a reason, which is kept with it.", next_step='--reason "…"')


def hash_proposal(candidate: Candidate) -> str:
    """Return the hash of a candidate as it was proposed.

    `derived_from` is left out for candidates that the policy wrote, and `loss_starts` if it is empty, so that events
    older than these fields still verify.
    """
    absent = {name for name in ("derived_from", "loss_starts") if not getattr(candidate, name)}
    return hash_json(to_row(candidate, without=EXAMINED_FIELDS | absent))


def hash_exam(db: Database, candidate: Candidate) -> str:
    """Return the hash of all measurements of a candidate, from the rows and the candidate's own figures.

    `on_failure` is left out for a gate that stops, so that events older than this field still verify.
    """
    figures = {name: value for name, value in to_row(candidate).items() if name in EXAMINED_FIELDS - {"state"}}
    rows: list[dict[str, Any]] = [to_row(update) for update in inner_updates_of(db, candidate.id)]
    rows += [answer_as_hashed(answer) for answer in answers_of(db, candidate.id)]
    rows += [_gate_as_hashed(gate) for gate in gates_of(db, candidate.id)]
    return hash_json([figures, rows])


def _gate_as_hashed(gate: GateResult) -> dict[str, Any]:
    return to_row(gate, without=() if gate.on_failure is not None else ("on_failure",))


def set_state(db: Database, candidate_id: str, target: CandidateState, decision: Decision) -> None:
    """Set a decided state and keep the decision, in the caller's transaction; the caller has checked the move."""
    execute(db, "UPDATE candidates SET state = ? WHERE id = ?", (target, candidate_id))
    insert(db, "decisions", decision)


def _decide(db: Database, candidate_id: str, decision: Decision, target: CandidateState) -> Candidate:
    require_words(decision.actor, decision.reason)
    with transaction(db):
        candidate = get_candidate(db, candidate_id)
        if candidate.imported:
            raise WrongUseError(f"Candidate {candidate.id} is imported, so it cannot be decided on.")
        require_no_intent(db, candidate.id)
        decision = replace(decision, candidate_id=candidate.id)
        require_move(candidate, target, decisions_of(db, candidate.id))
        set_state(db, candidate.id, target, decision)
        append_event(db, f"candidate.{target}", {"decision": to_row(decision)})
    return replace(candidate, state=target)


def _update_examined(db: Database, examined: Candidate) -> None:
    row = to_row(examined)
    columns = sorted(EXAMINED_FIELDS)
    assignments = ", ".join(f"{column} = ?" for column in columns)
    execute(
        db,
        f"UPDATE candidates SET {assignments} WHERE id = ?",  # noqa: S608
        (*(row[column] for column in columns), examined.id),
    )


def _require_own(candidate_id: str, measured: Sequence[InnerUpdate | Answer | GateResult]) -> None:
    for part in measured:
        if part.candidate_id != candidate_id:
            raise ValueError(f"{type(part).__name__} of {part.candidate_id} given as one of {candidate_id}")
