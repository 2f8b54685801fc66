"""Asks candidates that reach the gates policy.yaml's red-team prompts, beside the live version; nothing where none is.

Answers are kept with those of retention suites, by prompt and state of the model: the live version is asked once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.retention.exam import Examinee, prompt_answers
from engine.rules.red_team import Behaviour, RedTeamPrompt, grade_behaviour, red_team_gates
from store.clock import utc_now
from store.recorded_answers import model_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.retention.desk import Updated
    from engine.session import Session
    from store.records import GateResult, RetentionAnswer


class RedTeamDesk:
    """Judges candidates that were trained from one version by the prompts of the session's policy.yaml."""

    def __init__(self, session: Session, live: Adapter | None, live_version: int | None) -> None:
        self._session = session
        self._live = Examinee(model_state(session.db, live_version), live)

    def verdicts(self, updated: Sequence[Updated]) -> dict[str, list[GateResult]]:
        """Return the verdicts on each candidate by its id, all of them asked in the same batches."""
        prompts = self._session.rules.red_team
        if not prompts or not updated:
            return {one.candidate_id: [] for one in updated}
        examinees = [self._live, *(Examinee(one.state, one.adapter) for one in updated)]
        before, *answers = prompt_answers(self._session, prompts, examinees, grade_behaviour)
        return {
            one.candidate_id: red_team_gates(
                one.candidate_id,
                [_behaviour(prompt, before[prompt.identity], after[prompt.identity]) for prompt in prompts],
                utc_now(),
            )
            for one, after in zip(updated, answers, strict=True)
        }


def _behaviour(prompt: RedTeamPrompt, before: RetentionAnswer, after: RetentionAnswer) -> Behaviour:
    return Behaviour(prompt, before.text, after.text, before.correct, after.correct)
