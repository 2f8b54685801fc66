"""Rounds: started, interrupted, resumed, finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from store.clock import utc_now
from store.database import execute, fetch_value, transaction
from store.errors import NothingToDoError, WrongUseError
from store.events import append_event
from store.hashing import canonical_json, hash_json
from store.records import Round
from store.rows import insert, select, to_row

if TYPE_CHECKING:
    from sqlite_utils import Database

_OUTCOME_FIELDS = frozenset({"state", "new_policy_version", "finished_at", "summary"})


def start_round(
    db: Database,
    *,
    seed: int,
    settings: dict[str, Any],
    live_version: int | None,
    policy_version: int | None,
    imported: bool = False,
) -> Round:
    """Start the next round. Raises WrongUseError if an earlier one is unfinished (imported rounds aside)."""
    with transaction(db):
        unfinished = open_round(db)
        if unfinished is not None and not imported:
            raise WrongUseError(
                f"Round {unfinished.number} is {unfinished.state}: finish it before starting another.",
                next_step="seal-console run resumes it.",
            )
        started = Round(
            number=next_round_number(db),
            state="running",
            seed=seed,
            settings=settings,
            started_at=utc_now(),
            live_version=live_version,
            policy_version=policy_version,
            imported=imported,
        )
        record_start(db, started)
    return started


def next_round_number(db: Database) -> int:
    """Return the number that the next round will have."""
    return int(fetch_value(db, "SELECT max(number) FROM rounds") or 0) + 1


def record_start(db: Database, started: Round) -> None:
    """Make the start of a round true."""
    with transaction(db):
        insert(db, "rounds", started)
        append_event(db, "round.started", {"number": started.number, "hash": hash_start(started)})


def resume_round(db: Database, number: int) -> Round:
    """Set an unfinished round to running. Raises WrongUseError if it is finished."""
    with transaction(db):
        _require_unfinished(get_round(db, number))
        execute(db, "UPDATE rounds SET state = 'running' WHERE number = ?", (number,))
        append_event(db, "round.resumed", {"number": number})
    return get_round(db, number)


def interrupt_round(db: Database, number: int) -> Round:
    """Set a running round to interrupted; the next run resumes it. Raises WrongUseError if it is finished."""
    with transaction(db):
        _require_unfinished(get_round(db, number))
        execute(db, "UPDATE rounds SET state = 'interrupted' WHERE number = ?", (number,))
        append_event(db, "round.interrupted", {"number": number})
    return get_round(db, number)


def finish_round(
    db: Database,
    number: int,
    state: Literal["done", "failed"],
    summary: dict[str, Any],
    new_policy_version: int | None = None,
) -> Round:
    """End a round. Raises WrongUseError if it has ended already."""
    with transaction(db):
        _require_unfinished(get_round(db, number))
        execute(
            db,
            "UPDATE rounds SET state = ?, summary = ?, new_policy_version = ?, finished_at = ? WHERE number = ?",
            (state, canonical_json(summary), new_policy_version, utc_now(), number),
        )
        finished = get_round(db, number)
        append_event(db, "round.finished", {"number": number, "outcome": outcome_of(finished)})
    return finished


def abandon_round(db: Database, number: int, actor: str, reason: str) -> Round:
    """End an unfinished round as failed; what was evaluated stays, and the next run begins a new round.

    The caller has the engine lock. Raises WrongUseError if the round has ended already, or without name or reason.
    """
    if not actor.strip():
        raise WrongUseError("Giving up a round needs the name of whoever does it.", next_step="--as NAME")
    if not reason.strip():
        raise WrongUseError("Giving up a round needs a reason, which is kept with it.", next_step='--reason "…"')
    with transaction(db):
        current = get_round(db, number)
        if current.imported:
            raise WrongUseError(f"Round {number} is imported: there is nothing to give up.")
        kept = fetch_value(db, "SELECT max(number) FROM policy_versions WHERE round_number = ?", (number,))
        append_event(db, "round.abandoned", {"number": number, "actor": actor, "reason": reason})
        return finish_round(db, number, "failed", {"abandoned": {"actor": actor, "reason": reason}}, kept)


def get_round(db: Database, number: int) -> Round:
    """Return one round. Raises WrongUseError if no round has this number."""
    found = select(db, Round, "SELECT * FROM rounds WHERE number = ?", (number,))
    if not found:
        raise WrongUseError(f"There is no round {number}.", next_step="seal-console rounds list")
    return found[0]


def latest_round(db: Database, *, imported: bool | None = False) -> Round:
    """Return the newest round, by default without imported rounds. Raises NothingToDoError if there is none."""
    rounds = list_rounds(db, imported=imported)
    if not rounds:
        raise NothingToDoError("No round has run in this workspace.", next_step="seal-console run --rounds 1")
    return rounds[-1]


def list_rounds(db: Database, *, imported: bool | None = None) -> list[Round]:
    """Return all rounds by number."""
    condition = "" if imported is None else f"WHERE imported = {int(imported)}"
    return select(db, Round, f"SELECT * FROM rounds {condition} ORDER BY number")  # noqa: S608


def open_round(db: Database) -> Round | None:
    """Return the round that is running or interrupted, if there is one; imported rounds never are."""
    found = select(db, Round, "SELECT * FROM rounds WHERE state IN ('running', 'interrupted') AND imported = 0")
    return found[0] if found else None


def hash_start(current: Round) -> str:
    """Return the hash of a round as it started."""
    return hash_json(to_row(current, without=_OUTCOME_FIELDS))


def outcome_of(finished: Round) -> dict[str, Any]:
    """Return how a round ended, as the event about it carries it."""
    return {name: value for name, value in to_row(finished).items() if name in _OUTCOME_FIELDS}


def _require_unfinished(current: Round) -> None:
    if current.finished_at is not None:
        raise WrongUseError(
            f"Round {current.number} ended as {current.state} at {current.finished_at}.",
            next_step="seal-console run --rounds 1 starts another.",
        )
