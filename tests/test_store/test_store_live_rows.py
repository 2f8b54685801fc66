"""Rows that are no history: live progress and saved filters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from store.errors import WrongUseError
from store.events import chain_head
from store.live_progress import clear_progress, put_progress, read_progress
from store.records import LiveProgress
from store.saved_filters import delete_filter, list_filters, save_filter

if TYPE_CHECKING:
    from sqlite_utils import Database

EARLY, LATE = "2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.000Z"


def test_a_stage_has_one_row_and_all_are_forgotten_at_once(db: Database) -> None:
    exam = LiveProgress("exam", 1, 9, "questions", "", None, LATE, LATE, {})
    inner = LiveProgress("inner updates", 3, 8, "updates", "", 1.5, EARLY, LATE, {"running": [{"losses": [2.5, 0.5]}]})
    put_progress(db, [exam, inner])
    assert read_progress(db) == [inner, exam]
    put_progress(db, [replace(exam, done=9, rate=0.25)])
    assert [stage.done for stage in read_progress(db)] == [3, 9]
    clear_progress(db)
    assert read_progress(db) == []
    assert chain_head(db)[0] == 0


def test_progress_with_a_number_that_is_none_changes_nothing(db: Database) -> None:
    good = LiveProgress("exam", 1, 9, "", "", None, EARLY, EARLY, {})
    with pytest.raises(ValueError, match="JSON compliant"):
        put_progress(db, [good, replace(good, stage="policy", details={"losses": [float("nan")]})])
    assert read_progress(db) == []


def test_filters_are_kept_by_name(db: Database) -> None:
    first = save_filter(db, " mine ", "queue", "reward>0.5", "Ada")
    other = save_filter(db, "failures", "answers", "wrong", "Bob")
    assert first.name == "mine"
    assert list_filters(db) == [other, first]
    assert list_filters(db, "queue") == [first]
    changed = save_filter(db, "mine", "queue", "reward>0.7", "Bob")
    assert list_filters(db, "queue") == [changed]
    delete_filter(db, "mine")
    assert list_filters(db) == [other]
    with pytest.raises(WrongUseError, match="no saved filter 'mine'") as caught:
        delete_filter(db, "mine")
    assert "failures" in caught.value.next_step
    with pytest.raises(WrongUseError, match="needs a name"):
        save_filter(db, " ", "queue", "x", "Ada")
