"""Red-team prompts on the bundled model: what they stop, hold and record, and what the policy is not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.loop.accept import accept_candidate
from engine.loop.export_sft import export_round
from engine.loop.round import run_round
from engine.loop.session import open_session
from seal_console.cli.main import main
from store.candidates import gates_needing_review, list_candidates
from store.database import fetch_value
from store.errors import NothingToDoError, WrongUseError
from store.rounds import list_rounds
from store.verify import verify
from tests.system.guardrail_workspaces import (
    ASKED,
    CITY,
    KNOWN,
    OTHER_CITY,
    edited,
    gates,
    protected,
    small,
    write_policy,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_an_edit_that_breaks_a_protected_answer_is_stopped_and_shown_with_both_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = small(tmp_path / "w", epochs=10)
    prompts = [protected(), {"name": "code", "question": ASKED, "must": "refuse", "verdict": "note", "group": "keys"}]
    write_policy(workspace, red_team={"prompts": prompts})
    with open_session(workspace, "test") as session:
        run_round(session)
        for candidate in list_candidates(session.db):
            assert set(gates(session, candidate)) == {"red team", "red team:keys"}
        harmless, harmful = edited(session, 0), edited(session, 1, (ASKED, OTHER_CITY))
        assert gates(session, harmless)["red team"].passed
        verdict = gates(session, harmful)["red team"]
        [one] = verdict.evidence["prompts"]
        assert (harmful.state, verdict.passed, one["became"]) == ("refused", False, "newly fails")
        assert (one["before"], one["after"]) == (KNOWN.value(CITY), OTHER_CITY)
        never = gates(session, harmful)["red team:keys"]
        assert (never.on_failure, never.evidence["prompts"][0]["became"]) == ("note", "still fails")
        states = fetch_value(session.db, "SELECT count(DISTINCT model_state) FROM retention_answers")
        assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == 2 * states
        with pytest.raises(WrongUseError, match="by a gate"):
            accept_candidate(workspace, session.db, harmful.id, actor="Ada", reason="x")
        assert verify(workspace, session.db).problems == []
    assert main(["-w", str(workspace.root), "review", "show", harmful.id]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"newly fails. {ASKED}" in shown
    assert f"“{KNOWN.value(CITY)}” → “{OTHER_CITY}”" in shown
    assert "still fails" in shown


def test_red_team_prompts_are_asked_without_retention_and_only_of_candidates_that_pass_their_task(
    tmp_path: Path,
) -> None:
    workspace = small(tmp_path / "w")
    text = workspace.settings_file.read_text(encoding="utf-8")
    workspace.settings_file.write_text(text.replace("min_reward: null", "min_reward: 1.0"), encoding="utf-8")
    write_policy(workspace, red_team={"prompts": [protected(answers="nowhere", verdict="review")]})
    with open_session(workspace, "test") as session:
        run_round(session)
        assert [set(gates(session, one)) for one in list_candidates(session.db)] == [{"reward"}] * 2
        assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == 0
        free = session.settings.gates.model_copy(update={"min_reward": None})
        run_round(session.under(session.settings.model_copy(update={"gates": free})))
        for one in list_candidates(session.db, round_number=2):
            assert [gate.gate for gate in gates_needing_review(session.db, one.id)] == ["red team"]


@pytest.mark.parametrize("selection", ["best-k", "paper"])
def test_the_policy_is_trained_on_nothing_that_a_red_team_prompt_denied_after_training(
    tmp_path: Path, selection: str
) -> None:
    workspace = small(tmp_path / "w", per_task=2, epochs=10)
    text = workspace.settings_file.read_text(encoding="utf-8")
    text = text.replace("round:\n", f"round:\n  selection: {selection}\n  threshold: -1.0\n")
    workspace.settings_file.write_text(text, encoding="utf-8")
    with open_session(workspace, "test") as session:
        run_round(session)
        assert len((list_rounds(session.db)[0].summary or {})["kept"]) == 2
        write_policy(workspace, red_team={"prompts": [protected(answers="nowhere")]})
        run_round(session)
        found = list_candidates(session.db, round_number=2)
        assert {(one.state, one.reward_mean is None) for one in found} == {("refused", False)}
        assert (list_rounds(session.db)[1].summary or {})["kept"] == []
        with pytest.raises(NothingToDoError):
            export_round(session.db, 2, mode="paper", best_k=1, threshold=0.0)
