"""Another base in seal.yaml: what the old one answered no longer counts, and stays with its own rounds."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from engine.bundled import BUNDLED
from engine.loop.round import run_round
from engine.loop.session import open_session
from engine.model.model_folder import model_folder
from store.answers import record_base_answers
from store.candidates import list_candidates
from store.database import fetch
from store.dossier import dossier
from store.records import Answer
from store.tasks import get_task, list_tasks
from store.verify import verify
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path


def test_a_changed_base_is_examined_again_and_rewards_use_its_own_answers(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=2, train=2, held_out=0, per_task=1, epochs=1)
    with open_session(workspace, "test") as session:
        first = session.base.fingerprint
        questions = [
            question for one in list_tasks(session.db) for question in get_task(session.db, one.task.id).questions
        ]
        # What no base answers: whoever takes these for its own gains nothing over them.
        known = [
            Answer(one.id, None, 0, "before", "base", "the old base said so", 1.0, correct=True, base_fingerprint=first)
            for one in questions
        ]
        record_base_answers(session.db, known)
        run_round(session)
        assert fetch(
            session.db, "SELECT count(*) AS n FROM answers WHERE candidate_id IS NULL AND model_state = 'base'"
        ) == [{"n": len(questions)}]
    other = tmp_path / "other"
    shutil.copytree(model_folder(BUNDLED), other)
    (other / "note.json").write_text(json.dumps({"about": "the same weights under another fingerprint"}))
    text = workspace.settings_file.read_text(encoding="utf-8")
    workspace.settings_file.write_text(text.replace("path: bundled", f"path: {other}"), encoding="utf-8")
    with open_session(workspace, "test") as session:
        second = session.base.fingerprint
        assert second != first
        run_round(session)
        for number, base in ((1, first), (2, second)):
            for candidate in list_candidates(session.db, round_number=number):
                before = [answer for one in dossier(session.db, candidate).compared for answer in one.before]
                assert {answer.base_fingerprint for answer in before} == {base}
                assert ({answer.text for answer in before} == {"the old base said so"}) == (base == first)
                assert (candidate.reward_mean or 0.0) <= 0.0 or base == second
        assert verify(workspace, session.db).problems == []
