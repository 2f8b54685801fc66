"""Rounds one after another, until they are done or the time for them is up.

When the time is up no new inner update begins, and those under way are dropped. What has finished is examined, judged
and recorded: it is in the review queue. The round is interrupted, and the next run resumes it where it stopped. The
time may be exceeded by what is never broken off: one call of the model for text or answers, and the gates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.loop.finish_round import run_result
from engine.loop.round import run_round
from store.candidates import list_candidates
from store.clock import in_utc, local_time
from store.errors import TimeUpError
from store.rounds import open_round
from store.wording import counted

if TYPE_CHECKING:
    from engine.loop.session import Session
    from engine.runtime.deadline import Deadline


@dataclass(frozen=True, slots=True)
class TimeUp:
    """How far a run came before its time was up: `evaluated` of `candidates` for training tasks in the open `round`."""

    until: str
    round: int | None
    evaluated: int
    candidates: int
    said: str


def run_timed(session: Session, rounds: int) -> dict[str, Any]:
    """Run rounds, an unfinished one first; returns their result, with `time_up` if the session's deadline ended it."""
    finished = []
    for _ in range(rounds):
        try:
            session.require_time()
            finished.append(run_round(session))
        except TimeUpError:
            if session.deadline is None:
                raise
            ended = _describe(session, session.deadline, len(finished), rounds)
            return {**run_result(finished), "time_up": asdict(ended)}
    return {**run_result(finished), "time_up": None}


def _describe(session: Session, deadline: Deadline, finished: int, rounds: int) -> TimeUp:
    until, time = in_utc(deadline.at), local_time(deadline.at)
    unfinished = open_round(session.db)
    if unfinished is None:
        said = f"Time was up at {time}: {finished} of {counted(rounds, 'round')} finished."
        return TimeUp(until, None, 0, 0, said)
    candidates = list_candidates(session.db, round_number=unfinished.number, role="train", derived=False)
    evaluated = sum(one.state != "proposed" for one in candidates)
    written = f"{evaluated} of {counted(len(candidates), 'self-edit')} evaluated" if candidates else "nothing evaluated"
    said = (
        f"Time was up at {time}: round {unfinished.number} is interrupted with {written}. seal-console run resumes it."
    )
    return TimeUp(until, unfinished.number, evaluated, len(candidates), said)
