"""Which families of models can be a base: the table in docs/models.md is what the check says of small random ones."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.generation.self_check import check_base
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.model.base import wrap_model
from store.errors import WrongUseError
from tests.tiny_models import SIZES_OF_FAMILIES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
_GPT: dict[str, Any] = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 256, "resid_pdrop": 0.0,
                        "embd_pdrop": 0.0, "attn_pdrop": 0.0}  # fmt: skip
_MIXED: dict[str, Any] = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
_EXPERTS: dict[str, Any] = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
_ROUTED: dict[str, Any] = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_group": 1,
                           "n_shared_experts": 1, "first_k_dense_replace": 1, "topk_group": 1}  # fmt: skip
_STATE: dict[str, Any] = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
                          "linear_value_head_dim": 8,
                          "layer_types": ["linear_attention", "full_attention"]}  # fmt: skip
_MAMBA: dict[str, Any] = {"mamba_n_heads": 8, "mamba_d_head": 12, "mamba_d_state": 8, "mamba_n_groups": 1,
                          "mamba_chunk_size": 16}  # fmt: skip
_MATRIX = 2  # dimensions; fused experts have one more
FAMILIES: dict[str, dict[str, Any]] = {
    "arcee": {},
    "bamba": {"attn_layer_indices": [1], **_MAMBA},
    "bloom": {"n_layer": 2, "n_head": 4, "hidden_dropout": 0.0},
    "codegen": {**_GPT, "rotary_dim": 8},
    "cohere": {},
    "cohere2": _MIXED,
    "deepseek_v2": {**_ROUTED, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
                    "v_head_dim": 12, "num_key_value_heads": 4, "head_dim": 8},
    "dots1": _ROUTED,
    "ernie4_5": {},
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32, "moe_num_shared_experts": 1,
                     "moe_layer_start_index": 1},
    "exaone4": _MIXED,
    "falcon": {"new_decoder_architecture": False, "multi_query": True, "alibi": False},
    "falcon_h1": {"mamba_d_ssm": 96, **_MAMBA},
    "falcon_mamba": {"state_size": 8},
    "gemma": {},
    "gemma2": {"sliding_window": 8, "query_pre_attn_scalar": 12},
    "gemma3_text": {"query_pre_attn_scalar": 12, **_MIXED},
    "glm": {},
    "glm4": {},
    "glm4_moe": _ROUTED,
    "gpt2": _GPT,
    "gpt_bigcode": {**_GPT, "n_inner": 96},
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gpt_neox": {},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, **_MIXED},
    "gptj": {**_GPT, "rotary_dim": 8},
    "granite": {"attention_multiplier": 0.3, "embedding_multiplier": 3.0, "residual_multiplier": 0.5},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "granitemoehybrid": {"num_local_experts": 0, "shared_intermediate_size": 96, "layer_types": ["mamba", "attention"],
                         "mamba_expand": 2, **_MAMBA},
    "helium": {},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "num_experts": 2, "num_experts_per_tok": 1,
              "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "lfm2": {"layer_types": ["conv", "full_attention"], "conv_L_cache": 3, "block_auto_adjust_ff_dim": False},
    "llama": {},
    "llama4_text": {"num_local_experts": 2, "num_experts_per_tok": 1, "attention_chunk_size": 16,
                    "intermediate_size_mlp": 96, "layer_types": ["chunked_attention", "full_attention"],
                    "no_rope_layers": [1, 0], "moe_layers": [1]},
    "mamba": {"state_size": 8},
    "mamba2": {"num_heads": 8, "state_size": 8, "n_groups": 1, "chunk_size": 16},
    "minimax": {"num_local_experts": 2, "layer_types": ["linear_attention", "full_attention"], "block_size": 8},
    "ministral": _MIXED,
    "mistral": {"sliding_window": 8},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "mpt": {"d_model": 48, "n_heads": 4, "n_layers": 2, "max_seq_len": 256},
    "nemotron": {},
    "olmo": {"clip_qkv": 0.5},
    "olmo2": {},
    "olmo3": _MIXED,
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 48, "dropout": 0.0},
    "persimmon": {"hidden_dropout": 0.0, "partial_rotary_factor": 0.5},
    "phi": {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "partial_rotary_factor": 0.5},
    "phi3": {"resid_pdrop": 0.0, "sliding_window": None},
    "phimoe": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2": {},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 48, "decoder_sparse_step": 1},
    "qwen3": {},
    "qwen3_moe": {**_EXPERTS, "decoder_sparse_step": 1},
    "qwen3_next": {**_EXPERTS, **_STATE, "shared_expert_intermediate_size": 32},
    "recurrent_gemma": {"lru_width": 48, "attention_window_size": 16, "block_types": ["recurrent", "attention"]},
    "rwkv": {"attention_hidden_size": 48, "context_length": 256},
    "seed_oss": {},
    "smollm3": {"no_rope_layers": [1, 0]},
    "stablelm": {"partial_rotary_factor": 0.5},
    "starcoder2": {"residual_dropout": 0.0, "embedding_dropout": 0.0},
    "xglm": {"d_model": 48, "ffn_dim": 96, "num_layers": 2, "attention_heads": 4, "dropout": 0.0},
    "zamba2": {"mamba_d_state": 8, "num_hidden_layers": 3, "n_mamba_heads": 8, "chunk_size": 16,
               "layers_block_type": ["mamba", "hybrid", "mamba"], "mamba_headdim": 12},
}  # fmt: skip


def verdict(kind: str) -> str:
    """Return what the check says of a small random model, and why it is refused."""
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    try:
        sizes = {name: size for name, size in SIZES_OF_FAMILIES.items() if (kind, name) != ("falcon", "head_dim")}
        config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **{**sizes, **FAMILIES[kind]})
        model = AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() >= _MATRIX:
                    weight.mul_(3.0)
        base = wrap_model(model, tokenizer, name=kind, fingerprint=kind)
        check_base(base)
    except (KeyError, WrongUseError) as error:
        return "no: " + next(reason for sign, reason in _REASONS.items() if sign in str(error))
    experts = any(weight.dim() > _MATRIX for weight in model.parameters())
    return "yes, except the MLPs" if experts else "yes"


_REASONS = {
    "state from token to token": "keeps a state from token to token",
    "seal_packed": "attention of its own kind",
    "no linear layer": "linear layers of its own kind",
    "another way": "packed answers differ",
    "cannot be run packed": "cannot be run packed",
}


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {kind: said.strip() for kind, said in rows}


def test_the_page_lists_every_family() -> None:
    assert list(documented()) == sorted(FAMILIES)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_the_page_says_what_the_check_says(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert verdict(kind) == documented()[kind]
