"""An adapter from elsewhere as the first version: whole or not at all, with its origin on record."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from store import versions
from store.adapter_files import ADAPTER_NAMES, hash_adapter
from store.base_compatibility import base_of_version
from store.candidates import list_candidates
from store.database import fetch
from store.errors import WrongUseError
from store.importing import AdapterOrigin
from store.live_ref import sync_checkout
from store.recovery import recover
from store.repository import Repository
from store.review_queue import review_queue
from store.rounds import abandon_round, finish_round, list_rounds
from store.tasks import list_tasks
from store.verify import verify
from store.version_rows import list_versions, live_version
from store.versions import rollback, version_adapter_files
from tests.test_store.conftest import BASE, make_adapter
from tests.test_store.test_store_crash import GIT_CALLS_OF_ACCEPT, recovered, run_child

if TYPE_CHECKING:
    from store.records import Version
    from tests.test_store.conftest import Lab

ORIGIN = AdapterOrigin("/adapters/mine", "sha256:" + "5" * 64, "other/base", 4, 8.0, 2)
FILES = make_adapter(7)


def import_it(lab: Lab, **more: Any) -> Version:
    words: dict[str, Any] = {"actor": "Ada", "reason": "trained on our manuals", **more}
    return versions.import_adapter(lab.workspace, lab.db, FILES, BASE, ORIGIN, **words)


def test_it_is_live_with_its_origin_on_record(lab: Lab) -> None:
    version = import_it(lab)
    assert (version.tag, live_version(lab.db), version.parent_number) == ("v0001", 1, None)
    assert version_adapter_files(lab.workspace, lab.db, 1) == FILES
    for name in ADAPTER_NAMES:
        assert (lab.workspace.adapters_folder / name).read_bytes() == FILES[name]
    manifest = json.loads((lab.workspace.adapters_folder / "manifest.json").read_text())
    assert manifest["imported"]["folder"] == "/adapters/mine"
    assert manifest["imported"]["source_hash"] == ORIGIN.source_hash
    card = (lab.workspace.adapters_folder / "README.md").read_text()
    assert "## Imported\n\n    folder: /adapters/mine" in card
    (event,) = fetch(lab.db, "SELECT payload FROM events WHERE kind = 'adapter.imported'")
    payload = json.loads(event["payload"])
    assert (payload["actor"], payload["reason"]) == ("Ada", "trained on our manuals")
    assert payload["adapter_hash"] == hash_adapter(FILES)
    assert base_of_version(lab.db, 1) == BASE
    assert verify(lab.workspace, lab.db).problems == []


def test_it_takes_no_part_in_rounds_and_reviews(lab: Lab) -> None:
    import_it(lab)
    (of_it,) = list_rounds(lab.db)
    assert (of_it.imported, of_it.state) == (True, "done")
    assert [one.task.id for one in list_tasks(lab.db, imported=False)] == [lab.task.id]
    (candidate,) = list_candidates(lab.db)
    assert candidate.state == "accepted"
    assert review_queue(lab.db, ["examined", "deferred"]) == []


def test_versions_are_accepted_on_top_of_it_and_rolled_back(lab: Lab) -> None:
    import_it(lab)
    second = lab.accept()
    assert (second.tag, second.parent_number) == ("v0002", 1)
    rollback(lab.workspace, lab.db, 1, "Ada", "worse")
    assert (lab.workspace.adapters_folder / ADAPTER_NAMES[1]).read_bytes() == FILES[ADAPTER_NAMES[1]]
    rollback(lab.workspace, lab.db, None, "Ada", "the base alone")
    finish_round(lab.db, 2, "done", {})
    recovered(lab)
    assert sync_checkout(lab.workspace, lab.db) is None


def test_only_the_first_version_is_imported(lab: Lab) -> None:
    import_it(lab)
    rollback(lab.workspace, lab.db, None, "Ada", "again")
    with pytest.raises(WrongUseError, match=r"before the first acceptance; this workspace has v0001") as refused:
        import_it(lab)
    assert "seal-console init DIR" in refused.value.next_step
    assert len(list_versions(lab.db)) == 1


def test_an_unfinished_round_keeps_it_out(lab: Lab) -> None:
    lab.propose()
    with pytest.raises(WrongUseError, match="Round 1 is running: its candidates are trained on the base") as refused:
        import_it(lab)
    assert "rounds abandon 1" in refused.value.next_step
    abandon_round(lab.db, 1, "Ada", "for the import")
    assert import_it(lab).tag == "v0001"
    recovered(lab)


@pytest.mark.parametrize("words", [{"actor": " "}, {"reason": ""}])
def test_it_needs_an_author_and_a_reason(lab: Lab, words: dict[str, str]) -> None:
    with pytest.raises(WrongUseError, match="A decision needs"):
        import_it(lab, **words)


def check_all_or_nothing(lab: Lab) -> None:
    recovered(lab)
    tags = sorted(Repository.open(lab.workspace.adapters_folder).tags())
    if list_versions(lab.db):
        assert (live_version(lab.db), tags, len(list_rounds(lab.db))) == (1, ["v0000", "v0001"], 2)
        return
    rows = [
        list_rounds(lab.db, imported=True),
        list_tasks(lab.db, imported=True),
        list_candidates(lab.db, imported=True),
    ]
    assert (live_version(lab.db), tags, rows) == (None, ["v0000"], [[], [], []])
    assert import_it(lab).number == 1
    assert verify(lab.workspace, lab.db).problems == []


@pytest.mark.parametrize(
    ("step", "is_there"),
    [
        ("files_written", False),
        ("objects_written", False),
        ("announced", False),
        ("refs_moved", True),
        ("tree_updated", True),
        ("in transaction", True),
        ("recorded", True),
    ],
)
def test_an_import_killed_at_a_named_step(lab: Lab, step: str, is_there: bool) -> None:
    given = lab.examined()
    finish_round(lab.db, 1, "done", {})
    assert run_child(lab, "import", step, given) == -signal.SIGKILL
    recover(lab.workspace, lab.db)
    assert bool(list_versions(lab.db)) == is_there
    check_all_or_nothing(lab)


@pytest.mark.parametrize("call", [*range(19, GIT_CALLS_OF_ACCEPT + 1, 2)])
def test_an_import_killed_before_a_git_command(lab: Lab, call: int) -> None:
    given = lab.examined()
    finish_round(lab.db, 1, "done", {})
    assert run_child(lab, "import", f"git {call}", given) == -signal.SIGKILL
    check_all_or_nothing(lab)
