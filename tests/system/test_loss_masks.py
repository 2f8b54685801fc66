"""A domain's loss masks are recorded with a candidate, and are what its inner update is trained with."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import yaml

from engine.continual.replay_plan import ReplayPlan
from engine.domains.domain import TrainingExample, UpdatePlan, examples_of
from engine.domains.knowledge.domain import KnowledgeDomain
from engine.loop.evaluate import inner_job
from engine.loop.round import run_round
from engine.loop.session import open_session
from store.candidates import hash_proposal, inner_updates_of, list_candidates
from store.database import open_database
from store.verify import verify
from tests.system.test_tracking import SMALL_ROUND
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from store.records import Task


@dataclass(frozen=True, slots=True)
class TitlesMasked(KnowledgeDomain):
    """The knowledge domain, but the first line of each sequence is not trained on."""

    def compile(self, self_edit: str, task: Task) -> UpdatePlan:
        whole = KnowledgeDomain.compile(self, self_edit, task).examples
        return UpdatePlan(tuple(TrainingExample(one.text, one.text.find("\n") + 1) for one in whole))


def test_masks_are_recorded_and_trained_with(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=4)
    workspace.settings_file.write_text(yaml.safe_dump(SMALL_ROUND))
    with open_session(workspace, "test") as session:
        session.domain = TitlesMasked("rewrite", "default", 16)
        run_round(session)
        candidates = list_candidates(session.db)
        updates = {one.id: inner_updates_of(session.db, one.id) for one in candidates}
    masked = [one for one in candidates if one.loss_starts]
    assert masked
    for one in masked:
        assert examples_of(one) == [TrainingExample(text, text.find("\n") + 1) for text in one.sequences]
        whole = replace(one, loss_starts=[])
        assert hash_proposal(whole) != hash_proposal(one)
    trained = [sum(update.trained_tokens for update in found) for found in updates.values() if found]
    assert trained
    with closing(open_database(workspace.database_file)) as db:
        assert verify(workspace, db).problems == []


def test_a_masked_start_is_not_trained_on(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", pages=4)
    with open_session(workspace, "test") as session:
        text = "The first part is masked.\nThe second part is not."
        whole, masked = (
            inner_job(session, None, [TrainingExample(text, start)], ReplayPlan(), key="one", repeat=0)
            for start in (0, text.index("\n") + 1)
        )
        (long,), (short,) = whole.sequences, masked.sequences
        assert long.tokens == short.tokens
        assert long.loss_start < short.loss_start
        assert session.base.tokenizer.decode(short.tokens[short.loss_start :]).startswith("The second")
