from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.gates.names import is_guardrail_gate
from engine.loop.export_sft import sft_rows
from engine.loop.reward import measure_reward
from engine.loop.select import ScoredCandidate, SelectionMode, may_be_reinforced, paper_score, score_candidate, select
from store.records import Candidate, GateResult, OnFailure


def candidate(name: str, task: str, position: int, mean: float, std: float = 0.0, *after: float) -> ScoredCandidate:
    return ScoredCandidate(name, task, position, mean, std, after or (mean,))


@st.composite
def rounds(draw: st.DrawFn) -> list[ScoredCandidate]:
    """Some candidates of some tasks, in any order, with many ties."""
    tasks = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    share = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0])
    found = []
    for task, size in enumerate(tasks):
        for position in range(size):
            mean, base = draw(share), draw(share)
            after = tuple(draw(st.lists(share, min_size=2, max_size=2)))
            found.append(ScoredCandidate(f"{task}.{position}", str(task), position, mean - base, draw(share), after))
    return draw(st.permutations(found))


POLICY_GATES = ("rule:no-secrets", "red team", "red team:keys", "judge")
OTHER_GATES = ("reward", "audit", "drift", "earlier edits", "retention:judge", "retention:red team")
MODES = st.sampled_from(["best-k", "paper"])
OUTCOMES: st.SearchStrategy[tuple[bool, OnFailure | None]] = st.sampled_from(
    [(True, None), (True, "hold"), (False, None), (False, "note")]
)


def verdict(name: str, passed: bool, on_failure: OnFailure | None = None) -> GateResult:
    return GateResult("c", name, passed, {}, "now", on_failure)


@st.composite
def verdicts(draw: st.DrawFn, names: tuple[str, ...]) -> list[GateResult]:
    """Verdicts of some gates, none of which holds."""
    found = draw(st.lists(st.tuples(st.sampled_from(names), OUTCOMES), max_size=4))
    return [verdict(name, *outcome) for name, outcome in found]


@given(verdicts((*POLICY_GATES, *OTHER_GATES)), st.sampled_from(POLICY_GATES), MODES, st.integers(0, 4))
def test_what_policy_yaml_refuses_is_never_reinforced(
    beside: list[GateResult], name: str, mode: SelectionMode, place: int
) -> None:
    assert not may_be_reinforced([*beside[:place], verdict(name, False), *beside[place:]], mode)


@given(verdicts((*POLICY_GATES, *OTHER_GATES)), st.sampled_from((*POLICY_GATES, *OTHER_GATES)), MODES)
def test_what_anything_holds_for_a_person_is_never_reinforced(
    beside: list[GateResult], name: str, mode: SelectionMode
) -> None:
    assert not may_be_reinforced([*beside, verdict(name, False, "hold")], mode)


@given(verdicts(OTHER_GATES))
def test_only_the_paper_reinforces_what_another_gate_stopped(gates: list[GateResult]) -> None:
    assert may_be_reinforced(gates, "best-k") == (not any(gate.stops for gate in gates))
    assert may_be_reinforced(gates, "paper")


def test_guardrail_gates_are_distinct_from_suites_of_the_same_name() -> None:
    assert [name for name in (*POLICY_GATES, *OTHER_GATES) if is_guardrail_gate(name)] == list(POLICY_GATES)


@given(rounds(), st.integers(1, 3), st.sampled_from([-1.0, 0.0, 0.25]))
def test_best_k_keeps_only_rewards_above_the_threshold_and_the_best_of_them(
    candidates: list[ScoredCandidate], best_k: int, threshold: float
) -> None:
    kept = select(candidates, best_k=best_k, threshold=threshold).candidate_ids
    assert len(set(kept)) == len(kept)
    for task in {c.task_id for c in candidates}:
        of_task = [c for c in candidates if c.task_id == task]
        inside = [c for c in of_task if c.candidate_id in kept]
        good = [c for c in of_task if c.reward_mean > threshold]
        assert len(inside) == min(best_k, len(good))
        assert all(c in good for c in inside)
        left_out = [c for c in good if c not in inside]
        assert all(one.reward_mean >= other.reward_mean for one in inside for other in left_out)


@given(rounds(), st.integers(1, 3))
def test_paper_keeps_the_best_k_of_every_task_whatever_they_gained(
    candidates: list[ScoredCandidate], best_k: int
) -> None:
    kept = select(candidates, mode="paper", best_k=best_k).candidate_ids
    for task in {c.task_id for c in candidates}:
        of_task = [c for c in candidates if c.task_id == task]
        inside = [c for c in of_task if c.candidate_id in kept]
        assert len(inside) == min(best_k, len(of_task))
        scores = [paper_score(c.accuracy_after_per_repeat) for c in of_task if c not in inside]
        assert all(paper_score(c.accuracy_after_per_repeat) >= score for c in inside for score in scores)


@given(rounds(), st.sampled_from(["best-k", "paper"]), st.randoms(use_true_random=False))
def test_the_order_given_decides_only_the_order_of_tasks(
    candidates: list[ScoredCandidate], mode: str, random: object
) -> None:
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = (select(some, mode="paper" if mode == "paper" else "best-k") for some in (candidates, shuffled))
    assert set(one.candidate_ids) == set(other.candidate_ids)


def test_ties_go_to_the_lower_spread_then_to_the_earlier_position() -> None:
    a, b, c = candidate("a", "t", 0, 0.5, 0.2), candidate("b", "t", 2, 0.5, 0.1), candidate("c", "t", 1, 0.5, 0.1)
    assert select([a, b, c], best_k=3).candidate_ids == ("c", "b", "a")


def test_floating_point_noise_is_no_gain() -> None:
    noise = candidate("a", "t", 0, 1e-17)
    assert select([noise]).candidate_ids == ()
    first, second = candidate("a", "t", 0, 0.1 + 0.2, 0.1), candidate("b", "t", 1, 0.3, 0.0)
    assert select([first, second]).candidate_ids == ("b",)


def test_paper_scores_are_means_of_rounded_repeats() -> None:
    thirds = score_candidate(
        "a", "t", 0, measure_reward([[False] * 3], [[False] * 3, [True, False, False], [False, False, True]])
    )
    both_at_once = replace(thirds, candidate_id="b", position=1, accuracy_after_per_repeat=(0.0, 0.0, 2 / 3))
    assert thirds.reward_mean == pytest.approx(sum(both_at_once.accuracy_after_per_repeat) / 3)
    assert select([thirds, both_at_once], mode="paper").candidate_ids == ("b",)
    with pytest.raises(ValueError, match="without repeats"):
        paper_score([])


def test_rows_are_those_selected_in_order_stripped_and_never_blank() -> None:
    def proposed(name: str, completion: str) -> Candidate:
        return Candidate(name, 1, "t", 0, "train", "rewrite", f"prompt {name}", completion, {}, 0, "proposed", "", [])

    candidates = [proposed("a", " text\n"), proposed("b", " \n"), proposed("c", "more")]
    selection = select([candidate(c.id, c.id, 0, 0.5) for c in reversed(candidates)])
    assert sft_rows(candidates, selection) == [
        {"prompt": "prompt c", "completion": "more"},
        {"prompt": "prompt a", "completion": "text"},
    ]
