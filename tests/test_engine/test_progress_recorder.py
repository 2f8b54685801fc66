from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runtime.progress import Progress
from engine.runtime.progress_channel import ProgressRecorder


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def exam(done: int, total: int = 100) -> Progress:
    return Progress("exam", done, total, "questions")


def test_only_what_changed_is_handed_out_and_only_the_newest_of_it() -> None:
    recorder = ProgressRecorder(Clock())
    for done in range(5):
        recorder.report(exam(done))
    recorder.report(Progress("round", 0, 0, note="Round 1."))
    rows = {row.stage: row for row in recorder.take_changed()}
    assert (rows["exam"].done, rows["exam"].total, rows["exam"].unit) == (4, 100, "questions")
    assert (rows["round"].note, rows["round"].rate) == ("Round 1.", None)
    assert recorder.take_changed() == []
    recorder.report(exam(100))
    [row] = recorder.take_changed()
    assert row.done == row.total


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    recorder = ProgressRecorder(clock)
    recorder.report(exam(0))
    assert recorder.take_changed()[0].rate is None
    for step in range(1, 41):  # ten a second for ten seconds, then one a second
        clock.now += 0.25 if step <= 20 else 1.0
        recorder.report(exam(step))
    [row] = recorder.take_changed()
    assert row.rate == pytest.approx(1.0, rel=0.15)


def test_a_stage_that_begins_again_has_a_new_beginning_and_no_rate_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["t1", "t2", "t3", "t4"])
    monkeypatch.setattr("engine.runtime.progress_channel.utc_now", lambda: next(times))
    clock = Clock()
    recorder = ProgressRecorder(clock)
    recorder.report(exam(0, 10))
    clock.now += 2
    recorder.report(exam(10, 10))
    [row] = recorder.take_changed()
    assert (row.started_at, row.updated_at, row.rate) == ("t1", "t2", 5.0)
    recorder.report(exam(0, 10))
    [row] = recorder.take_changed()
    assert (row.started_at, row.rate) == ("t3", None)
    recorder.report(exam(0, 20))
    assert recorder.take_changed()[0].started_at == "t4"


def test_details_stay_until_there_are_others_or_the_stage_is_done() -> None:
    recorder = ProgressRecorder(Clock())
    details = {"running": [{"losses": [1.0]}]}
    recorder.report(Progress("inner updates", 0, 2, details=details))
    recorder.report(Progress("inner updates", 1, 2))
    assert recorder.take_changed()[0].details == details
    recorder.report(Progress("inner updates", 1, 2, details={"running": []}))
    assert recorder.take_changed()[0].details == {"running": []}
    recorder.report(Progress("inner updates", 2, 2))
    assert recorder.take_changed()[0].details == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0, 20)), max_size=30))
def test_the_last_report_is_always_written_and_every_figure_is_finite(
    told: list[tuple[int, int, float]],
) -> None:
    clock = Clock()
    recorder = ProgressRecorder(clock)
    for done, total, passed in told:
        clock.now += passed
        recorder.report(exam(done, total))
        [row] = recorder.take_changed()
        assert (row.done, row.total) == (done, total)
        assert row.rate is None or 0 <= row.rate < 1e6
