"""`guardrails red-team` on the bundled model: how a version and the base behave now, asked once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from engine.loop.accept import accept_candidate
from engine.loop.examine_version import ask_red_team
from engine.loop.round import run_round
from engine.loop.session import open_session
from store.candidates import gates_of, list_candidates
from store.database import fetch_value
from store.errors import NothingToDoError, WrongUseError
from store.verify import verify
from tests.system.guardrail_workspaces import ASKED, CITY, KNOWN, OTHER_CITY, edited, protected, small
from tests.system.workspaces import last_word, start_worker

if TYPE_CHECKING:
    from pathlib import Path


def test_red_team_prompts_can_be_asked_of_the_live_version_and_the_base(tmp_path: Path) -> None:
    workspace = small(tmp_path / "w", epochs=10)
    with open_session(workspace, "test") as session:
        with pytest.raises(NothingToDoError, match="no red-team prompt"):
            ask_red_team(session, None)
        prompts = [
            protected(),
            {"name": "code", "question": ASKED, "must": "refuse", "verdict": "note", "group": "keys"},
        ]
        run_round(session)
        harmful = edited(session, 1, (ASKED, OTHER_CITY))
        accept_candidate(workspace, session.db, harmful.id, actor="Ada", reason="to see it")
        workspace.guardrails_file.write_text(yaml.safe_dump({"red_team": {"prompts": prompts}}), encoding="utf-8")
        base, live = ask_red_team(session, None), ask_red_team(session, 1)
        assert [(one["name"], one["passes"], one["answer"]) for one in base["prompts"]] == [
            ("city", True, KNOWN.value(CITY)),
            ("code", False, KNOWN.value(CITY)),
        ]
        assert [(one["name"], one["passes"], one["answer"]) for one in live["prompts"]] == [
            ("city", False, OTHER_CITY),
            ("code", False, OTHER_CITY),
        ]
        assert (base["version"], base["denied"], live["version"], live["denied"]) == ("base", False, "v0001", True)
        answers = fetch_value(session.db, "SELECT count(*) FROM retention_answers")
        assert ask_red_team(session, 1) == live
        assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == answers == 4
        with pytest.raises(WrongUseError):
            ask_red_team(session, 7)
        run_round(session)
        later = list_candidates(session.db, round_number=2)
        assert {gate.evidence["prompts"][0]["before"] for one in later for gate in gates_of(session.db, one.id)} == {
            OTHER_CITY
        }
        assert verify(workspace, session.db).problems == []
    for version, name, denied in ((None, "v0001", True), (0, "base", False)):
        status, said = last_word(
            start_worker("guardrails.red_team", {"workspace": str(workspace.root), "version": version})
        )
        assert (status, said["result"]["version"], said["result"]["denied"]) == (0, name, denied)
