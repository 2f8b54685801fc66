"""Measures a finished round, and raises the alarms that its figures call for.

Repeating it after a crash changes nothing: recorded measures stay, and a round raises each alarm once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from engine.alarms.measures import AnswerSample, Measures, SelfEditSample, majority_answers, measure
from engine.alarms.rules import RULES, raise_alarms
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

_LONGEST_TEXT = 400  # characters of a text in the evidence
_FORMER_NAMES = {"one_gold": "one_expected"}  # in records of older releases


def watch_round(db: Database, current: Round, settings: AlarmSettings) -> tuple[Measures, list[Alarm]]:
    """Measure a round whose candidates are examined; returns its measures and the alarms it raised."""
    with transaction(db):
        now = _measures(db, current.number)
        compared = {name: _earlier(db, current, settings, cleared_until(db, name)) for name in RULES}
        for one in raise_alarms(now, compared, settings):
            evidence = {**one.evidence, "examples": _examples(db, current.number, one.tasks)}
            raise_alarm(db, current.number, one.name, evidence)
    return now, list_alarms(db, round_number=current.number)


def _measures(db: Database, round_number: int) -> Measures:
    """Return the recorded measures of a round, or measure it now: an older program may have run it."""
    kept = measures_of(db, round_number) or record_measures(db, round_number, read_measures(db, round_number).as_json())
    return Measures(**{_FORMER_NAMES.get(name, name): value for name, value in kept.measures.items()})


def _earlier(db: Database, current: Round, settings: AlarmSettings, since: int | None) -> list[Measures]:
    """Return the newest earlier rounds with the same conditions, from the round `since` on.

    Clearing an alarm makes its round the new reference: earlier rounds are not compared any more.
    """
    comparable = [
        one.number
        for one in list_rounds(db, imported=False)
        if one.state == "done"
        and (since or 0) <= one.number < current.number
        and conditions_of(one) == conditions_of(current)
    ]
    return [_measures(db, number) for number in comparable[-settings.rounds_back :]]


# These settings affect other rounds, the next policy, or nothing that is measured here. The model is in "base".
_WITHOUT_EFFECT_ON_FIGURES: dict[str, bool | set[str]] = {
    **dict.fromkeys(("model", "tasks", "round", "policy_training", "gates", "retention"), True),
    **dict.fromkeys(("alarms", "acceptance", "console"), True),
    "inner_update": {"slots"},
    "exam": {"batch_size", "ceiling"},
}


def read_measures(db: Database, round_number: int) -> Measures:
    """Measure a round whose candidates are examined."""
    current = get_round(db, round_number)
    train = list_candidates(db, round_number=round_number, role="train", derived=False)
    questions = {
        question.id: question for task in {one.task_id for one in train} for question in questions_of(db, task)
    }
    answers = _answers(db, round_number)
    self_edits = [
        SelfEditSample(one.task_id, one.prompt, one.completion, one.reward_mean, one.audit_gain) for one in train
    ]
    samples = [sample for one in train for sample in _answer_samples(answers[one.id], questions)]
    return measure(round_number, conditions_of(current), self_edits, samples, _held_out(db, current))


def conditions_of(current: Round) -> str:
    """Return a hash of everything that figures depend on except policy, live version and tasks; rounds with the same
    hash compare.
    """
    settings = settings_of_round(current).model_dump(mode="json", exclude=_WITHOUT_EFFECT_ON_FIGURES)
    return hash_json([current.settings.get("base"), settings])


def _answer_samples(answers: Iterable[Answer], questions: dict[str, Question]) -> Iterator[AnswerSample]:
    for answer in answers:
        question = questions[answer.question_id]
        if not question.answers:
            continue  # its task's text was purged
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

    A policy that was examined in an earlier round is not examined again, so its candidates may be in that round.
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
    """Tell whether a policy wrote a candidate, on trial in the round that made it this version or later."""
    on_trial = candidate.policy_version is None and candidate.sampling.get("policy_adapter") is not None
    if on_trial and policy_version is not None:
        return get_policy_version(db, policy_version).round_number == candidate.round_number
    return not on_trial and candidate.policy_version == policy_version


def _examples(db: Database, round_number: int, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return one example of each task: its title, the first self-edit, a question, its answer and the commonest one."""
    examples = []
    for task in (get_task(db, task_id) for task_id in tasks):
        candidates = list_candidates(db, round_number=round_number, task_id=task.id, role="train", derived=False)
        answers = [answer for one in candidates for answer in answers_of(db, one.id) if answer.phase == "after"]
        majority = majority_answers((answer.question_id, answer.text) for answer in answers)
        question = next((question for question in task.questions if question.id in majority), None)
        examples.append(
            {
                "task": task.title,
                "candidate": candidates[0].id if candidates else None,
                "self_edit": candidates[0].completion[:_LONGEST_TEXT] if candidates else "",
                "question": question.text[:_LONGEST_TEXT] if question else "",
                "expected": question.answers[0][:_LONGEST_TEXT] if question else "",
                "commonest": majority[question.id][:_LONGEST_TEXT] if question else "",
            }
        )
    return examples
