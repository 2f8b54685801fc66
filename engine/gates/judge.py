"""The gate of the external judge, who is asked about self-edits by the constitution in guardrails.yaml.

A judge never accepts anything: if it allows a self-edit, all other gates still decide. A reply that is not usable, and
an endpoint that cannot be reached, leave the candidate to a person whatever the judge's own verdict is set to.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from engine.gates.evidence import JudgeEvidence
from engine.gates.judge_question import judge_request, parse_reply
from engine.gates.names import JUDGE_GATE
from engine.guardrails.judging import ON_FAILURE
from engine.runtime.progress import Progress
from engine.writers.call_log import CallLog
from engine.writers.chat_endpoint import ChatEndpoint, read_key
from engine.writers.openai_compatible import OpenAICompatibleWriter
from engine.writers.writer import UnreachableError, UnusableReplyError
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from engine.gates.gate import GateContext, GateSubject, Stage
    from engine.guardrails.judge_section import JudgeSettings
    from engine.writers.writer import Writing, WritingRequest

_ASKED_AT: dict[Stage, str] = {"before training": "every", "after training": "kept"}


@dataclass(frozen=True, slots=True)
class JudgeGate:
    """Asks the judge of guardrails.yaml, several candidates at once."""

    settings: JudgeSettings
    writer: OpenAICompatibleWriter

    @classmethod
    def open(cls, context: GateContext, stage: Stage) -> Self | None:
        """Return the gate; None without a judge, or if it is asked at the other stage.

        Raises WrongUseError if the judge's key is not set.
        """
        judge = context.guardrails.judge
        if judge is None or judge.asks != _ASKED_AT[stage]:
            return None

        def report(error: UnreachableError) -> None:
            if judge.when_unreachable != "stop":
                note = f"{error.message} Candidates that it should have judged need review."
                context.report(Progress("round", 0, 0, note=note))

        key = read_key(judge.api_key_env, os.environ)
        endpoint = ChatEndpoint(judge.url, judge.model, key, judge.timeout_s, judge.attempts)
        log = CallLog(context.workspace)
        return cls(judge, OpenAICompatibleWriter(endpoint, log, at_once=judge.at_once, on_unreachable=report))

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the judge's verdict on each candidate that has a task.

        Raises UnreachableError if the judge cannot be reached and guardrails.yaml says to stop the round then.
        """
        asked = {
            one.id: judge_request(one.candidate, one.task, self.settings.constitution)
            for one in subjects
            if one.candidate is not None and one.task is not None
        }
        with closing(self.writer.write(list(asked.values()))) as writings:
            for one in subjects:
                yield [self._verdict(one.id, asked[one.id], next(writings))] if one.id in asked else []

    def _verdict(self, candidate_id: str, request: WritingRequest, writing: Writing) -> GateResult:
        judge = self.settings
        asked = JudgeEvidence(judge.url, judge.model, self.writer.request_hash(request))
        failure = writing.failure
        if isinstance(failure, UnreachableError):
            if judge.when_unreachable == "stop":
                raise failure
            return _needs_review(candidate_id, replace(asked, unreachable=failure.message))
        try:
            if failure is not None:
                raise failure
            opinion = parse_reply(writing.text)
        except UnusableReplyError as error:
            return _needs_review(candidate_id, replace(asked, no_answer=str(error)))
        evidence = replace(asked, allowed=opinion.allowed, rule=opinion.rule, reason=opinion.reason)
        on_failure = ON_FAILURE[judge.verdict]
        return GateResult(candidate_id, JUDGE_GATE, opinion.allowed, evidence.as_json(), utc_now(), on_failure)


def _needs_review(candidate_id: str, evidence: JudgeEvidence) -> GateResult:
    return GateResult(
        candidate_id, JUDGE_GATE, passed=False, evidence=evidence.as_json(), decided_at=utc_now(), on_failure="hold"
    )
