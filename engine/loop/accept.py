"""Accepts an evaluated candidate: its cached adapter becomes the live version. Needs no model, so it loads no torch.

Automatic acceptance makes the best candidate of a round live without a person, if the settings say so: never while an
alarm is active, never a candidate that needs review, and never twice in one round, even if a crash came in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.gates.names import RACING_GATE
from engine.loop.candidate_cache import cached_adapter
from engine.trackers.summary import Acceptance
from store import versions
from store.alarms import active_alarms
from store.candidates import gates_needing_review, gates_of, get_candidate, list_candidates
from store.database import fetch_value, transaction
from store.errors import SealError, WrongUseError
from store.events import append_event
from store.intents import UnrecordedChangeError
from store.ranking import candidate_rank
from store.rounds import get_round
from store.version_rows import live_version
from store.version_tags import live_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlite_utils import Database

    from engine.settings.sections import AcceptanceSettings
    from store.alarms import Alarm
    from store.records import Candidate, Round, Version
    from store.workspace import Workspace


def accept_candidate(workspace: Workspace, db: Database, candidate_id: str, *, actor: str, reason: str) -> Version:
    """Make a candidate, named by its id or the beginning of it, the live version.

    Raises WrongUseError if it cannot be accepted or its adapter is no longer in the cache, LockedError if another
    process is writing.
    """
    candidate = get_candidate(db, candidate_id)
    base = get_round(db, candidate.round_number).settings.get("base", {})
    if candidate.adapter_hash is not None and not base:
        raise WrongUseError(
            f"Round {candidate.round_number} does not record its base, so candidate {candidate.id} cannot be accepted.",
            next_step="seal-console run --rounds 1 makes candidates that can.",
        )
    # Without an adapter the store refuses, and says why: not evaluated, or imported.
    files = {} if candidate.adapter_hash is None else cached_adapter(workspace, candidate.adapter_hash)
    return versions.accept(workspace, db, candidate.id, files, base, actor=actor, reason=reason)


ACTOR = "automatic"


def accept_best(workspace: Workspace, db: Database, current: Round, settings: AcceptanceSettings) -> Acceptance | None:
    """Make the best candidate of a round live, or say why not; None if that is left to people."""
    if not settings.automatic:
        return None
    done = _accepted_already(db, current)
    if done is not None:
        return done
    candidates = list_candidates(db, round_number=current.number, role="train", derived=False)
    held = {one.id for one in candidates if gates_needing_review(db, one.id)}
    # A reward over fewer repeats than the others' is no ground for going live without a person.
    held |= {one.id for one in candidates if any(gate.gate == RACING_GATE for gate in gates_of(db, one.id))}
    best = best_acceptable(candidates, held, settings)
    if best is None:
        return Acceptance(f"No candidate of round {current.number} may be accepted automatically.")
    if alarms := active_alarms(db):
        return _withheld(db, current, best, alarms)
    live = live_version(db)
    if live != current.live_version:
        moved = f"{live_name(live)} went live during round {current.number}"
        return Acceptance(f"{moved}, so its candidates are not accepted automatically.", best.id)
    return _accept(workspace, db, current, best)


def best_acceptable(
    candidates: Sequence[Candidate], held: Collection[str], settings: AcceptanceSettings
) -> Candidate | None:
    """Return the best candidate (see `store.ranking`) that may go live without a person, None if there is none."""
    allowed = [one for one in candidates if one.id not in held and _allowed(one, settings)]
    return min(allowed, key=candidate_rank, default=None)


def _allowed(candidate: Candidate, settings: AcceptanceSettings) -> bool:
    if candidate.state != "examined" or candidate.role != "train" or candidate.adapter_hash is None:
        return False
    reward, audit = candidate.reward_mean, candidate.audit_gain
    if reward is None or (settings.min_reward is not None and reward <= settings.min_reward):
        return False
    return settings.min_audit_gain is None or (audit is not None and audit >= settings.min_audit_gain)


def _accepted_already(db: Database, current: Round) -> Acceptance | None:
    sql = (
        "SELECT {} FROM versions JOIN candidates ON candidates.id = versions.candidate_id "
        "WHERE candidates.round_number = ? AND versions.accepted_by = ?"
    )
    tag, candidate = (
        fetch_value(db, sql.format(column), (current.number, ACTOR)) for column in ("versions.tag", "candidates.id")
    )
    return None if tag is None else Acceptance(f"Accepted automatically as {tag}.", candidate, tag)


def _withheld(db: Database, current: Round, best: Candidate, alarms: Sequence[Alarm]) -> Acceptance:
    numbers = tuple(alarm.id for alarm in alarms)
    with transaction(db):
        known = "SELECT 1 FROM events WHERE kind = 'acceptance.withheld' AND json_extract(payload, '$.round') = ?"
        if fetch_value(db, known, (current.number,)) is None:
            payload = {"round": current.number, "candidate": best.id, "alarms": list(numbers)}
            append_event(db, "acceptance.withheld", payload)
    named = ", ".join(f"{alarm.id} “{alarm.name}” of round {alarm.round_number}" for alarm in alarms)
    active = "An alarm is active" if len(alarms) == 1 else f"{len(alarms)} alarms are active"
    sentence = f"{active}, so nothing is accepted automatically: {named}."
    return Acceptance(
        f"{sentence} To clear it: seal-console alarms clear {numbers[0]} --reason “…”", best.id, None, numbers
    )


def _accept(workspace: Workspace, db: Database, current: Round, best: Candidate) -> Acceptance:
    audit = "not measured" if best.audit_gain is None else f"{best.audit_gain:+.3f}"
    reason = (
        f"best of round {current.number}: reward {best.reward_mean:+.3f}, audit gain {audit}; "
        "all gates passed, no alarm is active"
    )
    try:
        version = accept_candidate(workspace, db, best.id, actor=ACTOR, reason=reason)
    except UnrecordedChangeError as error:
        return Acceptance(f"Accepted automatically, but {error.message}", best.id, error.tag)
    except SealError as error:
        # The round has done its work; a candidate that could not be accepted still waits for a person.
        return Acceptance(f"Not accepted automatically: {error.message}", best.id)
    return Acceptance(f"Accepted automatically as {version.tag}: {reason}.", best.id, version.tag)
