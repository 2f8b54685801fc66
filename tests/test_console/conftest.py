from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.settings.reading import default_settings_text
from store.workspace import Workspace, create_workspace
from tests.test_console.cli_scenario import CandidateMaker, CliCaller
from tests.test_console.shop_scenario import let_time_pass, make_shop, stop_time

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test stand in its own folder, with no workspace named from outside."""
    monkeypatch.delenv("SEAL_WORKSPACE", raising=False)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def new_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace to copy: making one takes longer than a copy."""
    return create_workspace(tmp_path_factory.mktemp("new") / "w", default_settings_text())


@pytest.fixture
def workspace(new_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    shutil.copytree(new_workspace.root, tmp_path / "w")
    monkeypatch.chdir(tmp_path / "w")
    return Workspace(tmp_path / "w")


@pytest.fixture(scope="session")
def new_shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shop to copy, the same wherever and whenever it is made."""
    with pytest.MonkeyPatch.context() as patch:
        let_time_pass(patch)
        return make_shop(tmp_path_factory.mktemp("new") / "shop")


@pytest.fixture
def shop(new_shop: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The shop, at noon, by a path that is as long in every folder."""
    shutil.copytree(new_shop.root, tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    stop_time(monkeypatch)
    return Workspace(Path("shop"))


@pytest.fixture
def maker(workspace: Workspace) -> Iterator[CandidateMaker]:
    opened = CandidateMaker.begin(workspace)
    yield opened
    opened.db.conn.close()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> CliCaller:
    return CliCaller(capsys)
