"""A loaded base is measured: what the engine computes must be what transformers and PEFT compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.bank.packed import packed_logits
from engine.bundled import BUNDLED
from engine.generation import self_check
from engine.generation.decoding import next_logits
from engine.generation.self_check import check_base
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.lora.adapter import make_spec
from engine.model.base import load_base, wrap_model
from engine.model.context_window import window_in
from store.errors import WrongUseError
from tests.peft_alone import acting_adapter, peft_logits, tiny_base
from tests.tiny_models import ARCHITECTURES, SIZES_OF_FAMILIES

if TYPE_CHECKING:
    from pathlib import Path

    from engine.model.base import BaseModel

EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}


def base_of(kind: str, **more: Any) -> BaseModel:
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **{**SIZES_OF_FAMILIES, **more})
    return wrap_model(AutoModelForCausalLM.from_config(config), tokenizer, name=kind, fingerprint=kind)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_that_the_engine_supports_pass(architecture: str) -> None:
    check_base(tiny_base(architecture))


def test_the_bundled_model_passes_in_either_precision() -> None:
    for precision in ("float32", "bfloat16"):
        check_base(load_base(BUNDLED, precision=precision))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("mamba2", {"num_heads": 8, "head_dim": 12, "state_size": 8, "n_groups": 1, "chunk_size": 16}),
        ("recurrent_gemma", {"lru_width": 48, "attention_window_size": 16, "block_types": ["recurrent", "attention"]}),
        ("rwkv", {"attention_hidden_size": 48, "context_length": 256}),
    ],
)
def test_models_that_carry_a_state_are_refused_by_name(kind: str, more: dict[str, Any]) -> None:
    with pytest.raises(WrongUseError, match=f"{kind} .* keeps a state from token to token") as refused:
        check_base(base_of(kind, **more))
    assert "docs/models.md" in refused.value.next_step


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("lfm2", {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3}, "(another way|cannot be run)"),
        ("bloom", {"n_layer": 2, "n_head": 4}, "in another way than each alone"),
    ],
)
def test_models_whose_packed_answers_differ_are_refused(kind: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongUseError, match=said):
        check_base(base_of(kind, **more))


def test_an_error_in_the_engines_own_answer_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def a_little_off(*values: Any) -> list[torch.Tensor]:
        return [one + 0.05 * torch.randn(one.shape) for one in packed_logits(*values)]

    monkeypatch.setattr(self_check, "packed_logits", a_little_off)
    with pytest.raises(WrongUseError, match="packed into one row"):
        check_base(tiny_base("qwen2"))


def test_an_adapter_that_acts_differently_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_adapter(base: BaseModel, adapters: Any, sequences: Any) -> list[torch.Tensor]:
        return packed_logits(base, [replace_b_by_zero(one) for one in adapters], sequences)

    def replace_b_by_zero(adapter: Any) -> Any:
        return replace(adapter, weights={name: (a, 0 * b) for name, (a, b) in adapter.weights.items()})

    monkeypatch.setattr(self_check, "packed_logits", without_adapter)
    with pytest.raises(WrongUseError, match="packed into one row"):
        check_base(tiny_base("qwen2"))


def test_logits_that_are_not_finite_name_the_base() -> None:
    base = tiny_base("qwen2")
    with torch.no_grad():
        base.model.get_output_embeddings().weight.mul_(float("inf"))
    with pytest.raises(WrongUseError, match="logits of tiny are not finite"):
        check_base(base)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("qwen3_moe", {"num_experts": 4, "decoder_sparse_step": 1}),
        ("glm4_moe", {"n_routed_experts": 4, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
                      "topk_group": 1}),
        ("phimoe", {"num_local_experts": 4}),
    ],
)  # fmt: skip
def test_of_a_mixture_of_experts_what_peft_can_load_is_adapted(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    from peft import PeftModel  # noqa: PLC0415

    from engine.lora.files import adapter_files  # noqa: PLC0415

    base = base_of(kind, **EXPERTS, **more)
    check_base(base)
    adapter = acting_adapter(make_spec(base.model, rank=2, alpha=4.0, target_modules="all-linear"), 1)
    for name, content in adapter_files(adapter, kind).items():
        (tmp_path / name).write_bytes(content)
    torch.manual_seed(0)
    alone = PeftModel.from_pretrained(AutoModelForCausalLM.from_config(base.model.config), tmp_path).eval()
    probe = list(range(20, 50))
    [mine] = packed_logits(base, [adapter], [probe])
    assert torch.allclose(mine, peft_logits(alone, probe), atol=1e-4)


def test_a_vision_tower_is_not_adapted_and_its_window_is_not_the_texts() -> None:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration  # noqa: PLC0415

    tokenizer = build_tokenizer()
    text = {**SIZES_OF_FAMILIES, "vocab_size": len(tokenizer), "sliding_window": 8, "query_pre_attn_scalar": 12,
            "max_position_embeddings": 8192}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
              "image_size": 28, "patch_size": 14}  # fmt: skip
    config = Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4, boi_token_index=3,
                          eoi_token_index=4, image_token_index=5)  # fmt: skip
    base = wrap_model(Gemma3ForConditionalGeneration(config), tokenizer, name="gemma3", fingerprint="f")
    assert base.window_tokens == 8192
    spec = make_spec(base.model, rank=2, alpha=4.0, target_modules="all-linear")
    assert len(spec.targets) == 14
    assert all("language_model" in target.module for target in spec.targets)
    check_base(base)


def test_rotary_factors_that_depend_on_the_batch_limit_the_window() -> None:
    config = {"max_position_embeddings": 131072, "original_max_position_embeddings": 4096}
    assert window_in(config) == 131072
    assert window_in(config | {"rope_scaling": {"type": "longrope"}}) == 4096
    own = {"rope_type": "dynamic", "original_max_position_embeddings": 2048}
    assert window_in(config | {"rope_parameters": own}) == 2048
    assert window_in({"text_config": config, "max_position_embeddings": 7}) == 131072
    assert window_in({"model_type": "unknown"}) is None


LONG_ROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 6, "long_factor": [4.0] * 6,
             "original_max_position_embeddings": 12, "factor": 8.0}  # fmt: skip
DYNAMIC_ROPE = {"rope_type": "dynamic", "rope_theta": 10000.0, "original_max_position_embeddings": 12, "factor": 8.0}


@pytest.mark.parametrize(("kind", "rope"), [("phi3", LONG_ROPE), ("llama", DYNAMIC_ROPE)])
def test_rotary_factors_that_depend_on_length_are_checked_up_to_the_window(
    kind: str, rope: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def noting_lengths(base: BaseModel, adapters: Any, sequences: Any) -> list[torch.Tensor]:
        seen.extend(map(len, sequences))
        return packed_logits(base, adapters, sequences)

    monkeypatch.setattr(self_check, "packed_logits", noting_lengths)
    base = base_of(kind, rope_parameters=rope, original_max_position_embeddings=12, sliding_window=None)
    assert base.window_tokens == 12
    check_base(base)
    assert max(seen) == 12


def test_the_reference_is_one_pass_and_the_engine_takes_three() -> None:
    base, passes = tiny_base("llama"), []
    base.model.register_forward_pre_hook(lambda *_: passes.append(base.model.config._attn_implementation))
    check_base(base)
    assert passes == ["eager", "seal_packed", "seal_packed", "seal_packed"]


def test_an_error_after_padded_prompts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def after_another_token(base: BaseModel, adapters: Any, requests: Any, following: list[int]) -> list[torch.Tensor]:
        return next_logits(base, adapters, requests, [token + 1 for token in following])

    monkeypatch.setattr(self_check, "next_logits", after_another_token)
    with pytest.raises(WrongUseError, match="prompts in one batch"):
        check_base(tiny_base("gpt2"))
