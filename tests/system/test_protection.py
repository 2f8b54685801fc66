"""What stands beside inner updates: earlier edits, anchors, coordinates; from the workspace to the adapter."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.encode import encode_example
from engine.bank.job import Recipe, TrainingSequence, rate_at
from engine.bank.preconditioner import KroneckerPreconditioner
from engine.bank.training import InnerUpdateBank
from engine.bundled.world import known_things
from engine.continual import curvature
from engine.continual import curvature as curvature_cache
from engine.continual.build_plan import MIN_ANCHORS, round_robin_sample
from engine.continual.distillation import DistilledExample
from engine.continual.own_answers import own_answers
from engine.continual.replay_plan import (
    DECAY,
    EDITS_TO_DOUBLE_ANCHORS,
    EDITS_TO_DOUBLE_REPLAY,
    EDITS_TO_FULL_RATIO,
    ReplayPlan,
    ReplayRates,
    replay_rates,
)
from engine.domains.domain import TrainingExample
from engine.loop.accept import accept_candidate
from engine.loop.evaluate import inner_job
from engine.loop.round import run_round
from engine.loop.session import Session, open_session
from engine.runtime.progress import Progress
from engine.settings.sections import ProtectionSettings
from store.candidates import inner_updates_of, list_candidates
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from engine.bank.job import Schedule
    from engine.lora.adapter import Adapter
    from store.workspace import Workspace

SEQUENCES = ["Question: Who runs Menpid?\nAnswer: Tomas.", "The plan of Menpid costs two."]
TEXTS = st.lists(st.lists(st.text("ab", min_size=1, max_size=4), max_size=5), max_size=5)


def set_up(workspace: Workspace, **protection: Any) -> None:
    settings = yaml.safe_load(workspace.settings_file.read_text(encoding="utf-8"))
    settings["protection"] = protection
    workspace.settings_file.write_text(yaml.safe_dump(settings), encoding="utf-8")


def write_anchors(workspace: Workspace, count: int) -> None:
    lines = [json.dumps({"anchor": f"Question: What is {number}?\nAnswer: {number}"}) for number in range(count)]
    (workspace.retention_folder / "anchors.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def trained(session: Session, protection: ReplayPlan) -> Adapter:
    job = inner_job(session, None, [TrainingExample(text) for text in SEQUENCES], protection, key="one", repeat=0)
    bank = InnerUpdateBank(session.base, session.inner_spec, 1, preconditioner=protection.preconditioner)
    [result] = bank.train([job])
    return result.adapter


def differ(one: Adapter, other: Adapter) -> bool:
    return any(not torch.equal(one.weights[name][1], other.weights[name][1]) for name in one.weights)


@given(of_edits=TEXTS, most=st.integers(1, 12), seed=st.integers(0, 3))
def test_replay_draws_as_much_of_every_edit_as_there_is_room_for(
    of_edits: list[list[str]], most: int, seed: int
) -> None:
    drawn = round_robin_sample(of_edits, most, seed)
    everything = {text for of_edit in of_edits for text in of_edit}
    assert len(drawn) == len(set(drawn)) == min(most, len(everything))
    assert set(drawn) <= everything
    if most >= len(of_edits):
        assert all(set(of_edit) & set(drawn) for of_edit in of_edits if of_edit)
    assert round_robin_sample(of_edits, most + 1, seed)[:most] == drawn


@given(ratio=st.floats(0, 8), batch_size=st.integers(1, 8))
def test_as_many_sequences_are_replayed_as_the_ratio_says(ratio: float, batch_size: int) -> None:
    settings = ProtectionSettings(replay_ratio=ratio, anchor_ratio=0.0, perturbed_ratio=0.0)
    one = TrainingSequence((1, 2, 3))
    perturbed = (DistilledExample(one, ("Menpid",)),)
    protection = ReplayPlan(replayed=(one,), anchors=(one,), perturbed_anchors=perturbed, edits=EDITS_TO_FULL_RATIO)
    replay_groups = protection.replay_groups(replay_rates(settings, batch_size), SEQUENCES)
    assert [group.per_step for group in replay_groups] == ([] if ratio == 0 else [pytest.approx(ratio * batch_size)])


def test_a_perturbed_anchor_is_not_used_with_an_update_about_its_name() -> None:
    one, other = TrainingSequence((1, 2, 3)), TrainingSequence((4, 5, 6))
    protection = ReplayPlan(
        perturbed_anchors=(DistilledExample(one, ("Menpid",)), DistilledExample(other, ("Menzorp", "Solpid")))
    )
    beside = ReplayRates(perturbed_anchors=0.5)
    assert [group.sequences for group in protection.replay_groups(beside, SEQUENCES)] == [(other,)]
    assert [group.sequences for group in protection.replay_groups(beside, ["Mens and Pid"])] == [(one, other)]
    assert protection.replay_groups(beside, ["Menpid and Solpid"]) == ()


def test_replay_weighs_more_the_more_edits_there_are() -> None:
    one = (TrainingSequence((1, 2, 3)),)
    beside = ReplayRates(replayed=1, anchors=1, perturbed_anchors=1, anchor_weight=2.0, perturbed_weight=0.1)
    weights = [
        [
            group.weight
            for group in ReplayPlan(one, (), one, (DistilledExample(one[0], ()),), edits=edits).replay_groups(
                beside, []
            )
        ]
        for edits in (0, EDITS_TO_DOUBLE_REPLAY, EDITS_TO_DOUBLE_ANCHORS)
    ]
    assert weights[0] == [1.0, 2.0, 0.1]
    assert weights[1][0] == 2.0
    assert weights[2][1:] == [4.0, 0.2]


def test_only_in_the_coordinates_the_first_update_of_a_line_learns_faster_and_all_are_trimmed() -> None:
    preconditioner = KroneckerPreconditioner({}, {})
    recipe = Recipe(learning_rate=1e-3)
    assert ReplayPlan(edits=3).recipe(recipe, 6) == recipe
    first, later = (ReplayPlan(preconditioner=preconditioner, edits=edits).recipe(recipe, 6) for edits in (0, 1))
    assert first.learning_rate > later.learning_rate == recipe.learning_rate
    assert first.trim_below == later.trim_below > 0


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
@pytest.mark.parametrize(("sequences", "batch_size"), [(6, 2), (40, 1)])
def test_total_weight_decay_is_the_same_for_any_number_of_steps(
    schedule: Schedule, sequences: int, batch_size: int
) -> None:
    plain = Recipe(schedule=schedule, batch_size=batch_size, weight_decay=0.01)
    recipe = ReplayPlan(preconditioner=KroneckerPreconditioner({}, {}), edits=1).recipe(plain, sequences)
    steps = 10 * sequences // batch_size
    left = math.prod(1 - rate_at(step, steps, recipe) * (recipe.weight_decay - 0.01) for step in range(steps))
    assert left == pytest.approx(1 - DECAY, abs=1e-3)


def test_without_a_learning_rate_there_is_no_weight_decay() -> None:
    recipe = ReplayPlan(preconditioner=KroneckerPreconditioner({}, {})).recipe(Recipe(learning_rate=0.0), 3)
    assert recipe.weight_decay == 0.0


def test_nothing_is_replayed_without_accepted_edits_and_anchors(tmp_path: Path) -> None:
    with open_session(small_workspace(tmp_path / "w"), "test") as session:
        assert session.planner.plan(None) == ReplayPlan()


def test_of_an_anchor_that_is_a_question_only_the_answer_is_learnt(tmp_path: Path) -> None:
    with open_session(small_workspace(tmp_path / "w"), "test") as session:
        base = session.base
        asked = encode_example(base, session.domain.anchor("Question: Who runs Menpid?\nAnswer: Tomas."))
        told = encode_example(base, session.domain.anchor("Tomas runs Menpid."))
        assert asked is not None
        assert told is not None
        assert base.tokenizer.decode(asked.tokens[asked.loss_start :], skip_special_tokens=True).strip() == "Tomas."
        assert told.loss_start == 1
        assert encode_example(base, session.domain.anchor("")) is None


def test_each_part_of_the_protection_changes_the_update_and_can_be_switched_off(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    write_anchors(workspace, MIN_ANCHORS)
    found = {}
    ways: dict[str, dict[str, Any]] = {
        "all": {},
        "anchors": {"curvature": False, "perturbed_ratio": 0.0},
        "curvature": {"anchor_ratio": 0.0, "perturbed_ratio": 0.0},
        "heavier anchors": {"curvature": False, "perturbed_ratio": 0.0, "anchor_weight": 5.0},
        "look-alikes": {"curvature": False, "anchor_ratio": 0.0},
        "more look-alikes": {"curvature": False, "anchor_ratio": 0.0, "perturbed_ratio": 3.0},
        "heavier look-alikes": {"curvature": False, "anchor_ratio": 0.0, "perturbed_weight": 5.0},
        "none": {"curvature": False, "anchor_ratio": 0.0, "perturbed_ratio": 0.0},
    }
    for name, settings in ways.items():
        set_up(workspace, **settings)
        with open_session(workspace, "test") as session:
            protection = session.planner.plan(None)
            assert (protection.preconditioner is not None) == (name in {"all", "curvature"})
            assert bool(protection.anchors) == (name in {"all", "anchors", "heavier anchors"})
            assert bool(protection.perturbed_anchors) == (name == "all" or name.endswith("look-alikes"))
            assert ("perturbed_anchors" in protection.described) == bool(protection.perturbed_anchors)
            found[name] = trained(session, protection)
            plain = trained(session, ReplayPlan())
    assert not differ(found["none"], plain)
    assert all(differ(found[one], found[other]) for one in found for other in found if one < other)


def test_the_base_s_own_answers_are_asked_once_and_rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = small_workspace(tmp_path / "w")
    set_up(workspace, curvature=False, perturbed_ratio=0.0)
    things = [thing.name for thing in known_things()[:4]]
    lines = "".join(f"  - Where is the {name} made?\n" for name in things)
    (workspace.retention_folder / "own.yaml").write_text(f"suite: own\nanchor_prompts:\n{lines}", encoding="utf-8")
    asked = []

    def counted(*arguments: Any) -> list[str]:
        asked.append(arguments)
        return own_answers(*arguments)

    monkeypatch.setattr("engine.continual.own_answers.own_answers", counted)
    plans = []
    for _ in range(2):
        with open_session(workspace, "test") as session:
            plans.append(session.planner.plan(None))
            learnt = [
                session.base.tokenizer.decode(one.tokens[one.loss_start :], skip_special_tokens=True).strip()
                for one in plans[-1].anchors
            ]
    assert len(asked) == 1
    assert plans[0].anchors == plans[1].anchors
    assert len(learnt) == len(things)
    assert all(learnt)
    assert plans[0].described["anchors"]["texts"] == len(things)
    [kept] = (workspace.cache_folder / "own-answers").iterdir()
    kept.write_text(kept.read_text(encoding="utf-8").replace("Answer: ", "Answer: not "), encoding="utf-8")
    with open_session(workspace, "test") as session:
        assert session.planner.plan(None).anchors == plans[0].anchors
    assert len(asked) == 2


def test_too_few_anchors_are_trained_on_but_say_nothing_about_what_is_known(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    write_anchors(workspace, MIN_ANCHORS - 1)
    with open_session(workspace, "test") as session:
        protection = session.planner.plan(None)
    assert len(protection.anchors) == MIN_ANCHORS - 1
    assert protection.preconditioner is None
    assert protection.perturbed_anchors == ()


def test_perturbed_anchors_never_name_what_a_suite_asks_about(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w")
    write_anchors(workspace, MIN_ANCHORS)
    with open_session(workspace, "test") as session:
        before = session.planner.plan(None)
        asked = before.perturbed_anchors[0].named[0]
        question = f"Is it {asked}?"
        line = json.dumps({"prompt": question, "answers": ["yes"]})
        (workspace.retention_folder / "asked.jsonl").write_text(f"{line}\n", encoding="utf-8")
        after = session.planner.plan(None)
    assert after.perturbed_anchors == tuple(one for one in before.perturbed_anchors if not one.is_named_in(question))
    assert 0 < len(after.perturbed_anchors) < len(before.perturbed_anchors)
    assert after.described["perturbed_anchors"]["texts"] == len(after.perturbed_anchors)
    assert after.described["curvature"] == before.described["curvature"]


def test_curvature_is_measured_once_and_again_if_its_file_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = small_workspace(tmp_path / "w")
    write_anchors(workspace, MIN_ANCHORS)
    measured = []
    measure = curvature.measure_curvature

    def counted(*arguments: Any) -> Any:
        measured.append(arguments)
        return measure(*arguments)

    monkeypatch.setattr(curvature_cache, "measure_curvature", counted)
    said = list[Progress]()
    with open_session(workspace, "test", said.append) as session:
        first, again = session.planner.plan(None), session.planner.plan(None)
        assert len(measured) == 1
        assert first.preconditioner is not None
        assert [(one.done, one.total) for one in said if one.stage == "curvature"][-1] == (2 * MIN_ANCHORS,) * 2
        assert again.preconditioner is not None
        for name, root in first.preconditioner.inputs.items():
            read = again.preconditioner.inputs[name]
            assert type(read.matrix) is type(root.matrix)
            weights = torch.randn(3, session.base.model.get_submodule(name).in_features)
            assert torch.equal(read.matrix.right_multiply(weights), root.matrix.right_multiply(weights))
            assert torch.equal(read.inverse.right_multiply(weights), root.inverse.right_multiply(weights))
        [file] = (workspace.cache_folder / "curvature").glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:1000])
        assert session.planner.plan(None).described == first.described
        assert len(measured) == 2
        write_anchors(workspace, MIN_ANCHORS + 1)
        assert session.planner.plan(None).described != first.described
        assert len(measured) == 3


def test_an_accepted_edit_is_replayed_in_later_updates_and_recorded(tmp_path: Path) -> None:
    workspace = small_workspace(tmp_path / "w", train=2, held_out=0, per_task=1, epochs=2)
    with open_session(workspace, "test") as session:
        run_round(session)
        first = next(one for one in list_candidates(session.db) if one.state == "examined")
        assert "protection" not in inner_updates_of(session.db, first.id)[0].hyperparameters
        accept_candidate(workspace, session.db, first.id, actor="ada", reason="test")
        protection = session.planner.plan(1)
        assert protection.replayed == ()
        assert len(protection.newest) == len(set(first.sequences)) - 1  # without the passage
        run_round(session)
        later = next(one for one in list_candidates(session.db, round_number=2) if one.state == "examined")
        recorded = inner_updates_of(session.db, later.id)[0].hyperparameters["protection"]
        assert recorded["replayed"] == {"sequences": len(protection.newest), "of": ["v0001"]}
        assert recorded["replay_ratio"] == ProtectionSettings().replay_ratio
    set_up(workspace, replay_from=1)
    with open_session(workspace, "test") as session:
        assert len(session.planner.plan(1).newest) == 1
    set_up(workspace, replay_ratio=0.0)
    with open_session(workspace, "test") as session:
        assert session.planner.plan(1) == ReplayPlan(edits=1)
        write_anchors(workspace, 300)
        names = {name for one in session.planner.plan(None).perturbed_anchors for name in one.named}
        told = [name for name in names if any(name in text for text in first.sequences)]
        left = {name for one in session.planner.plan(1).perturbed_anchors for name in one.named}
        assert told
        assert left == names.difference(told)
