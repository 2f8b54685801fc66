"""The gate of guardrails.yaml's red-team prompts: the updated model answers them, next to the live one.

Answers are recorded with those of retention suites, by prompt and weights, so the live version is asked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from engine.guardrails.red_team import Behaviour, RedTeamPrompt, grade_behaviour, red_team_gates
from store.clock import utc_now

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from engine.exams.exam import ModelRef
    from engine.exams.examiner import Examiner
    from engine.gates.gate import GateContext, GateSubject, Stage
    from store.records import GateResult, RetentionAnswer


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
        behaviours = [_behaviour(prompt, before[prompt.identity], after[prompt.identity]) for prompt in self.prompts]
        return red_team_gates(candidate_id, behaviours, utc_now())


def _behaviour(prompt: RedTeamPrompt, before: RetentionAnswer, after: RetentionAnswer) -> Behaviour:
    return Behaviour(prompt, before.text, after.text, before.correct, after.correct)
