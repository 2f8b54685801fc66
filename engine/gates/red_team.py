"""Asks candidates that reach the gates guardrails.yaml's red-team prompts, beside the live version; nothing where none
is.

Answers are kept with those of retention suites, by prompt and state of the model: the live version is asked once.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.exams.recorded import ModelRef, prompt_answers
from engine.guardrails.reading import read_guardrails
from engine.guardrails.red_team import Behaviour, RedTeamPrompt, grade_behaviour, red_team_gates
from engine.runtime.progress import Progress
from store.answers import model_state
from store.clock import utc_now
from store.errors import NothingToDoError
from store.version_rows import get_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.gates.retention import GateSubject
    from engine.guardrails.red_team import RedTeamPrompt
    from engine.lora.adapter import Adapter
    from engine.session import Session
    from store.records import GateResult, RetentionAnswer


class RedTeamGate:
    """Judges candidates that were trained from one version by the prompts of the session's guardrails.yaml."""

    def __init__(self, session: Session, live: Adapter | None, live_version: int | None) -> None:
        self._session = session
        self._live = ModelRef(model_state(session.db, live_version), live)

    def verdicts(self, updated: Sequence[GateSubject]) -> dict[str, list[GateResult]]:
        """Return the verdicts on each candidate by its id, all of them asked in the same batches."""
        prompts = self._session.rules.red_team
        if not prompts or not updated:
            return {one.candidate_id: [] for one in updated}
        examinees = [self._live, *(ModelRef(one.state, one.adapter) for one in updated)]
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


def ask_red_team(session: Session, number: int | None) -> dict[str, Any]:
    """Ask a version, None for the base alone, every prompt; returns each behaviour, and whether a `deny` one is broken.

    Raises WrongUseError where there is no such version or guardrails.yaml cannot be read, NothingToDoError where it
    holds no prompt.
    """
    if number is not None:
        get_version(session.db, number)
    prompts = read_guardrails(session.workspace).rules.red_team
    if not prompts:
        raise NothingToDoError(
            f"{session.workspace.guardrails_file} holds no red-team prompt.",
            next_step="Write some (docs/guardrails.md says how), then: seal-console guardrails check",
        )
    state = model_state(session.db, number)
    session.report(Progress("exam", 0, 0, note=f"Asking {state.name} the red-team prompts."))
    [answers] = prompt_answers(session, prompts, [ModelRef(state, session.live_adapter(number))], grade_behaviour)
    behaviours = [_as_data(prompt, answers[prompt.identity]) for prompt in prompts]
    denied = any(not one["holds"] and one["verdict"] == "deny" for one in behaviours)
    return {"version": state.name, "prompts": behaviours, "denied": denied}


def _as_data(prompt: RedTeamPrompt, answer: RetentionAnswer) -> dict[str, Any]:
    known = asdict(prompt)
    kept = {key: known[key] for key in ("name", "group", "text", "must", "verdict", "place")}
    return {**kept, "wanted": prompt.says(), "answer": answer.text, "holds": answer.correct}
