"""Another base in seal.yaml: what was trained on the last one is not used as if it were of this one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.bundled import BUNDLED
from engine.loop.accept import accept_candidate
from engine.loop.compare import compare_baselines
from engine.loop.round import run_round
from engine.loop.select import MEASURED
from engine.loop.session import open_session
from engine.model.model_folder import model_folder
from engine.runtime.progress import Progress
from store.candidates import list_candidates
from store.errors import WrongUseError
from store.rounds import get_round, list_rounds, start_round
from store.version_rows import latest_policy_version, live_version
from store.versions import rollback
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.workspace import Workspace

TAKES_ANY_POLICY = replace(MEASURED, policy_must_be_better=False)


def name_another_base(workspace: Workspace, folder: Path) -> None:
    """A model of the same shapes: one file more makes it another."""
    shutil.copytree(model_folder(BUNDLED), folder)
    (folder / "more.json").write_text("{}", encoding="utf-8")
    settings = workspace.settings_file.read_text(encoding="utf-8")
    workspace.settings_file.write_text(settings.replace("path: bundled", f"path: {folder}"), encoding="utf-8")


def test_a_live_version_and_a_policy_of_another_base_are_not_used(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", per_task=3, epochs=6)
    with open_session(workspace, "test") as session:
        run_round(session, method=TAKES_ANY_POLICY)
        examined = next(one for one in list_candidates(session.db) if one.state == "examined")
        accept_candidate(workspace, session.db, examined.id, actor="Ada", reason="helps")
        assert session.live_adapter(1) is not None
        assert latest_policy_version(session.db) == session.newest_policy is not None

    name_another_base(workspace, tmp_path / "another")
    said = list[Progress]()
    with open_session(workspace, "test", said.append) as session:
        with pytest.raises(WrongUseError, match="v0001 was trained on another base") as error:
            run_round(session)
        assert "'bundled', not" in error.value.message
        assert "seal-console versions rollback v0000" in (error.value.next_step or "")
        assert len(list_rounds(session.db)) == 1
        with pytest.raises(WrongUseError, match="v0001 was trained on another base"):
            compare_baselines(session, "held-out", ["base"], 1)
        with pytest.raises(WrongUseError, match="p0001 was trained on another base"):
            session.policy_adapter(1)

        rollback(workspace, session.db, 0, "Ada", "another base")
        assert live_version(session.db) is None
        assert session.newest_policy is None
        run_round(session)
        assert get_round(session.db, 2).policy_version is None
        assert any("No policy version was trained on this base yet" in (one.note or "") for one in said)


def test_the_same_files_in_another_folder_are_the_same_base(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    shutil.copytree(model_folder(BUNDLED), folder)
    workspace = small_workspace(tmp_path / "w", model=str(folder), pages=3, train=3, held_out=0)

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), open_session(workspace, "test", stop) as session:
        run_round(session)
    folder.rename(tmp_path / "there")
    settings = workspace.settings_file.read_text(encoding="utf-8")
    workspace.settings_file.write_text(settings.replace(f"path: {folder}", "path: ../there"), encoding="utf-8")
    with open_session(workspace, "test") as session:
        assert session.base.name == str(tmp_path / "there")
        assert run_round(session).number == 1
        assert [one.state for one in list_rounds(session.db)] == ["done"]


def test_another_precision_is_another_base_and_the_way_out_is_named(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=3, train=3, held_out=0)
    with open_session(workspace, "test") as session:
        settings = {"base": {**session.base.described(), "precision": "bfloat16"}}
        start_round(session.db, seed=0, settings=settings, live_version=None, policy_version=None)
        with pytest.raises(WrongUseError, match="round 1 began on another base: bfloat16") as refused:
            run_round(session)
    assert "model.precision in seal.yaml back to bfloat16" in refused.value.next_step
    assert "rounds abandon 1" in refused.value.next_step
