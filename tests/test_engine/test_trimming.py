"""Taking the smallest changes of an inner update back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.bank.job import Recipe
from engine.bank.stack import by_matrix, flat_weights, trimmed
from engine.bank.training import InnerUpdateBank
from tests.peft_alone import random_job, tiny_base, tiny_spec


@given(share=st.floats(0, 1), seed=st.integers(0, 100))
def test_of_every_matrix_the_share_that_moved_least_is_where_it_was(share: float, seed: int) -> None:
    spec, generator = tiny_spec(tiny_base("qwen2")), torch.Generator().manual_seed(seed)
    start, end = (torch.randn(spec.parameters, generator=generator) for _ in range(2))
    found = trimmed(end, start, spec, share)
    for was, now, then in zip(by_matrix(start, spec), by_matrix(end, spec), by_matrix(found, spec), strict=True):
        back = torch.isclose(then, was, atol=1e-6)
        assert int(back.sum()) >= int(share * was.numel())
        assert torch.allclose(then[~back], now[~back], atol=1e-5)
        if back.any() and not back.all():
            assert float((now - was)[back].abs().max()) <= float((now - was)[~back].abs().min()) + 1e-6


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_inner_update_is_trimmed_as_its_recipe_says(share: float) -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    plain = random_job("one", spec, Recipe(epochs=2, learning_rate=3e-3), 1)
    whole, cut = (
        flat_weights(result.adapter)
        for recipe in (plain.recipe, replace(plain.recipe, trimmed=share))
        for result in InnerUpdateBank(base, spec, 1).train([replace(plain, recipe=recipe)])
    )
    assert torch.allclose(cut, trimmed(whole, flat_weights(plain.start), spec, share))
    assert not torch.allclose(cut, whole)
