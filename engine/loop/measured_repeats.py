"""What is measured of a candidate so far, repeat by repeat: in memory, in the store, and its adapter in the cache.

A repeat is recorded as soon as it is examined, so that a round that was interrupted does not measure it again. The
adapter of the first repeat, which the gates judge and which may go live, is read back from the cache when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.loop.candidate_cache import cached_adapter
from engine.loop.racing import Contender
from engine.loop.select import may_be_reinforced
from store.candidates import answers_of, forget_repeats, gates_of, inner_updates_of
from store.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlite_utils import Database

    from engine.loop.select import SelectionMode
    from engine.loop.session import Session
    from engine.lora.adapter import Adapter
    from store.records import Answer, Candidate, InnerUpdate


@dataclass(frozen=True, slots=True)
class MeasuredRepeat:
    """One repeat: its inner update, the answers of its exam, and its adapter while that is in memory."""

    update: InnerUpdate
    answers: list[Answer]
    adapter: Adapter | None = None
    is_recorded: bool = False


Repeats = dict[int, MeasuredRepeat]


def recorded_repeats(db: Database, candidate: Candidate) -> Repeats:
    """Return the repeats of a candidate that are in the store."""
    answers = [answer for answer in answers_of(db, candidate.id) if answer.phase == "after"]
    return {
        update.repeat: MeasuredRepeat(
            update, [answer for answer in answers if answer.repeat == update.repeat], is_recorded=True
        )
        for update in inner_updates_of(db, candidate.id)
    }


def resumed_repeats(session: Session, candidate: Candidate) -> Repeats:
    """Return what is recorded of a candidate that an interrupted round has begun to measure.

    If the adapter of its first repeat is no longer in the cache, this is forgotten, and the candidate begins again.
    """
    repeats = recorded_repeats(session.db, candidate)
    try:
        if repeats:
            first_adapter(session, repeats)
    except (SealError, KeyError):
        forget_repeats(session.db, candidate.id)
        return {}
    return repeats


def first_adapter(session: Session, repeats: Repeats) -> Adapter:
    """Return the adapter of the first repeat. Raises SealError if it is neither in memory nor in the cache."""
    first = repeats[0]
    if first.adapter is not None:
        return first.adapter
    hashed = first.update.adapter_hash or ""
    return session.read(cached_adapter(session.workspace, hashed), f"the adapter {hashed}")


def contender_of(candidate: Candidate, repeats: Repeats, reward_ids: Collection[str], *, is_judged: bool) -> Contender:
    """Return a candidate as the race sees it."""
    counts = (
        sum(answer.correct for answer in repeats[repeat].answers if answer.question_id in reward_ids)
        for repeat in sorted(repeats)
    )
    return Contender(candidate.id, candidate.position, tuple(counts), is_judged)


def is_out(db: Database, candidate: Candidate, mode: SelectionMode) -> bool:
    """Return whether the gates, or the race itself, have ruled out that an evaluated candidate is kept."""
    if candidate.state == "proposed":
        return False
    return candidate.reward_mean is None or not may_be_reinforced(gates_of(db, candidate.id), mode)
