"""The states of a candidate and the moves between them: pure tables, and the sentence that refuses a wrong move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.records import Candidate, CandidateState, Decision, DecisionAction

ALLOWED_MOVES: dict[CandidateState, frozenset[CandidateState]] = {
    "proposed": frozenset({"examined", "refused"}),
    "examined": frozenset({"accepted", "rejected", "deferred"}),
    "deferred": frozenset({"accepted", "rejected"}),
    "accepted": frozenset(),
    "rejected": frozenset(),
    "refused": frozenset(),
}
STATE_OF_ACTION: dict[DecisionAction, CandidateState] = {
    "accept": "accepted",
    "reject": "rejected",
    "defer": "deferred",
}


def decisions_in_force(decisions: Sequence[Decision]) -> list[Decision]:
    """Return the decisions about one candidate that are not undone, oldest first."""
    kept: list[Decision] = []
    for decision in decisions:
        if decision.action != "undo":
            kept.append(decision)
        elif kept:
            kept.pop()
    return kept


def decided_state(decisions: Sequence[Decision], undecided: CandidateState) -> CandidateState:
    """Return a candidate's state after its decisions; `undecided` if none of them is in force."""
    kept = decisions_in_force(decisions)
    return STATE_OF_ACTION[kept[-1].action] if kept else undecided


def require_move(candidate: Candidate, target: CandidateState, decisions: Sequence[Decision]) -> None:
    """Raise WrongUseError unless `candidate` may become `target`; the message names the decision and its author."""
    if target in ALLOWED_MOVES[candidate.state]:
        return
    message = f"Candidate {candidate.id} cannot become {target}: it is {candidate.state}"
    if candidate.state == "proposed":
        who_examines = (
            "seal-console run evaluates it, unless its round was given up."
            if candidate.derived_from is None
            else "Edit it again."
        )
        raise WrongUseError(f"{message}, not examined yet.", next_step=who_examines)
    if candidate.state == "refused":
        raise WrongUseError(
            f"{message} by a gate.", next_step=f"seal-console review show {candidate.id} shows the gates' evidence."
        )
    why = "" if candidate.state == target else f" cannot become {target}: it"
    if kept := decisions_in_force(decisions):
        last = kept[-1]
        since = f"has been {candidate.state} since {last.decided_at}, by {last.actor} ({last.reason})"
        message = f"Candidate {candidate.id}{why} {since}"
    elif candidate.state == target:
        message = f"Candidate {candidate.id} is {target} already"
    raise WrongUseError(
        f"{message}.", next_step="seal-console review list --state examined lists undecided candidates."
    )
