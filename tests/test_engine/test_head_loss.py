"""The loss at the head, some positions at a time: the same losses and gradients as with all logits at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from engine.bank import head_loss
from engine.bank.head_loss import plain_head
from engine.bank.packing import Targets
from tests.tiny_models import ARCHITECTURES, random_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

POSITIONS, SIZE, VOCABULARY = 11, 8, 40


def setup(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, nn.Linear]:
    torch.manual_seed(1)
    head = nn.Linear(SIZE, VOCABULARY, bias=dtype == torch.float32).to(dtype).requires_grad_(requires_grad=False)
    return torch.randn(POSITIONS, SIZE, dtype=dtype, requires_grad=True), head


def compare(targets: Targets, hidden: torch.Tensor, head: nn.Linear, tolerance: float) -> None:
    weights = torch.rand(POSITIONS)
    at_once = targets.losses(head(hidden))
    (at_once * weights).sum().backward()
    expected, hidden.grad = hidden.grad, None
    in_parts = targets.losses_at(hidden, head)
    (in_parts * weights).sum().backward()
    assert torch.allclose(in_parts, at_once, atol=tolerance, rtol=tolerance)
    assert hidden.grad is not None
    assert expected is not None
    assert torch.allclose(hidden.grad, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("at_once", [1, 4, 11, 64])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
def test_one_target_each(at_once: int, dtype: torch.dtype, tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head_loss._ROWS_AT_ONCE, "cpu", (2 * at_once, at_once))
    hidden, head = setup(dtype)
    compare(Targets(torch.arange(POSITIONS) * 3), hidden, head, tolerance)


@pytest.mark.parametrize("at_once", [1, 4, 64])
def test_several_targets_with_probabilities(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head_loss._ROWS_AT_ONCE, "cpu", (2 * at_once, at_once))
    hidden, head = setup()
    rows = torch.arange(POSITIONS).repeat_interleave(2)
    probabilities = torch.tensor([0.25, 0.75]).repeat(POSITIONS)
    compare(Targets(torch.arange(2 * POSITIONS) % VOCABULARY, rows, probabilities), hidden, head, 1e-6)


def test_the_reference_is_cross_entropy() -> None:
    hidden, head = setup()
    tokens = torch.arange(POSITIONS)
    assert torch.allclose(
        Targets(tokens).losses_at(hidden, head), cross_entropy(head(hidden), tokens, reduction="none"), atol=1e-6
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_head_is_plain_if_nothing_comes_after_it(architecture: str) -> None:
    model = random_model(architecture)
    assert plain_head(model) is model.get_output_embeddings()
    assert plain_head(_scaled(model)) is None


def _scaled(model: PreTrainedModel) -> PreTrainedModel:
    plain = model.forward

    def forward(*args: object, **kwargs: object) -> object:
        out = plain(*args, **kwargs)
        out.logits = out.logits * 0.5
        return out

    model.forward = forward
    return model
