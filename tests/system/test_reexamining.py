"""Edited self-edits on the bundled model: trained and examined as in a round, which never sees them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Never

import pytest

from engine.domains.knowledge.compile import compile_sequences
from engine.loop.accept import accept_candidate
from engine.loop.reexamine import reexamine
from engine.loop.round import run_round
from engine.loop.select import SelectionMethod
from engine.loop.session import open_session
from store.candidates import get_candidate, inner_updates_of, list_candidates
from store.errors import WrongUseError
from store.rounds import latest_round
from store.tasks import get_task
from store.verify import verify
from store.workspace import Workspace
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.loop.session import Session
    from store.records import Candidate


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one finished round, to copy."""
    workspace = small_workspace(tmp_path_factory.mktemp("reexamining") / "w", epochs=2)
    with open_session(workspace, "test") as session:
        run_round(session)
    return workspace.root


@pytest.fixture
def session(finished: Path, tmp_path: Path) -> Iterator[Session]:
    shutil.copytree(finished, tmp_path / "w")
    with open_session(Workspace(tmp_path / "w"), "test") as opened:
        yield opened


def first(session: Session) -> Candidate:
    return list_candidates(session.db, role="train", derived=False)[0]


def edit(session: Session, original: Candidate, actor: str = "Ada", **changes: Any) -> Candidate:
    return reexamine(session, {"candidate": original.id, **changes}, actor)


def test_another_text_is_trained_and_examined_as_a_candidate_of_its_own(session: Session) -> None:
    original = first(session)
    task = get_task(session.db, original.task_id)
    made = edit(session, original, completion="One line.\nAnother line.")
    assert made.state == "examined"
    assert made.reward_mean is not None
    assert made.sequences == compile_sequences(made.completion, title=task.title, context=task.context)
    assert made.sampling == {"edited_by": "Ada", "off": []}
    same = ("round_number", "task_id", "role", "edit_format", "prompt", "live_version")
    assert [getattr(made, name) for name in same] == [getattr(original, name) for name in same]
    assert (made.derived_from, made.policy_version, made.position) == (original.id, None, 2)
    [update] = inner_updates_of(session.db, made.id)
    assert len(update.losses) == 2 * len(made.sequences)
    assert edit(session, original, actor="Bob", completion="One line.\nAnother line.") == made
    assert inner_updates_of(session.db, made.id) == [update]
    again = edit(session, made, off=[0])
    assert (again.derived_from, again.position, again.completion) == (made.id, 3, made.completion)
    assert again.sequences == made.sequences[1:]
    assert get_candidate(session.db, original.id) == original
    assert verify(session.workspace, session.db).problems == []


def test_sequences_are_switched_off_or_rewritten(session: Session) -> None:
    original = first(session)
    last = len(original.sequences) - 1
    without = edit(session, original, off=[last])
    assert without.sequences == original.sequences[:last]
    assert (without.completion, without.sampling["off"]) == (original.completion, [last])
    texts = ["A sequence of one's own.", *original.sequences[1:]]
    assert edit(session, original, sequences=texts).sequences == texts
    with pytest.raises(WrongUseError, match="nothing is left to train on"):
        edit(session, original, off=list(range(len(original.sequences))))
    assert len(list_candidates(session.db, derived=True)) == 2


def test_an_edited_candidate_goes_live_and_its_version_says_who_edited_it(session: Session) -> None:
    workspace, db = session.workspace, session.db
    original = first(session)
    made = edit(session, original, completion="An edited line.")
    assert accept_candidate(workspace, db, made.id, actor="Bob", reason="better").number == 1
    manifest = json.loads((workspace.adapters_folder / "manifest.json").read_bytes())
    assert manifest["candidate"]["derived_from"] == original.id
    assert manifest["candidate"]["sampling"]["edited_by"] == "Ada"
    card = (workspace.adapters_folder / "README.md").read_text(encoding="utf-8")
    assert f"## Edited\n\n    by             Ada\n    from candidate {original.id}\n" in card
    on_top = edit(session, original)
    assert (on_top.live_version, on_top.sequences) == (1, original.sequences)
    assert accept_candidate(workspace, db, on_top.id, actor="Bob", reason="on what is live").parent_number == 1
    assert verify(workspace, db).problems == []


def test_a_round_that_is_gone_on_with_does_not_see_what_was_edited_meanwhile(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> Never:
        raise KeyboardInterrupt

    with open_session(Workspace(finished), "test") as session:
        undisturbed = latest_round(session.db)
    with open_session(small_workspace(tmp_path / "w", epochs=2), "test") as session:
        with monkeypatch.context() as patched:
            patched.setattr("engine.loop.round.MEASURED", SelectionMethod(stop, policy_must_be_better=True))
            with pytest.raises(KeyboardInterrupt):
                run_round(session)
        assert latest_round(session.db).state == "interrupted"
        for original in list_candidates(session.db, role="train"):
            task = get_task(session.db, original.task_id)
            known = "\n".join(f"Question: {one.text}\nAnswer: {one.answers[0]}" for one in task.questions)
            assert edit(session, original, completion=known).derived_from == original.id
        done = run_round(session)
        assert (done.number, done.state, done.summary) == (1, "done", undisturbed.summary)
        assert done.summary is not None
        derived = list_candidates(session.db, derived=True)
        assert derived
        assert not {one.id for one in derived} & set(done.summary["kept"])
        assert verify(session.workspace, session.db).problems == []


def test_an_interrupted_re_examination_is_gone_on_with(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> Never:
        raise KeyboardInterrupt

    original = first(session)
    with monkeypatch.context() as patched:
        patched.setattr("engine.loop.evaluate.evaluate_candidates", stop)
        with pytest.raises(KeyboardInterrupt):
            edit(session, original, off=[0])
    [cut_off] = list_candidates(session.db, derived=True)
    assert cut_off.state == "proposed"
    with pytest.raises(WrongUseError, match="not examined yet") as caught:
        accept_candidate(session.workspace, session.db, cut_off.id, actor="Ada", reason="x")
    assert "again" in caught.value.next_step
    assert edit(session, original, off=[0]).id == cut_off.id
    assert [one.state for one in list_candidates(session.db, derived=True)] == ["examined"]


def test_what_cannot_be_re_examined(session: Session, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match="no candidate 'zzzz'"):
        reexamine(session, {"candidate": "zzzz"}, "Ada")
    with pytest.raises(WrongUseError, match="not valid"):
        reexamine(session, {}, "Ada")
    original = first(session)
    shutil.copytree(finished, tmp_path / "other")
    other = Workspace(tmp_path / "other")
    settings = other.settings_file.read_text().replace("path: bundled", "path: bundled\n  precision: bfloat16")
    other.settings_file.write_text(settings)
    with open_session(other, "test") as session_on_another, pytest.raises(WrongUseError, match="began on another base"):
        edit(session_on_another, original, off=[0])
    session.db.conn.execute("UPDATE candidates SET imported = 1 WHERE id = ?", (original.id,))
    with pytest.raises(WrongUseError, match="is imported"):
        edit(session, original, off=[0])
