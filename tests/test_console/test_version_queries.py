from __future__ import annotations

import json
import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from seal_console.queries.version_comparison import compare_versions, weight_distance
from seal_console.queries.versions import draw_graph, history, pointers, policy_facts, version_facts
from store.answers import record_base_answers
from store.errors import CorruptError, WrongUseError
from store.records import Answer
from store.tasks import add_tasks
from store.versions import rollback
from tests.test_console.cli_scenario import CandidateMaker, make_adapter, make_task
from tests.test_console.version_scenario import accepted, branched

if TYPE_CHECKING:
    from store.workspace import Workspace


def parents_read_from(drawn: dict[int, str]) -> dict[int, int | None]:
    """Follow each node's line downwards, as a person reads the graph."""
    numbers = sorted(drawn, reverse=True)
    found: dict[int, int | None] = {}
    for place, number in enumerate(numbers):
        line = drawn[number]
        joins = [line.index(sign) for sign in "├┤" if sign in line]
        lane = joins[0] if joins else line.index("●")
        found[number] = None
        for below in numbers[place + 1 :]:
            sign = drawn[below].ljust(lane + 1)[lane]
            if sign == "●":
                found[number] = below
                break
            if sign not in "│├┤┼":
                break
    return found


@given(st.lists(st.integers(min_value=0, max_value=30), max_size=25))
def test_the_graph_says_of_each_version_which_it_came_from(picks: list[int]) -> None:
    parents: dict[int, int | None] = {0: None}
    for number, pick in enumerate(picks, 1):
        parents[number] = pick % number
    drawn = draw_graph(parents)
    assert all(line.count("●") == 1 for line in drawn.values())
    assert parents_read_from(drawn) == parents


def test_a_graph_with_a_branch() -> None:
    assert list(draw_graph({0: None, 1: 0, 2: 1, 3: 1, 4: 3}).values()) == ["●", "●", "├─●", "●", "●"]


def test_a_parent_that_is_not_drawn_ends_its_lane() -> None:
    assert draw_graph({5: 4, 7: 5}) == {7: "●", 5: "●"}


def test_before_the_first_acceptance_the_base_alone_is_live(maker: CandidateMaker) -> None:
    found = history(maker.db)
    assert [line.tag for line in found.versions] == ["v0000"]
    assert found.versions[0].pointers == ("live",)
    assert found.policies == []


def test_the_history_is_the_newest_first_and_the_live_one_is_named(maker: CandidateMaker) -> None:
    branched(maker)
    found = history(maker.db)
    assert [(line.tag, line.parent) for line in found.versions] == [
        ("v0004", 3), ("v0003", 1), ("v0002", 1), ("v0001", 0), ("v0000", None),
    ]  # fmt: skip
    assert [line.tag for line in found.versions if "live" in line.pointers] == ["v0004"]
    assert found.versions[0].reward_mean == 0.8
    assert [policy.tag for policy in found.policies] == ["p0001"]
    rollback(maker.workspace, maker.db, 0, "Ada", "back to the start")
    assert pointers(maker.db) == {0: ("live",)}


def test_a_version_with_all_that_is_known_of_it(maker: CandidateMaker) -> None:
    branched(maker)
    facts = version_facts(maker.workspace, maker.db, 1)
    assert facts.version is not None
    assert facts.candidate is not None
    assert facts.task is not None
    assert (facts.tag, facts.pointers, facts.task.title) == ("v0001", (), "Returns")
    assert [(move.from_version, move.to_version) for move in facts.moves] == [(None, 1), (1, 2), (2, 1), (1, 3)]
    assert facts.stored.is_the_recorded_one
    assert facts.stored.manifest["candidate"]["id"] == facts.candidate.id
    root = version_facts(maker.workspace, maker.db, 0)
    assert (root.version, [move.to_version for move in root.moves]) == (None, [1])
    assert policy_facts(maker.workspace, maker.db, 1).newest
    with pytest.raises(WrongUseError):
        version_facts(maker.workspace, maker.db, 9)


