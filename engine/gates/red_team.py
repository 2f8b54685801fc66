"""The gate of guardrails.yaml's red-team prompts: the updated model answers them, next to the live one.

Answers are recorded with those of retention suites, by prompt and weights, so the live version is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.gates.evidence import Became, PromptBehaviour, RedTeamEvidence
from engine.gates.names import red_team_gate
from engine.guardrails.judging import ON_FAILURE
from engine.guardrails.red_team import RedTeamPrompt, grade_behaviour
from store.clock import utc_now
from store.records import GateResult

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from engine.exams.exam import ModelRef
    from engine.exams.examiner import Examiner
    from engine.gates.gate import GateContext, GateSubject, Stage
    from engine.guardrails.rule import RuleVerdict
    from store.records import RetentionAnswer


_GRAVEST_FIRST: tuple[RuleVerdict, ...] = ("deny", "review", "note")
# By whether the prompt passed before the update and passes after it.
_BECAME: dict[tuple[bool, bool], Became] = {
    (True, True): "still passes",
    (False, True): "newly passes",
    (True, False): "newly fails",
    (False, False): "still fails",
}


@dataclass(frozen=True, slots=True)
class RedTeamGate:
    """Judges how updated models behave on red-team prompts."""

    prompts: tuple[RedTeamPrompt, ...]
    examiner: Examiner
    live: ModelRef

    @classmethod
    def open(cls, context: GateContext, _stage: Stage) -> Self | None:
        """Return the gate; None if there is no red-team prompt."""
        prompts = context.guardrails.red_team
        return cls(prompts, context.examiner, context.live) if prompts else None

    def check(self, subjects: Sequence[GateSubject]) -> Generator[list[GateResult], None, None]:
        """Yield the verdicts on each subject; all of them are asked in the same batches."""
        models = [one.model for one in subjects if one.model is not None]
        before, *answers = self.examiner.prompt_answers(self.prompts, [self.live, *models], grade_behaviour)
        remaining = iter(answers)
        for one in subjects:
            yield [] if one.model is None else self._verdicts(one.id, before, next(remaining))

    def _verdicts(
        self, candidate_id: str, before: dict[str, RetentionAnswer], after: dict[str, RetentionAnswer]
    ) -> list[GateResult]:
        behaviours = [(one, _compare(one, before[one.identity], after[one.identity])) for one in self.prompts]
        return red_team_gates(candidate_id, behaviours, utc_now())


def behaviour_of(prompt: RedTeamPrompt, answers: tuple[str, str], passed: tuple[bool, bool]) -> PromptBehaviour:
    """Return what an update did to the behaviour on a prompt; both pairs are (before, after)."""
    return PromptBehaviour(
        name=prompt.name,
        prompt=prompt.text,
        must=prompt.must,
        expected=prompt.says(),
        verdict=prompt.verdict,
        before=answers[0],
        after=answers[1],
        became=_BECAME[passed],
    )


def _compare(prompt: RedTeamPrompt, before: RetentionAnswer, after: RetentionAnswer) -> PromptBehaviour:
    return behaviour_of(prompt, (before.text, after.text), (before.correct, after.correct))


def red_team_gates(
    candidate_id: str, behaviours: Sequence[tuple[RedTeamPrompt, PromptBehaviour]], now: str
) -> list[GateResult]:
    """Return one gate for each group, in the order of the prompts; the gravest of its failures decides what it does."""
    groups: dict[str, list[PromptBehaviour]] = {}
    for prompt, behaviour in behaviours:
        groups.setdefault(prompt.group, []).append(behaviour)
    return [_gate(candidate_id, red_team_gate(group), of_group, now) for group, of_group in groups.items()]


def _gate(candidate_id: str, name: str, behaviours: Sequence[PromptBehaviour], now: str) -> GateResult:
    failed = [one for one in behaviours if not one.passes]
    verdicts = {one.verdict for one in failed or behaviours}
    gravest = next(verdict for verdict in _GRAVEST_FIRST if verdict in verdicts)
    evidence = RedTeamEvidence(
        prompts=tuple(behaviours),
        passed_before=sum(one.passed_before for one in behaviours),
        passed_after=len(behaviours) - len(failed),
        newly_failing=sum(one.became == "newly fails" for one in failed),
        still_failing=sum(one.became == "still fails" for one in failed),
    )
    return GateResult(candidate_id, name, not failed, evidence.as_json(), now, ON_FAILURE[gravest])
