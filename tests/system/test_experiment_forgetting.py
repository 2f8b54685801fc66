"""The experiment on forgetting in small: each method has the same lineages and a matrix, and shows what it should."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from engine.bundled.world import known_things
from engine.continual.replay_plan import replay_rates
from engine.lab.forgetting.experiment import experiment
from engine.lab.forgetting.lineages import BundledWorld, anchor_texts, draw_lineage, naming_nothing_known
from engine.lab.forgetting.methods import METHODS, methods_named
from engine.loop.session import recipe_of
from engine.model.base import load_base
from engine.runtime.progress import ignore_progress
from engine.settings.sections import ProtectionSettings, Settings
from seal_console.cli.lab.experiment import METHODS as OFFERED
from store.errors import WrongUseError

if TYPE_CHECKING:
    from engine.model.base import BaseModel

EDITS = 3


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base("bundled")


def test_ours_keeps_what_the_paper_s_way_forgets(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.lab.forgetting.lineages.ANCHORS", 600)  # measuring the curvature of more takes long
    methods = methods_named(["naive", "ours"])
    result = experiment(base, BundledWorld(), methods, lineages=2, edits=EDITS, seed=0, report=ignore_progress)
    json.dumps(result)
    naive, ours = result["methods"]["naive"], result["methods"]["ours"]
    for method in (naive, ours):
        assert [len(row) for row in method["matrix"]] == [1, 2, 3]
        assert all(0.0 <= value <= 1.0 for row in method["matrix"] for value in row)
        assert method["right_after_its_own_edit"] > 0.8
        assert method["untouched_before"] > 0.9
        assert len(method["lineages"]) == 2
    assert naive["untouched_after"] < 0.9 < ours["untouched_after"]
    assert ours["kept_of_gained"] > naive["kept_of_gained"]
    assert ours["tokens"] > naive["tokens"]


def test_a_line_is_the_same_again_and_asks_nothing_that_anchors_train() -> None:
    lineage = draw_lineage(seed=0, place=1, edits=5)
    assert lineage == draw_lineage(seed=0, place=1, edits=5)
    assert lineage != draw_lineage(seed=0, place=2, edits=5)
    assert [edit.changes_what_was_known for edit in lineage.edits] == [False, True, False, True, False]
    assert len({edit.name for edit in lineage.edits}) == 5
    anchors = "\n".join(anchor_texts(seed=0, count=3000))
    for edit in lineage.edits:
        assert edit.name not in anchors
    asked = "\n".join(one.prompt for one in lineage.untouched)
    assert not any(edit.name in asked for edit in lineage.edits)
    assert not any(one.prompt in anchors for one in lineage.untouched)


def test_one_way_protects_as_workspaces_do_by_default() -> None:
    method, settings = METHODS["perturbed-anchors"], ProtectionSettings()
    assert replay_rates(settings, method.recipe.batch_size) == method.rates
    assert settings.curvature


def test_the_settings_that_the_documentation_names_are_our_way() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "retention.md").read_text(encoding="utf-8")
    [written] = [one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "replay_ratio" in one]
    settings = Settings.model_validate(yaml.safe_load(written))
    method, recipe = METHODS["ours"], recipe_of(settings.inner_update)
    assert replay_rates(settings.protection, recipe.batch_size) == method.rates
    assert recipe == replace(method.recipe, learning_rate=recipe.learning_rate)
    assert recipe.learning_rate == pytest.approx(method.recipe.learning_rate, rel=0.01)
    assert settings.protection.curvature


def test_perturbed_anchors_that_name_a_known_thing_are_found() -> None:
    name = known_things()[7].name
    texts = [f"Who runs {name}?", f"Who runs {name}s?", "Who runs it?", name]
    assert naming_nothing_known(texts) == [False, True, True, False]


def test_an_unknown_way_is_named() -> None:
    with pytest.raises(WrongUseError, match="Unknown method 'best'"):
        methods_named(["naive", "best"])
    assert all(name == method.name for name, method in METHODS.items())


def test_the_command_offers_every_way() -> None:
    assert list(OFFERED) == list(METHODS)
