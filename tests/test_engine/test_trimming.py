"""Taking the smallest changes of an inner update back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import Recipe
from engine.bank.stack import by_matrix, flat_weights, trim_small_changes
from engine.bank.training import InnerUpdateBank
from tests.peft_alone import random_job, tiny_base, tiny_spec


@given(least=st.floats(0, 3), seed=st.integers(0, 100))
def test_the_smallest_changes_are_undone_and_the_others_kept(least: float, seed: int) -> None:
    spec, generator = tiny_spec(tiny_base("qwen2")), torch.Generator().manual_seed(seed)
    start, end = (torch.randn(spec.parameters, generator=generator) for _ in range(2))
    found = trim_small_changes(end, start, spec, least)
    for was, now, then in zip(by_matrix(start, spec), by_matrix(end, spec), by_matrix(found, spec), strict=True):
        bound = least * float((now - was).square().mean()) ** 0.5
        sure_back, sure_kept = (now - was).abs() < bound * 0.999, (now - was).abs() > bound * 1.001
        assert torch.equal(then[sure_back], was[sure_back])
        assert torch.allclose(then[sure_kept], now[sure_kept], atol=1e-5)


def test_what_has_not_moved_stays() -> None:
    spec = tiny_spec(tiny_base("qwen2"))
    row = torch.randn(spec.parameters)
    assert torch.equal(trim_small_changes(row, row, spec, 0.45), row)


@pytest.mark.parametrize("least", [0.45, 1.5])
def test_an_inner_update_is_trimmed_as_its_recipe_says(least: float) -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    plain = random_job("one", spec, Recipe(epochs=2, learning_rate=3e-3), 1)
    whole, cut = (
        flat_weights(result.adapter)
        for recipe in (plain.recipe, replace(plain.recipe, trim_below=least))
        for result in InnerUpdateBank(base, spec, 1).train([replace(plain, recipe=recipe)])
    )
    assert torch.allclose(cut, trim_small_changes(whole, flat_weights(plain.start), spec, least))
    assert not torch.allclose(cut, whole)
