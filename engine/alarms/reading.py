"""Reads a round out of the store to be measured: what was written and answered in it, and under which conditions.

The store alone: no model is loaded, so rounds that ended before alarms existed can still be measured.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from engine.alarms.measures import Given, Measures, Written, measure
from engine.round_conditions import settings_of
from store.candidates import list_candidates
from store.hashing import hash_json
from store.records import Answer
from store.rounds import get_round, list_rounds
from store.rows import select
from store.tasks import questions_of
from store.version_rows import get_policy_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlite_utils import Database

    from store.records import Candidate, Question, Round


# What these say acts on other rounds, on the next policy, or on nothing that is measured here. The model is in "base".
_CHANGES_NO_FIGURE: dict[str, bool | set[str]] = {
    **dict.fromkeys(("model", "tasks", "round", "policy_training", "gates", "retention"), True),
    **dict.fromkeys(("alarms", "acceptance", "console"), True),
    "inner_update": {"slots"},
    "exam": {"batch_size"},
}


def read_measures(db: Database, round_number: int) -> Measures:
    """Measure a round whose candidates are examined."""
    current = get_round(db, round_number)
    train = list_candidates(db, round_number=round_number, role="train", derived=False)
    questions = {
        question.id: question for task in {one.task_id for one in train} for question in questions_of(db, task)
    }
    answers = _answers(db, round_number)
    written = [Written(one.task_id, one.prompt, one.completion, one.reward_mean, one.audit_gain) for one in train]
    given = [answer for one in train for answer in _given(answers[one.id], questions)]
    return measure(round_number, conditions_of(current), written, given, _held_out(db, current))


def conditions_of(current: Round) -> str:
    """Return a hash of all that figures depend on but policy, live version and tasks; rounds that share it compare."""
    settings = settings_of(current).model_dump(mode="json", exclude=_CHANGES_NO_FIGURE)
    return hash_json([current.settings.get("base"), settings])


def _given(answers: Iterable[Answer], questions: dict[str, Question]) -> Iterator[Given]:
    for answer in answers:
        question = questions[answer.question_id]
        is_audit = question.split == "audit"
        yield Given(question.task_id, question.id, question.answers[0], answer.text, answer.correct, is_audit)


def _answers(db: Database, round_number: int) -> dict[str, list[Answer]]:
    """Return the answers after the inner updates of a round, by candidate."""
    sql = (
        "SELECT answers.* FROM candidates JOIN answers ON answers.candidate_id = candidates.id "
        "WHERE candidates.round_number = ? AND answers.phase = 'after'"
    )
    found: dict[str, list[Answer]] = defaultdict(list)
    for answer in select(db, Answer, sql, (round_number,)):
        found[answer.candidate_id or ""].append(answer)
    return found


def _held_out(db: Database, current: Round) -> Iterator[tuple[str, bool]]:
    """Yield task and verdict of every held-out answer under the policy that the round began with.

    A policy that was examined in an earlier round is not examined again, so its candidates may lie there.
    """
    for one in reversed(list_rounds(db, imported=False)):
        if one.number > current.number or conditions_of(one) != conditions_of(current):
            continue
        held_out = list_candidates(db, round_number=one.number, role="held_out", derived=False)
        by_policy = [candidate for candidate in held_out if _is_by(db, candidate, current.policy_version)]
        if by_policy:
            answers = _answers(db, one.number)
            yield from ((c.task_id, answer.correct) for c in by_policy for answer in answers[c.id])
            return


def _is_by(db: Database, candidate: Candidate, policy_version: int | None) -> bool:
    """Whether a policy wrote a candidate, also one that was on trial in its round and became this version there."""
    on_trial = candidate.policy_version is None and candidate.sampling.get("policy_adapter") is not None
    if on_trial and policy_version is not None:
        return get_policy_version(db, policy_version).round_number == candidate.round_number
    return not on_trial and candidate.policy_version == policy_version
