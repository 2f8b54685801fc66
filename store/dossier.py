"""The read model of a review: one candidate with everything that was measured of it, questions side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from store.answers import base_answers
from store.candidates import answers_of, decisions_of, gates_of, inner_updates_of
from store.rounds import get_round
from store.tasks import get_task
from store.version_tags import state_name

if TYPE_CHECKING:
    from sqlite_utils import Database

    from store.records import Answer, Candidate, Decision, GateResult, InnerUpdate, Question, Round, Task


@dataclass(frozen=True, slots=True)
class QuestionComparison:
    """One question with the answers before the update and after it, in the order of the repeats."""

    question: Question
    before: list[Answer]
    after: list[Answer]


@dataclass(frozen=True, slots=True)
class Dossier:
    """All that is known of one candidate."""

    candidate: Candidate
    task: Task
    round: Round
    compared: list[QuestionComparison]
    updates: list[InnerUpdate]
    gates: list[GateResult]
    decisions: list[Decision]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            **asdict(self.candidate),
            "task": {"id": self.task.id, "title": self.task.title, "source": self.task.source},
            "round": {"number": self.round.number, "state": self.round.state, "base": self.round.settings.get("base")},
            "questions": [
                {
                    "question": one.question.text,
                    "answers": one.question.answers,
                    "grader": one.question.grader,
                    "split": one.question.split,
                    "before": [_answer_facts(answer) for answer in one.before],
                    "after": [_answer_facts(answer) for answer in one.after],
                }
                for one in self.compared
            ],
            "inner_updates": [asdict(update) for update in self.updates],
            "gates": [asdict(gate) for gate in self.gates],
            "decisions": [asdict(decision) for decision in self.decisions],
        }


def answers_before_and_after(db: Database, candidate: Candidate, questions: list[Question]) -> list[QuestionComparison]:
    """Return each question's answers; those before are the candidate's own, else those kept of the untouched model."""
    own = answers_of(db, candidate.id)
    base = get_round(db, candidate.round_number).settings.get("base", {})
    asked = [question.id for question in questions]
    shared = base_answers(
        db, asked, state_name(candidate.live_version), base.get("fingerprint"), base.get("form"), or_unknown=True
    )
    compared = []
    for question in questions:
        mine = [answer for answer in own if answer.question_id == question.id]
        before = [answer for answer in mine if answer.phase == "before"]
        untouched = shared.get(question.id)
        compared.append(
            QuestionComparison(
                question,
                before or ([untouched] if untouched else []),
                [answer for answer in mine if answer.phase == "after"],
            )
        )
    return compared


def dossier(db: Database, candidate: Candidate) -> Dossier:
    """Return all that is known of a candidate."""
    task = get_task(db, candidate.task_id)
    return Dossier(
        candidate=candidate,
        task=task,
        round=get_round(db, candidate.round_number),
        compared=answers_before_and_after(db, candidate, task.questions),
        updates=inner_updates_of(db, candidate.id),
        gates=gates_of(db, candidate.id),
        decisions=decisions_of(db, candidate.id),
    )


def _answer_facts(answer: Answer) -> dict[str, Any]:
    return {"repeat": answer.repeat, "text": answer.text, "score": answer.score, "correct": answer.correct}
