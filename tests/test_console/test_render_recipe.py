"""How an inner update was made, in words, whatever the record holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seal_console.render_recipe import render_recipe, render_replay

WHOLE: dict[str, Any] = {
    "anchor_ratio": 1.0,
    "anchors": {"texts": 1280, "hash": "sha256:1"},
    "replayed": {"sequences": 1, "of": ["v0001"]},
    "lookalikes": {"texts": 900, "hash": "sha256:2"},
    "curvature": "sha256:3",
    "rate": 1.4500000000000002,
}
SAID = (
    "1 sequence of v0001, 1,280 anchors, 900 perturbed anchors, "
    "preconditioned by what the base knows of those anchors, at 1.45 × the rate"
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted([*WHOLE, "of"])), inner),
    max_leaves=12,
)


def test_all_that_stood_next_to_it_is_shown_without_hashes() -> None:
    hyperparameters = {"rank": 16, "schedule": "linear", "protection": WHOLE}
    assert render_recipe(hyperparameters) == "rank 16, schedule linear"
    assert render_replay(hyperparameters) == SAID


@pytest.mark.parametrize("hyperparameters", [{}, {"protection": None}, {"protection": {}}, {"protection": {"a": 1}}])
def test_nothing_is_reported_as_nothing(hyperparameters: dict[str, Any]) -> None:
    assert render_replay(hyperparameters) == "nothing"


def test_anchors_that_were_only_measured_stood_next_to_nothing() -> None:
    said = render_replay({"protection": {**WHOLE, "anchor_ratio": 0.0, "lookalikes": None, "replayed": None}})
    assert said == "preconditioned by what the base knows of 1,280 anchors, at 1.45 × the rate"


def test_the_rate_is_shown_if_it_differs() -> None:
    assert render_replay({"protection": {**WHOLE, "rate": 1.0}}) == SAID.removesuffix(", at 1.45 × the rate")


def test_of_a_long_line_the_first_and_the_last_version_are_named() -> None:
    tags = [f"v{number:04d}" for number in range(1, 13)]
    said = render_replay({"protection": {"replayed": {"sequences": 60, "of": tags}}})
    assert said == "60 sequences of 12 versions, v0001 to v0012"


@given(JSON)
def test_what_is_not_as_the_engine_writes_it_is_shown_raw(protection: Any) -> None:
    assert render_replay({"protection": protection})
