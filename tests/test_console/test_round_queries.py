from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seal_console.queries.rounds import histogram, kept_ids, ranked_rows, ranking, round_facts, round_lines
from store.clock import utc_now
from store.rounds import finish_round, start_round
from tests.test_console.cli_scenario import round_summary

if TYPE_CHECKING:
    from tests.test_console.cli_scenario import CandidateMaker

SETTINGS = {"base": {"name": "tiny"}, "round": {"held_out_edits": 2}}


def begin(maker: CandidateMaker, *, held_out: bool = False, **more: Any) -> int:
    chosen = {"train": [maker.task.id], "held_out": [maker.task.id] if held_out else []}
    settings = {**SETTINGS, "chosen_tasks": chosen}
    return start_round(maker.db, seed=7, settings=settings, live_version=None, policy_version=None, **more).number


def finish(maker: CandidateMaker, number: int, kept: list[str], before: float | None, after: float | None) -> None:
    finish_round(maker.db, number, "done", round_summary(kept, before, after))


def test_a_line_for_each_round_the_newest_first(maker: CandidateMaker) -> None:
    first = begin(maker, held_out=True)
    best = maker.examined(0.5)
    maker.examined(-0.25)
    maker.examined(0.0, passed=False)
    finish(maker, first, [best.id], 0.5, 0.25)
    second = begin(maker)
    maker.examined(1.0)
    newest, oldest = round_lines(maker.db)
    assert (newest.number, newest.state, newest.kept, newest.duration_s) == (second, "running", None, None)
    assert (oldest.candidates, oldest.kept, oldest.refused, oldest.tasks, oldest.held_out_tasks) == (3, 1, 1, 1, 1)
    assert oldest.mean_reward == pytest.approx(0.25 / 3)
    assert (oldest.best_reward, oldest.held_out_before, oldest.held_out_after) == (0.5, 0.5, 0.25)
    assert oldest.policy_dropped
    assert oldest.duration_s is not None
    assert [line.number for line in round_lines(maker.db, second)] == [second]


def test_edited_candidates_are_ranked_but_not_counted_in_the_round(maker: CandidateMaker) -> None:
    number = begin(maker)
    written = maker.examined(0.25)
    edited = maker.examined(0.75, derived_from=written.id, sampling={"edited_by": "Ada"})
    (line,) = round_lines(maker.db)
    assert (line.candidates, line.best_reward) == (1, 0.25)
    rows = ranked_rows(maker.db, list(ranking(maker.db, number)))
    assert [rows[key].id for key in ranking(maker.db, number)] == [edited.id, written.id]


def test_the_best_comes_first_and_each_role_has_its_own_ranks(maker: CandidateMaker) -> None:
    number = begin(maker)
    low, high = maker.examined(0.1), maker.examined(0.9)
    exam = maker.examined(0.5, role="held_out")
    places = ranking(maker.db, number)
    rows = ranked_rows(maker.db, list(places))
    assert [(rows[key].id, place) for key, place in places.items()] == [(high.id, 1), (low.id, 2), (exam.id, 1)]


def test_a_round_in_figures(maker: CandidateMaker) -> None:
    number = begin(maker, held_out=True)
    for reward, passed in ((0.5, True), (0.55, True), (-0.5, False)):
        maker.examined(reward, passed=passed)
    (line,) = round_lines(maker.db)
    facts = round_facts(maker.db, line)
    assert facts.by_format == {"implications": 3}
    assert facts.refused_by_gate == {"reward": 1}
    assert (facts.updates, facts.first_loss, facts.last_loss, facts.trained_tokens) == (3, 2.0, 1.0, 600)
    assert (facts.held_out_questions, facts.held_out_edits, facts.policy) == (2, 2, None)
    assert {one.low: one.count for one in facts.rewards if one.count} == {-0.5: 1, 0.5: 2}
    assert kept_ids(facts.round) == frozenset()
    assert sum(one.count for one in histogram(maker.db, number)) == 3


def test_rewards_at_the_ends_are_in_the_first_and_the_last_bin(maker: CandidateMaker) -> None:
    number = begin(maker)
    maker.examined(-1.0)
    maker.examined(1.0)
    assert [one.count for one in histogram(maker.db, number)] == [1, 0, 0, 0, 0, 0, 0, 1]


def test_an_imported_round_is_labelled(maker: CandidateMaker) -> None:
    number = start_round(
        maker.db, seed=0, settings={"path": "eval.json"}, live_version=None, policy_version=None, imported=True
    ).number
    finish_round(maker.db, number, "done", {"mean_gain": 0.1})
    (line,) = round_lines(maker.db)
    assert (line.imported, line.kept, line.duration_s, line.policy_dropped) == (True, None, None, False)
    assert line.started_at <= utc_now()
