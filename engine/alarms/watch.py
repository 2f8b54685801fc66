"""Measures a round when it is over, and raises the alarms that its figures call for.

Done again after a crash it changes nothing: measures stay as they were kept, and a round raises each alarm once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from engine.alarms.measures import AnswerSample, Measures, SelfEditSample, majority_answers, measure
from engine.alarms.rules import RULES, raised
from engine.settings.reading import settings_of_round
from store.alarms import cleared_until, list_alarms, measures_of, raise_alarm, record_measures
from store.candidates import answers_of, list_candidates
from store.database import transaction
from store.hashing import hash_json
from store.records import Answer
from store.rounds import get_round, list_rounds
from store.rows import select
from store.tasks import get_task, questions_of
from store.version_rows import get_policy_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlite_utils import Database

    from engine.settings.sections import AlarmSettings
    from store.alarms import Alarm
    from store.records import Candidate, Question, Round


def watch_round(db: Database, current: Round, settings: AlarmSettings) -> tuple[Measures, list[Alarm]]:
    """Measure a round whose candidates are examined; returns its measures and the alarms that it raised."""
    with transaction(db):
        now = _measures(db, current.number)
        compared = {name: _earlier(db, current, settings, cleared_until(db, name)) for name in RULES}
        for one in raised(now, compared, settings):
            evidence = {**one.evidence, "examples": examples(db, current.number, one.tasks)}
            raise_alarm(db, current.number, one.name, evidence)
    return now, list_alarms(db, round_number=current.number)


def _measures(db: Database, round_number: int) -> Measures:
    """Return what is kept of a round, or measure it now: an older program may have run it."""
    kept = measures_of(db, round_number) or record_measures(db, round_number, read_measures(db, round_number).as_json())
    return Measures(**kept.measures)


def _earlier(db: Database, current: Round, settings: AlarmSettings, since: int | None) -> list[Measures]:
    """Return the newest earlier rounds of the same conditions.

    Who clears an alarm takes that round as the new measure of things: what was before it is not compared any more.
    """
    comparable = [
        one.number
        for one in list_rounds(db, imported=False)
        if one.state == "done"
        and (since or 0) <= one.number < current.number
        and conditions_of(one) == conditions_of(current)
    ]
    return [_measures(db, number) for number in comparable[-settings.rounds_back :]]


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
    written = [
        SelfEditSample(one.task_id, one.prompt, one.completion, one.reward_mean, one.audit_gain) for one in train
    ]
    given = [answer for one in train for answer in _given(answers[one.id], questions)]
    return measure(round_number, conditions_of(current), written, given, _held_out(db, current))


def conditions_of(current: Round) -> str:
    """Return a hash of all that figures depend on but policy, live version and tasks; rounds that share it compare."""
    settings = settings_of_round(current).model_dump(mode="json", exclude=_CHANGES_NO_FIGURE)
    return hash_json([current.settings.get("base"), settings])


def _given(answers: Iterable[Answer], questions: dict[str, Question]) -> Iterator[AnswerSample]:
    for answer in answers:
        question = questions[answer.question_id]
        is_audit = question.split == "audit"
        yield AnswerSample(question.task_id, question.id, question.answers[0], answer.text, answer.correct, is_audit)


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


_LONGEST = 400  # characters of a text in the evidence


def examples(db: Database, round_number: int, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return one example of each task: its title, the first self-edit, a question, its answer and the commonest one."""
    return [_example(db, round_number, task) for task in tasks]


def _example(db: Database, round_number: int, task_id: str) -> dict[str, Any]:
    task = get_task(db, task_id)
    written = list_candidates(db, round_number=round_number, task_id=task_id, role="train", derived=False)
    given = [(a.question_id, a.text) for one in written for a in answers_of(db, one.id) if a.phase == "after"]
    majority = majority_answers(given)
    asked = next((question for question in task.questions if question.id in majority), None)
    return {
        "task": task.title,
        "candidate": written[0].id if written else None,
        "self_edit": written[0].completion[:_LONGEST] if written else "",
        "question": asked.text[:_LONGEST] if asked else "",
        "wanted": asked.answers[0][:_LONGEST] if asked else "",
        "commonest": majority[asked.id][:_LONGEST] if asked else "",
    }
