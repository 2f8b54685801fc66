"""Examines what candidates that reach the gates would cost: suites, earlier edits and drift, against the live version.

Nothing is asked where there is no suite, no earlier edit and no anchor. What the live version answers is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.retention.drift import drift_of
from engine.retention.earlier import EarlierQuestion, earlier_questions, edits_of, line_of, that_can_be_undone
from engine.retention.exam import Examinee, question_answers, suite_answers
from engine.retention.gate import Compared, ComparedEarlier, drift_gate, earlier_gate, suite_gate
from engine.retention.harness_prompts import full_retention
from engine.retention.suites import Retention
from store.clock import utc_now
from store.recorded_answers import ModelState, model_state

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.lora.adapter import Adapter
    from engine.retention.suites import RetentionPrompt, Suite
    from engine.session import Session
    from store.records import Answer, GateResult, RetentionAnswer, Task


@dataclass(frozen=True, slots=True)
class Updated:
    """A candidate after its inner update, or a version: its own task, and the adapter that is, or would go, live.

    The base alone has neither. `state` says under what its answers are kept.
    """

    candidate_id: str
    task: Task | None
    adapter: Adapter | None
    state: ModelState


class RetentionDesk:
    """Judges candidates that were trained from one version; suites are read when it opens."""

    def __init__(self, session: Session, live: Adapter | None, live_version: int | None) -> None:
        """Raises WrongUseError, with every problem, where a suite cannot be read."""
        self._session = session
        self._live = Examinee(model_state(session.db, live_version), live)
        settings = session.settings
        self._retention = Retention() if settings.retention.gate is None else full_retention(session.workspace)
        self._earlier: list[EarlierQuestion] = []
        if settings.retention.gate is not None and settings.retention.earlier_questions:
            edits = edits_of(session.db, line_of(session.db, live_version))
            self._earlier = earlier_questions(edits, settings.retention.earlier_questions, settings.round.seed)

    def verdicts(self, updated: Sequence[Updated]) -> dict[str, list[GateResult]]:
        """Return the verdicts on each candidate by its id, all of them asked in the same batches."""
        found: dict[str, list[GateResult]] = {one.candidate_id: [] for one in updated}
        if not updated:
            return found
        examinees = [self._live, *(Examinee(one.state, one.adapter) for one in updated)]
        self._examine_suites(updated, examinees, found)
        self._examine_earlier(updated, examinees, found)
        self._examine_drift(updated, examinees, found)
        return found

    def _examine_suites(
        self, updated: Sequence[Updated], examinees: Sequence[Examinee], found: dict[str, list[GateResult]]
    ) -> None:
        if not self._retention.prompts:
            return
        before, *answers = suite_answers(self._session, self._retention.prompts, examinees)
        for one, after in zip(updated, answers, strict=True):
            found[one.candidate_id] += [
                suite_gate(
                    one.candidate_id,
                    suite,
                    compared_suite(suite, before, after),
                    self._session.settings.retention,
                    utc_now(),
                )
                for suite in self._retention.suites
                if suite.prompts
            ]

    def _examine_earlier(
        self, updated: Sequence[Updated], examinees: Sequence[Examinee], found: dict[str, list[GateResult]]
    ) -> None:
        if not self._earlier:
            return
        questions = [one.question for one in self._earlier]
        before, *answers = question_answers(self._session, questions, examinees)
        for one, after in zip(updated, answers, strict=True):
            asked = that_can_be_undone(self._earlier, one.task)
            if asked:
                own_title = one.task.title if one.task else ""
                compared = [_compared_earlier(earlier, before, after) for earlier in asked]
                settings = self._session.settings.retention
                found[one.candidate_id].append(earlier_gate(one.candidate_id, own_title, compared, settings, utc_now()))

    def _examine_drift(
        self, updated: Sequence[Updated], examinees: Sequence[Examinee], found: dict[str, list[GateResult]]
    ) -> None:
        anchors = self._retention.drift_anchors(self._session.settings.retention.drift_anchors)
        if not anchors:
            return
        before, *measured = drift_of(self._session, anchors, examinees)
        for one, after in zip(updated, measured, strict=True):
            settings = self._session.settings.retention
            found[one.candidate_id].append(drift_gate(one.candidate_id, before, after, settings, utc_now()))


def compared_suite(
    suite: Suite, before: Mapping[str, RetentionAnswer], after: Mapping[str, RetentionAnswer]
) -> list[Compared]:
    """Put the answers to a suite's prompts side by side, in the order of the suite."""
    return [_compared(prompt, before[prompt.identity], after[prompt.identity]) for prompt in suite.prompts]


def _compared(prompt: RetentionPrompt, before: RetentionAnswer, after: RetentionAnswer) -> Compared:
    return Compared(
        prompt.text, prompt.answers, before.text, after.text, before.correct, after.correct, group=prompt.group
    )


def _compared_earlier(
    earlier: EarlierQuestion, before: Mapping[str, Answer], after: Mapping[str, Answer]
) -> ComparedEarlier:
    question = earlier.question
    was, now = before[question.id], after[question.id]
    return ComparedEarlier(
        question.text,
        tuple(question.answers),
        was.text,
        now.text,
        was.correct,
        now.correct,
        version=earlier.edit.version.tag,
        task=earlier.edit.task.title,
        of_audit=question.split == "audit",
    )
