"""What replaces autograd's own bookkeeping in a frozen model gives the same gradients, and keeps less."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from engine.model.attention import ScoreRule, ScoresAgain, _attend_by_products, _window
from engine.model.frozen_norm import install_norms
from engine.model.gated_mlp import LAYERS, MlpForward
from tests.peft_alone import tiny_base
from tests.tiny_models import ARCHITECTURES

SIZE = 48


@pytest.mark.parametrize("kind", [LlamaRMSNorm, GemmaRMSNorm])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 3e-2)])
def test_a_norm_has_the_gradients_of_autograd(kind: type[nn.Module], dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(1)
    norm = kind(SIZE, eps=1e-5).to(dtype).requires_grad_(requires_grad=False)
    norm.get_parameter("weight").copy_(torch.rand(SIZE) - 0.5)
    x = torch.randn(1, 7, SIZE).to(dtype).requires_grad_()
    grad = torch.randn(1, 7, SIZE).to(dtype)
    out = norm(x)
    (expected,) = torch.autograd.grad(out, x, grad)
    assert install_norms(nn.Sequential(norm)) == 1
    again = norm(x)
    (found,) = torch.autograd.grad(again, x, grad)
    assert torch.equal(again, out)
    assert found.dtype == dtype
    assert torch.allclose(found.float(), expected.float(), rtol=tolerance, atol=tolerance)
    assert torch.equal(pickle.loads(pickle.dumps(norm))(x), out)  # noqa: S301 - what was just pickled


def test_what_is_no_rms_norm_or_can_still_learn_is_left_alone() -> None:
    assert install_norms(nn.Sequential(nn.LayerNorm(SIZE), nn.LayerNorm(SIZE, bias=False), nn.Linear(SIZE, 1))) == 0
    norm = LlamaRMSNorm(SIZE)
    install_norms(nn.Sequential(norm))
    norm(torch.randn(2, SIZE, requires_grad=True)).sum().backward()
    assert norm.weight.grad is not None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_gated_mlps_are_found_by_their_layers(architecture: str) -> None:
    model = tiny_base(architecture).model
    gated = [one for one in model.modules() if all(hasattr(one, layer) for layer in LAYERS)]
    assert all(isinstance(one.__dict__["forward"], MlpForward) for one in gated)
    assert bool(gated) == (architecture in {"llama", "mistral", "qwen2"})


def test_an_mlp_with_another_formula_is_left_alone() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate_proj, self.up_proj = nn.Linear(SIZE, SIZE), nn.Linear(SIZE, SIZE)
            self.down_proj, self.act_fn = nn.Linear(SIZE, SIZE), nn.SiLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x) * 2)
            return out

    from engine.model.gated_mlp import _is_gated  # noqa: PLC0415 - used here only

    assert not _is_gated(Doubled())


@pytest.mark.parametrize("softcap", [None, 5.0])
def test_scores_computed_again_give_the_same_gradients(softcap: float | None) -> None:
    torch.manual_seed(1)
    query, key, value = (torch.randn(2, heads, 6, 8, requires_grad=True) for heads in (4, 2, 2))
    rule = ScoreRule(0.3, softcap, torch.randn(4) if softcap else None)
    mask, grad = _window(6, 6, query.device), torch.randn(2, 4, 6, 8)
    expected = torch.autograd.grad(_attend_by_products(query, key, value, mask, rule), (query, key, value), grad)
    again: torch.Tensor = ScoresAgain.apply(query, key, value, mask, rule)  # type: ignore[no-untyped-call]
    found = torch.autograd.grad(again, (query, key, value), grad)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
