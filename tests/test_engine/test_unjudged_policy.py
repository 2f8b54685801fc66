"""A policy that an interrupted round has trained and not judged yet: used again only if it has not changed since."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from engine.loop import train_policy
from engine.loop.propose import Policy
from store.adapter_files import hash_adapter
from store.database import open_database
from store.rounds import start_round
from store.workspace import create_workspace

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"adapter_config.json": b"{}", "adapter_model.safetensors": b"weights"}


@pytest.mark.parametrize("change", ["nothing", "weights", "a file is gone"])
def test_a_changed_policy_is_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    trained: list[int] = []
    said: list[str] = []

    def train(_session: object, _policy: object, _kept: object, number: int) -> Any:
        trained.append(number)
        return SimpleNamespace(adapter=None, losses=[], steps=1, tokens=1, elapsed_s=0.1)

    monkeypatch.setattr(train_policy, "train_policy", train)
    monkeypatch.setattr(train_policy, "adapter_files", lambda *_: FILES)
    workspace = create_workspace(tmp_path / "w", "")
    db = open_database(workspace.database_file)
    current = start_round(db, seed=7, settings={}, live_version=None, policy_version=None)
    session: Any = SimpleNamespace(
        db=db, workspace=workspace, say=said.append, read=lambda *_: None, base=SimpleNamespace(folder="base")
    )

    def policy() -> Policy:
        return train_policy.candidate_policy(session, current, Policy(None, None, None), []).policy

    assert policy().adapter_hash == hash_adapter(FILES)
    folder = workspace.candidate_policy_folder(current.number)
    if change == "weights":
        (folder / "adapter_model.safetensors").write_bytes(b"others")
    elif change == "a file is gone":
        (folder / "adapter_config.json").unlink()
    assert policy().adapter_hash == hash_adapter(FILES)
    assert (len(trained), len(said)) == ((1, 0) if change == "nothing" else (2, 1))
    db.close()
