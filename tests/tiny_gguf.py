"""Small GGUF files, written as llama.cpp writes them: a random llama model, quantised or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HIDDEN, HEADS, KV_HEADS, LAYERS, INNER, WINDOW = 64, 4, 2, 2, 128, 4096
END, MERGED = "<|endoftext|>", "24"
TOKENS = [END, *sorted(pre_tokenizers.ByteLevel.alphabet()), MERGED]
TEMPLATE = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\\n' }}{% endfor %}assistant: "
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_NAMES_OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    """The model that `write_gguf` writes."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, max_position_embeddings=WINDOW, rms_norm_eps=1e-5,
        bos_token_id=None, eos_token_id=0, pad_token_id=0, head_dim=HIDDEN // HEADS,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
    return model.eval()


def write_gguf(
    path: Path,
    *,
    quantisation: str = "F32",
    pre_tokenizer: str = "smollm",
    template: str | None = TEMPLATE,
    more: Mapping[str, Any] | None = None,
    more_tensors: Mapping[str, tuple[int, ...]] | None = None,
    leave_out: str | None = None,
) -> Path:
    """Write a tiny llama as GGUF; skips the test if the package `gguf` is missing."""
    gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install gguf")
    kind = gguf.GGMLQuantizationType[quantisation]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(TOKENS))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre_tokenizer)
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, *[1] * (len(TOKENS) - 1)])
    writer.add_token_merges([" ".join(MERGED)])
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    if template is not None:
        writer.add_chat_template(template)
    for key, value in (more or {}).items():
        writer.add_uint32(key, value) if isinstance(value, int) else writer.add_string(key, value)
    for name, weight in tiny_llama().state_dict().items():
        if name == leave_out:
            continue
        values = _as_llama_cpp(name, weight).numpy().astype(np.float32)
        if values.ndim > 1 and quantisation != "F32":
            writer.add_tensor(_gguf_name(name), gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(_gguf_name(name), values)
    for name, shape in (more_tensors or {}).items():
        writer.add_tensor(name, np.ones(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _gguf_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if module in _NAMES_OUTSIDE:
        return f"{_NAMES_OUTSIDE[module]}.{kind}"
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{_NAMES[rest]}.{kind}"


def _as_llama_cpp(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Return queries and keys with the two halves of each head interleaved, as llama.cpp keeps them."""
    heads = {"q_proj": HEADS, "k_proj": KV_HEADS}.get(name.split(".")[-2])
    if heads is None:
        return weight
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape).contiguous()
