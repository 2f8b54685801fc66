"""Asks a judge about candidates, several at once, and makes gates of what it says.

A judge accepts nothing: where it allows a self-edit, all other gates still decide. What is no answer, and an endpoint
that cannot be asked, hold the candidate for a person whatever the judge's own verdict is set to.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from engine.gates.names import JUDGE_GATE
from engine.guardrails.judge_question import JudgeOpinion, UnusableReplyError, parse_reply, question_about
from engine.runtime.progress import Progress
from engine.writers.call_log import CallLog
from engine.writers.judge_asking import Asker, Outcome
from engine.writers.judge_endpoint import JudgeUnreachableError, endpoint_of
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from engine.guardrails.judge_section import Asks, JudgeSettings
    from engine.session import Session
    from store.records import Candidate, OnFailure, Task

_ON_FAILURE: dict[str, OnFailure | None] = {"deny": None, "review": "hold", "note": "note"}


class JudgeGate:
    """Asks the judge of a session's guardrails.yaml, where there is one that is asked on this occasion."""

    def __init__(self, session: Session, occasion: Asks) -> None:
        """Raises WrongUseError where the judge's key is not there."""
        self._session = session
        judge = session.rules.judge
        self._judge: JudgeSettings | None = judge if judge is not None and judge.asks == occasion else None
        if self._judge is not None:
            self._asker = Asker(
                endpoint_of(self._judge, os.environ),
                CallLog(session.workspace),
                at_once=self._judge.at_once,
                on_unreachable=self._say_unreachable,
            )

    def verdicts(self, asked: Sequence[tuple[Candidate, Task]]) -> Generator[list[GateResult], None, None]:
        """Give the judge's verdict on each candidate, in their order; none where no judge is asked now.

        Raises JudgeUnreachableError where the judge cannot be asked and guardrails.yaml wants a round to stop then.
        """
        judge = self._judge
        if judge is None:
            yield from ([] for _ in asked)
            return
        questions = [
            question_about(candidate, task, model=judge.model, constitution=judge.constitution)
            for candidate, task in asked
        ]
        with closing(self._asker.outcomes(questions)) as outcomes:
            for (candidate, _), question, outcome in zip(asked, questions, outcomes, strict=True):
                evidence = {"url": judge.url, "model": judge.model, "request": question.hash}
                yield [_verdict(candidate.id, judge, outcome, evidence)]

    def _say_unreachable(self, error: JudgeUnreachableError) -> None:
        if self._judge is not None and self._judge.when_unreachable == "review":
            note = f"{error.message} What it should have judged is held for a person."
            self._session.report(Progress("round", 0, 0, note=note))


def _verdict(candidate_id: str, judge: JudgeSettings, outcome: Outcome, evidence: dict[str, Any]) -> GateResult:
    """Raises JudgeUnreachableError where a round is to stop for that."""
    try:
        if isinstance(outcome, JudgeUnreachableError | UnusableReplyError):
            raise outcome
        return opinion_gate(candidate_id, judge, parse_reply(outcome), evidence, utc_now())
    except UnusableReplyError as error:
        return _held(candidate_id, {**evidence, "no_answer": str(error)})
    except JudgeUnreachableError as error:
        if judge.when_unreachable == "stop":
            raise
        return _held(candidate_id, {**evidence, "unreachable": error.message})


def opinion_gate(
    candidate_id: str, judge: JudgeSettings, opinion: JudgeOpinion, evidence: dict[str, Any], now: str
) -> GateResult:
    """Return what a judge said as a gate: not allowed does what guardrails.yaml says, allowed does nothing."""
    said = {"allowed": opinion.allowed, "rule": opinion.rule, "reason": opinion.reason}
    return GateResult(candidate_id, JUDGE_GATE, opinion.allowed, {**evidence, **said}, now, _ON_FAILURE[judge.verdict])


def _held(candidate_id: str, evidence: dict[str, Any]) -> GateResult:
    return GateResult(
        candidate_id, JUDGE_GATE, passed=False, evidence=evidence, decided_at=utc_now(), on_failure="hold"
    )