def test_a_manifest_that_git_cannot_give_is_reported_and_the_rest_is_shown(maker: CandidateMaker) -> None:
    accepted(maker)
    shutil.rmtree(maker.workspace.adapters_folder / ".git" / "objects")
    facts = version_facts(maker.workspace, maker.db, 1)
    assert facts.stored.problem
    assert facts.version is not None


def test_a_manifest_that_is_not_the_recorded_one_is_noticed(maker: CandidateMaker) -> None:
    accepted(maker)
    maker.db.conn.execute("DROP TRIGGER versions_stay")
    maker.db.conn.execute("UPDATE versions SET manifest_hash = 'sha256:other'")
    assert not version_facts(maker.workspace, maker.db, 1).stored.is_the_recorded_one


def test_compared_are_recorded_answers_alone(maker: CandidateMaker) -> None:
    accepted(maker, 0.5)
    accepted(maker, -0.5)  # its own exam went wrong
    compared = compare_versions(maker.workspace, maker.db, 1, 2)
    given_answers = [(one.first and one.first.text, one.second and one.second.text) for one in compared.answers]
    assert given_answers == [("30 days", "a week")] * 2
    with_base = compare_versions(maker.workspace, maker.db, 0, 1)
    assert [one.first.text for one in with_base.answers if one.first] == ["14 days"] * 2
    assert with_base.distance is None
    assert "base model alone" in with_base.no_distance


def test_a_question_that_a_version_was_not_asked_has_no_answer(workspace: Workspace, maker: CandidateMaker) -> None:
    accepted(maker)
    other = make_task("Shipping")
    add_tasks(maker.db, [other])
    second = CandidateMaker(workspace, maker.db, other, made=10)
    asked = other.questions[0]
    record_base_answers(maker.db, [Answer(asked.id, None, 0, "before", "v0001", "no idea", 0.0, correct=False)])
    accepted(second)
    compared = compare_versions(workspace, maker.db, 1, 2)
    said = {one.question.id: (one.first and one.first.text, one.second and one.second.text) for one in compared.answers}
    assert said[asked.id] == ("no idea", "30 days")
    assert said[other.questions[1].id] == (None, "30 days")
    assert said[maker.task.questions[0].id] == ("30 days", None)


def test_the_distance_is_the_norm_of_the_difference(maker: CandidateMaker) -> None:
    accepted(maker)
    accepted(maker)
    found = compare_versions(maker.workspace, maker.db, 1, 2).distance
    assert found is not None
    one, other = (_all_values(make_adapter(seed)["adapter_model.safetensors"]) for seed in (1, 2))
    assert found.norm == pytest.approx(np.linalg.norm(one - other))
    assert found.relative == pytest.approx(np.linalg.norm(one - other) / np.linalg.norm(one))
    assert found.tensors == 2


def test_weights_of_another_precision_are_read_by_their_values() -> None:
    values = np.array([[1.0, -2.5], [0.0, 3.0]], dtype=np.float32)
    upper_half = (values.view(np.uint32) >> 16).astype(np.uint16)
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    half = struct.pack("<Q", len(header)) + header + upper_half.tobytes()
    assert weight_distance(save({"a": values}), half).norm == 0.0
    assert weight_distance(save({"a": np.zeros((2, 2))}), save({"a": values})).relative is None


def test_weights_that_do_not_fit_each_other_are_refused() -> None:
    one = save({"a": np.zeros((2, 2), dtype=np.float32)})
    with pytest.raises(WrongUseError, match="different names or shapes"):
        weight_distance(one, save({"a": np.zeros((2, 3), dtype=np.float32)}))
    with pytest.raises(WrongUseError, match="cannot be compared"):
        weight_distance(one, save({"a": np.zeros((2, 2), dtype=np.int8)}))
    with pytest.raises(CorruptError):
        weight_distance(one, json.dumps({}).encode())


def _all_values(content: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.concatenate([value.ravel() for _, value in sorted(load(content).items())]).astype(np.float64)
