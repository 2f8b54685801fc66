"""One order of candidates everywhere: SQL, Python, the command line, the console's queue, rounds and tasks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.loop.accept import best_acceptable
from engine.loop.select import ScoredCandidate, select
from engine.settings.reading import default_settings_text
from engine.settings.sections import AcceptanceSettings
from seal_console.queries.queue import SORTS, QueueQuery, queue_keys, queue_rows, siblings
from seal_console.queries.rounds import ranked_rows, ranking
from seal_console.queries.tasks import TasksQuery, task_facts, task_keys
from store.candidates import list_candidates
from store.clock import utc_now
from store.database import fetch
from store.ranking import candidate_rank, in_units, rank_order
from store.records import Candidate
from store.review_queue import WAITING_CONDITION, count_waiting, is_waiting
from store.rounds import finish_round, start_round
from store.rows import insert
from store.tasks import add_tasks
from store.workspace import create_workspace
from tests.test_console.cli_scenario import CandidateMaker, CliCaller, make_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

ROUNDS = 2
# Few values, so that ties are many, and neighbours that differ by floating point only.
FIGURES = st.one_of(
    st.none(),
    st.sampled_from([-1.0, -0.25, 0.0, 1 / 3, 1 / 3 + 1e-16, 0.1 + 0.2, 0.3, 0.3 + 1e-9, 0.5, 1.0]),
    st.floats(-1.0, 1.0),
)
STATES = st.sampled_from(["proposed", "examined", "accepted", "rejected", "deferred", "refused"])
ROWS = st.lists(
    st.tuples(
        FIGURES, FIGURES, st.none() | st.sampled_from([0.0, 0.1, 0.25]), STATES, st.integers(1, ROUNDS),
        st.integers(0, 3), st.booleans(), st.sampled_from(["train", "held_out"]), st.integers(0, 1),
    ),
    max_size=12,
)  # fmt: skip


@pytest.fixture
def shop(tmp_path: Any) -> CandidateMaker:
    maker = CandidateMaker.begin(create_workspace(tmp_path / "w", default_settings_text()))
    add_tasks(maker.db, [make_task("Delivery")])
    for _ in range(ROUNDS):
        opened = start_round(maker.db, seed=0, settings={}, live_version=None, policy_version=None)
        finish_round(maker.db, opened.number, "done", {})
    return maker


def fill(db: Database, rows: Sequence[tuple[Any, ...]]) -> list[Candidate]:
    tasks = [row["id"] for row in fetch(db, "SELECT id FROM tasks ORDER BY rowid")]
    with db.conn:
        db.conn.execute("DELETE FROM candidates")
        for number, (reward, audit, spread, state, round_number, position, imported, role, task) in enumerate(rows):
            candidate = Candidate(
                id=f"sha256:{(number * 7) % 13:02x}{'c' * 62}", round_number=round_number, task_id=tasks[task],
                position=position, role=role, edit_format="implications", prompt="", completion="text", sampling={},
                seed=number, state=state, created_at=utc_now(), sequences=[], live_version=None, reward_mean=reward,
                reward_std=spread, audit_gain=audit, imported=imported,
            )  # fmt: skip
            insert(db, "candidates", candidate)
    return list_candidates(db)


def ids(candidates: Sequence[Candidate]) -> list[str]:
    return [one.id for one in candidates]


def ids_of_keys(db: Database, keys: Sequence[int]) -> list[str]:
    rows = queue_rows(db, list(keys))
    return [rows[key].id for key in keys]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_all_views_agree_on_the_order(
    shop: CandidateMaker, capsys: pytest.CaptureFixture[str], rows: list[Any]
) -> None:
    db = shop.db
    candidates = fill(db, rows)
    ranked = sorted(candidates, key=candidate_rank)
    waiting = [one for one in ranked if is_waiting(one.state, imported=one.imported)]
    call = CliCaller(capsys)

    assert ids_of_keys(db, queue_keys(db, QueueQuery(everything=True))) == ids(ranked)
    assert ids_of_keys(db, queue_keys(db, QueueQuery(everything=True, text="text"))) == ids(ranked)
    assert ids_of_keys(db, queue_keys(db, QueueQuery())) == ids(waiting)
    assert ids_of_keys(db, queue_keys(db, QueueQuery(backwards=True))) == ids(waiting)[::-1]
    assert count_waiting(db) == len(waiting)
    listed = call("-w", shop.workspace.root, "review", "list", "--json").objects
    assert [one["id"] for one in listed] == ids(waiting)

    for number in range(1, ROUNDS + 1):
        of_round = [one for one in ranked if one.round_number == number]
        in_round = ids([one for role in ("train", "held_out") for one in of_round if one.role == role])
        found = ranked_rows(db, list(ranking(db, number)))
        assert [found[key].id for key in ranking(db, number)] == in_round
    for key in task_keys(db, TasksQuery()):
        facts = task_facts(db, key)
        assert facts is not None
        measured = [one for one in ranked if one.task_id == facts.task.id and one.reward_mean is not None]
        assert facts.best_candidate == (measured[0].id if measured else None)
    for one in candidates:
        family = [
            other for other in ranked
            if (other.task_id, other.round_number, other.role) == (one.task_id, one.round_number, one.role)
        ]  # fmt: skip
        assert [row.id for row in siblings(db, one.id)] == ids([o for o in family if o.reward_mean is not None])


@given(rows=ROWS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_goes_live_automatically_is_the_first_of_the_queue_that_may(shop: CandidateMaker, rows: list[Any]) -> None:
    candidates = [
        one for one in fill(shop.db, rows) if one.state == "examined" and one.role == "train" and one.reward_mean
    ]
    with_adapter = [Candidate(**{**vars_of(one), "adapter_hash": "sha256:" + "a" * 64}) for one in candidates]
    best = best_acceptable(with_adapter, (), AcceptanceSettings(automatic=True, min_reward=None, min_audit_gain=None))
    assert best == min(with_adapter, key=candidate_rank, default=None)


def vars_of(candidate: Candidate) -> dict[str, Any]:
    return {name: getattr(candidate, name) for name in candidate.__slots__}


@given(st.lists(st.tuples(st.floats(0.01, 1.0), st.sampled_from([0.0, 0.1])), min_size=1, max_size=8))
def test_training_keeps_the_best_by_the_same_order_without_audit_questions(figures: list[tuple[float, float]]) -> None:
    scored = [
        ScoredCandidate(f"id{number}", "task", number, reward, spread, (reward,))
        for number, (reward, spread) in enumerate(figures)
    ]
    kept = select(scored, best_k=len(scored)).candidate_ids
    expected = sorted(scored, key=lambda one: (-in_units(one.reward_mean), in_units(one.reward_std), one.position))
    assert list(kept) == [one.candidate_id for one in expected]


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_python_rounds_as_sqlite_does(shop: CandidateMaker, value: float) -> None:
    if math.isinf(value * 1e9):
        return
    assert shop.db.conn.execute("SELECT round(? * 1e9)", (value,)).fetchone()[0] == in_units(value)


def test_the_queue_of_a_large_store_is_read_in_order_from_an_index(shop: CandidateMaker) -> None:
    for condition in ("1", WAITING_CONDITION):
        plan = fetch(
            shop.db,
            "EXPLAIN QUERY PLAN SELECT candidates.rowid FROM candidates INDEXED BY candidates_by_rank "  # noqa: S608
            f"WHERE {condition} ORDER BY {rank_order()}",
        )
        assert [row["detail"].split(" INDEX ")[1] for row in plan] == ["candidates_by_rank"]
    for sort in SORTS:
        queue_keys(shop.db, QueueQuery(sort=sort))
