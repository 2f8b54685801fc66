"""Training rows for the policy: prompt and self-edit of a round's best candidates, in the form that SEAL publishes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.loop.reward import reward_of_answers
from engine.loop.select import ScoredCandidate, SelectionMode, may_be_reinforced, score_candidate, select
from store.candidates import gates_of, list_candidates
from store.dossier import answers_before_and_after
from store.errors import NothingToDoError
from store.rounds import get_round, latest_round
from store.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlite_utils import Database

    from engine.loop.select import Selection
    from store.records import Candidate, Question


@dataclass(frozen=True, slots=True)
class Export:
    """Rows of prompt and completion, with the round and the number of candidates that they were chosen from."""

    round_number: int
    candidates: int
    rows: list[dict[str, str]]


def export_round(
    db: Database, round_number: int | None, *, mode: SelectionMode, best_k: int, threshold: float
) -> Export:
    """Return the rows of a round, by default the newest, imported or not.

    As in the round itself, candidates of held-out tasks are left out, as are those that guardrails.yaml refuses or that
    need review; best-k also leaves out what another gate refused. Raises NothingToDoError if the round has no evaluated
    candidates to choose from.
    """
    current = latest_round(db, imported=None) if round_number is None else get_round(db, round_number)
    candidates = list_candidates(db, round_number=current.number, role="train", derived=False)
    questions = {task_id: _reward_questions(db, task_id) for task_id in {one.task_id for one in candidates}}
    measured = [one for one in candidates if one.reward_mean is not None]
    eligible = [one for one in measured if may_be_reinforced(gates_of(db, one.id), mode)]
    scores = [_scored(db, candidate, questions[candidate.task_id]) for candidate in eligible]
    if not scores:
        raise NothingToDoError(
            f"Round {current.number} has no evaluated candidates on training tasks.",
            next_step="Choose another with --round N, or run one: seal-console run --rounds 1",
        )
    selection = select(scores, mode=mode, best_k=best_k, threshold=threshold)
    return Export(current.number, len(scores), sft_rows(candidates, selection))


def _reward_questions(db: Database, task_id: str) -> list[Question]:
    return [question for question in get_task(db, task_id).questions if question.split == "reward"]


def _scored(db: Database, candidate: Candidate, questions: list[Question]) -> ScoredCandidate:
    compared = answers_before_and_after(db, candidate, questions)
    before = [answer for one in compared for answer in one.before]
    after = [answer for one in compared for answer in one.after]
    reward = reward_of_answers(before, after, [question.id for question in questions])
    return score_candidate(candidate.id, candidate.task_id, candidate.position, reward)


def sft_rows(candidates: Iterable[Candidate], selection: Selection) -> list[dict[str, str]]:
    """Return {"prompt", "completion"} rows in the order of the selection.

    Completions are stripped and blank ones left out, as in SEAL's script. Raises KeyError if a selected candidate is
    not among those given.
    """
    by_id = {candidate.id: candidate for candidate in candidates}
    chosen = [by_id[candidate_id] for candidate_id in selection.candidate_ids]
    return [
        {"prompt": candidate.prompt, "completion": candidate.completion.strip()}
        for candidate in chosen
        if candidate.completion.strip()
    ]
