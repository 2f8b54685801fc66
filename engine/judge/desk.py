"""Asks a judge about candidates and makes gates of what it says.

A judge accepts nothing: where it allows a self-edit, all other gates still decide. What is no answer, and an endpoint
that cannot be asked, hold the candidate for a person whatever the judge's own verdict is set to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from engine.judge.call_log import CallLog
from engine.judge.endpoint import JudgeUnreachableError, endpoint_of
from engine.judge.question import question_about
from engine.judge.reply import Opinion, UnusableReplyError, content_of, parse_reply
from engine.progress import Progress
from engine.rules.gate_name import JUDGE_GATE
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from engine.judge.question import JudgeQuestion
    from engine.rules.judge_section import Asks, JudgeSettings
    from engine.session import Session
    from store.records import Candidate, OnFailure, Task

_ON_FAILURE: dict[str, OnFailure | None] = {"deny": None, "hold": "hold", "note": "note"}


class JudgeDesk:
    """Asks the judge of a session's policy.yaml, where there is one that is asked on this occasion."""

    def __init__(self, session: Session, occasion: Asks) -> None:
        """Raises WrongUseError where the judge's key is not there."""
        self._session = session
        judge = session.rules.judge
        self._judge: JudgeSettings | None = judge if judge is not None and judge.asks == occasion else None
        if self._judge is not None:
            self._endpoint = endpoint_of(self._judge, os.environ)
            self._log = CallLog(session.workspace)
        self._unreachable = ""

    def verdicts(self, candidate: Candidate, task: Task) -> list[GateResult]:
        """Return the judge's verdict on a candidate; none where no judge is asked now.

        Raises JudgeUnreachableError where the judge cannot be asked and policy.yaml wants a round to stop then.
        """
        judge = self._judge
        if judge is None:
            return []
        question = question_about(candidate, task, model=judge.model, constitution=judge.constitution)
        evidence: dict[str, Any] = {"url": judge.url, "model": judge.model, "request": question.hash}
        try:
            opinion = self._opinion(judge, question)
        except UnusableReplyError as error:
            return [_held(candidate, {**evidence, "no_answer": str(error)})]
        except JudgeUnreachableError as error:
            if judge.when_unreachable == "stop":
                raise
            return [_held(candidate, {**evidence, "unreachable": error.message})]
        return [opinion_gate(candidate.id, judge, opinion, evidence, utc_now())]

    def _opinion(self, judge: JudgeSettings, question: JudgeQuestion) -> Opinion:
        reply = self._log.reply_to(question.hash)
        if reply is None:
            reply = content_of(self._response(judge, question))
            self._log.keep_reply(question.hash, reply)
        return parse_reply(reply)

    def _response(self, judge: JudgeSettings, question: JudgeQuestion) -> bytes:
        """Ask; once a judge could not be asked, the candidates beside are not kept waiting for it as well."""
        if self._unreachable:
            raise JudgeUnreachableError(self._unreachable)
        try:
            return self._endpoint.ask(question)
        except JudgeUnreachableError as error:
            self._log.keep_failure(question.hash, error.message)
            self._unreachable = error.message
            if judge.when_unreachable == "hold":
                note = f"{error.message} What it should have judged is held for a person."
                self._session.report(Progress("round", 0, 0, note=note))
            raise


def opinion_gate(
    candidate_id: str, judge: JudgeSettings, opinion: Opinion, evidence: dict[str, Any], now: str
) -> GateResult:
    """Return what a judge said as a gate: not allowed does what policy.yaml says, allowed does nothing."""
    said = {"allowed": opinion.allowed, "rule": opinion.rule, "reason": opinion.reason}
    return GateResult(candidate_id, JUDGE_GATE, opinion.allowed, {**evidence, **said}, now, _ON_FAILURE[judge.verdict])


def _held(candidate: Candidate, evidence: dict[str, Any]) -> GateResult:
    return GateResult(
        candidate.id, JUDGE_GATE, passed=False, evidence=evidence, decided_at=utc_now(), on_failure="hold"
    )
