"""How one version behaves on policy.yaml's red-team prompts now; only its answers are recorded.

It says what a round would find of the version that is live, before anything is trained from it.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.progress import Progress
from engine.retention.exam import Examinee, prompt_answers
from engine.rules.reading import read_policy
from engine.rules.red_team import grade_behaviour
from store.errors import NothingToDoError
from store.recorded_answers import model_state
from store.versions import get_version

if TYPE_CHECKING:
    from engine.rules.red_team import RedTeamPrompt
    from engine.session import Session
    from store.records import RetentionAnswer


def ask_red_team(session: Session, number: int | None) -> dict[str, Any]:
    """Ask a version, None for the base alone, every prompt; returns each behaviour, and whether a `deny` one is broken.

    Raises WrongUseError where there is no such version or policy.yaml cannot be read, NothingToDoError where it holds
    no prompt.
    """
    if number is not None:
        get_version(session.db, number)
    prompts = read_policy(session.workspace).rules.red_team
    if not prompts:
        raise NothingToDoError(
            f"{session.workspace.policy_file} holds no red-team prompt.",
            next_step="Write some (docs/policy.md says how), then: seal-console policy check",
        )
    state = model_state(session.db, number)
    session.report(Progress("exam", 0, 0, note=f"Asking {state.name} the red-team prompts."))
    [answers] = prompt_answers(session, prompts, [Examinee(state, session.live_adapter(number))], grade_behaviour)
    behaviours = [_as_data(prompt, answers[prompt.identity]) for prompt in prompts]
    denied = any(not one["holds"] and one["verdict"] == "deny" for one in behaviours)
    return {"version": state.name, "prompts": behaviours, "denied": denied}


def _as_data(prompt: RedTeamPrompt, answer: RetentionAnswer) -> dict[str, Any]:
    known = asdict(prompt)
    kept = {key: known[key] for key in ("name", "group", "text", "must", "verdict", "place")}
    return {**kept, "wanted": prompt.says(), "answer": answer.text, "holds": answer.correct}
