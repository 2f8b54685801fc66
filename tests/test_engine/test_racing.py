"""Racing decides on fewer repeats; by the exact rule, what is kept is what the whole table of verdicts would keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.lab.published_runs.racing import measure_racing
from engine.loop.racing import Contender, Race, next_updates, open_contenders, why_stopped
from engine.loop.reward import measure_reward
from engine.loop.select import score_candidate, select
from store.errors import WrongUseError
from tests.published_run import write_published_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.loop.racing import RacingRule
    from engine.loop.select import SelectionMode


@dataclass(frozen=True)
class Table:
    """The whole table of one task: right answers of each self-edit in each repeat, and those that the gates refuse."""

    race: Race
    right: tuple[tuple[int, ...], ...]
    refused: frozenset[int]


@st.composite
def tables(draw: st.DrawFn, rule: RacingRule = "exact") -> Table:
    """Few questions, so that there are many ties."""
    questions, repeats = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    edits = draw(st.integers(1, 6))
    counts = st.integers(0, questions)
    right = tuple(tuple(draw(st.lists(counts, min_size=repeats, max_size=repeats))) for _ in range(edits))
    row = tuple(draw(st.lists(st.booleans(), min_size=questions, max_size=questions)))
    mode: SelectionMode = draw(st.sampled_from(["best-k", "paper"]))
    threshold = draw(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1 / 3, 0.5, 1.0]))
    best_k = draw(st.integers(1, edits + 1))
    refused = draw(st.frozensets(st.integers(0, edits - 1)))
    return Table(Race(rule, mode, best_k, threshold, repeats, (row,)), right, refused)


def kept(table: Table, repeats: Sequence[int], left_out: frozenset[int]) -> tuple[str, ...]:
    """Return what is kept of those that are not left out, on the repeats that each of them has."""
    race, rows = table.race, []
    for place, of_edit in enumerate(table.right):
        if place not in left_out:
            verdicts = [[True] * count + [False] * (race.questions - count) for count in of_edit[: repeats[place]]]
            rows.append(score_candidate(str(place), "task", place, measure_reward(race.before, verdicts)))
    chosen = select(rows, mode=race.mode, best_k=race.best_k, threshold=race.threshold)
    return chosen.candidate_ids


@dataclass
class Outcome:
    """How a race went: repeats of each self-edit, those that were judged, and those that stopped."""

    repeats: list[int]
    judged: set[int]
    stages: int = 0


def run(table: Table) -> tuple[Outcome, list[Contender]]:
    """Race as the evaluator does: the gates speak once a self-edit needs no more repeats."""
    race, done = table.race, Outcome([0] * len(table.right), set())
    while True:
        field = [
            Contender(str(place), place, of_edit[: done.repeats[place]], is_judged=place in done.judged)
            for place, of_edit in enumerate(table.right)
            if not (place in done.judged and place in table.refused)
        ]
        updates = next_updates(race, field)
        for key, repeat in updates:
            assert (repeat, int(key) in done.judged) == (done.repeats[int(key)], False)
            done.repeats[int(key)] += 1
        complete = {place for place, count in enumerate(done.repeats) if count == race.repeats}
        if not updates:
            complete |= {int(one.candidate_id) for one in open_contenders(race, field)}
            if complete <= done.judged:
                return done, field
        done.judged |= complete
        done.stages += 1


@settings(max_examples=2000, deadline=None)
@given(tables())
def test_the_exact_rule_keeps_what_the_whole_table_keeps(table: Table) -> None:
    everything = kept(table, [table.race.repeats] * len(table.right), table.refused)
    done, field = run(table)
    stopped = {int(one.candidate_id) for one in field if why_stopped(table.race, one, field) is not None}
    assert kept(table, done.repeats, table.refused | stopped) == everything
    assert all(done.repeats[int(one)] == table.race.repeats for one in everything)
    # Even if the refused and the stopped are left in, nothing that stopped comes before what is kept.
    assert {str(place) for place in stopped}.isdisjoint(everything)


@settings(max_examples=500, deadline=None)
@given(tables("leaders"))
def test_the_leaders_rule_ends_and_keeps_no_more_than_it_may(table: Table) -> None:
    done, field = run(table)
    assert min(done.repeats) >= 1
    assert done.stages <= 2 + len(table.right) * (table.race.repeats + 1)
    stopped = {int(one.candidate_id) for one in field if not one.is_judged}
    assert len(kept(table, done.repeats, table.refused | stopped)) <= table.race.best_k
    for one in field:
        if not one.is_judged:
            assert why_stopped(table.race, one, field) in {"behind", "threshold", None}


@given(tables("off"))
@example(Table(Race("off", "paper", 1, 0.0, 3, ((False,),)), ((1, 1, 1), (0, 0, 0)), frozenset()))
def test_without_racing_everything_is_repeated_at_once(table: Table) -> None:
    done, _ = run(table)
    assert done.repeats == [table.race.repeats] * len(table.right)
    assert done.stages == 1


def race(rule: RacingRule, best_k: int = 1, mode: SelectionMode = "paper", questions: int = 4) -> Race:
    return Race(rule, mode, best_k, 0.0, 3, ((False,) * questions,))


def field(*right: tuple[int, ...]) -> list[Contender]:
    return [Contender(str(place), place, of_edit) for place, of_edit in enumerate(right)]


def test_the_most_promising_goes_first_so_that_the_others_stop_early() -> None:
    first = field((0,), (4,), (2,))
    assert next_updates(race("exact"), first) == [("1", 1)]
    assert next_updates(race("exact", best_k=2), first) == [("1", 1), ("2", 1)]
    led = field((0,), (4, 4, 4), (2,))
    assert next_updates(race("exact"), led) == []
    assert [why_stopped(race("exact"), one, led) for one in led] == ["behind", None, "behind"]


def test_a_tie_that_is_still_possible_is_not_decided_against_the_earlier_one() -> None:
    later_leads = field((3,), (4, 4, 3))
    assert why_stopped(race("exact"), later_leads[0], later_leads) is None  # it can come level, and was sampled first
    earlier_leads = field((4, 4, 3), (3,))
    assert why_stopped(race("exact"), earlier_leads[1], earlier_leads) == "behind"


def test_one_that_cannot_exceed_the_threshold_stops() -> None:
    known = Race("exact", "best-k", 1, 0.25, 2, ((True, True, False, False),))
    hopeless = field((1,), (4,))
    assert [why_stopped(known, one, hopeless) for one in hopeless] == ["threshold", None]


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        (((2,), (4,), (1,)), []),  # one leads: decided
        (((4,), (4,), (4,)), [("0", 1), ("1", 1)]),  # three are level: the first two go on
        (((4, 1), (4, 3), (4,)), []),
        (((4, 3), (4, 3), (4,)), [("0", 2), ("1", 2)]),
    ],
)
def test_only_those_that_are_level_with_the_leader_go_on(
    right: tuple[tuple[int, ...], ...], expected: list[tuple[str, int]]
) -> None:
    assert next_updates(race("leaders"), field(*right)) == expected


def test_when_the_leader_is_refused_the_rest_race_again() -> None:
    assert next_updates(race("leaders"), [Contender("1", 1, (2,)), Contender("2", 2, (2,))]) == [("1", 1), ("2", 1)]
    judged = Contender("0", 0, (4,), is_judged=True)
    assert next_updates(race("leaders"), [judged, Contender("1", 1, (2,)), Contender("2", 2, (2,))]) == []


def test_what_racing_saves_on_a_published_run(tmp_path: Path) -> None:
    figures = measure_racing(write_published_run(tmp_path / "rank_iter0.json"))
    assert (figures["passages"], figures["self_edits"], figures["repeats"]) == (50, 250, 3)
    rules = {row["rule"]: row for row in figures["rules"]}
    for name in ("off", "exact"):
        assert (rules[name]["same"]["mean"], rules[name]["lost"]["mean"]) == (1.0, 0.0)
    assert rules["leaders"]["trainings"]["mean"] < 0.5 < rules["exact"]["trainings"]["mean"] < 1.0
    assert rules["leaders"]["lost"]["low"] <= rules["leaders"]["lost"]["mean"] <= rules["leaders"]["lost"]["high"]
    assert measure_racing(tmp_path / "rank_iter0.json") == figures


def test_a_run_with_one_repeat_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match="two or more"):
        measure_racing(write_published_run(tmp_path / "eval_iter1.json", evaluation=True))
