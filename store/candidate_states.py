"""The states of a candidate and the moves between them: a pure table, and the sentence that refuses a wrong move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Candidate, CandidateState, Decision

ALLOWED_MOVES: dict[CandidateState, frozenset[CandidateState]] = {
    "proposed": frozenset({"examined", "refused"}),
    "examined": frozenset({"accepted", "rejected", "deferred"}),
    "deferred": frozenset({"accepted", "rejected"}),
    "accepted": frozenset(),
    "rejected": frozenset(),
    "refused": frozenset(),
}


def require_move(candidate: Candidate, target: CandidateState, decisions: Sequence[Decision]) -> None:
    """Raise WrongUseError unless `candidate` may become `target`; the message says who decided what, and when."""
    if target in ALLOWED_MOVES[candidate.state]:
        return
    message = f"Candidate {candidate.id} cannot become {target}: it is {candidate.state}"
    if candidate.state == "proposed":
        raise WrongUseError(f"{message}, not examined yet.", next_step="seal-console run examines it.")
    if candidate.state == "refused":
        raise WrongUseError(
            f"{message} by a gate.", next_step=f"seal-console review show {candidate.id} shows the gates' evidence."
        )
    if decisions:
        last = decisions[-1]
        message += f" since {last.decided_at}, by {last.actor} ({last.reason})"
    raise WrongUseError(f"{message}.", next_step="seal-console review list --state examined shows what is open.")
