from __future__ import annotations

from typing import TYPE_CHECKING

from store.deciding_files import FILES_KEY, changed_since_last_round, hash_deciding_files
from store.rounds import finish_round, start_round
from store.verify import verify

if TYPE_CHECKING:
    from tests.test_store.conftest import Lab


def test_files_changed_since_the_round_that_used_them_are_notes(lab: Lab) -> None:
    workspace = lab.workspace
    workspace.retention_folder.mkdir(exist_ok=True)
    for name in ("one.yaml", "two.jsonl", ".hidden"):
        (workspace.retention_folder / name).write_text("suite: x\n")
    workspace.guardrails_file.write_text("rules: []\n")
    files = hash_deciding_files(workspace)
    assert list(files) == ["guardrails.yaml", "retention/one.yaml", "retention/two.jsonl", "seal.yaml"]
    settings = {"k": 5, FILES_KEY: files}
    start_round(lab.db, seed=7, settings=settings, live_version=None, policy_version=None)
    assert changed_since_last_round(workspace, lab.db) == []
    workspace.settings_file.write_text("model: other\n")
    (workspace.retention_folder / "one.yaml").unlink()
    (workspace.retention_folder / "three.yaml").write_text("suite: y\n")
    (workspace.retention_folder / ".hidden").write_text("suite: z\n")
    report = verify(workspace, lab.db)
    assert report.problems == []
    assert report.notes == [
        "retention/one.yaml was removed since round 1 began",
        "retention/three.yaml was added since round 1 began",
        "seal.yaml has changed since round 1 began",
    ]


def test_a_round_of_an_older_release_says_nothing(lab: Lab) -> None:
    start_round(lab.db, seed=7, settings={"k": 5}, live_version=None, policy_version=None)
    finish_round(lab.db, 1, "done", {})
    lab.workspace.settings_file.write_text("model: other\n")
    assert verify(lab.workspace, lab.db).notes == []
