"""Small causal language models built at random from a configuration, one for each architecture under test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from engine.lab.bundled_model.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURES = ("qwen2", "llama", "mistral", "gpt2")
_SHARED = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}
# Sizes by the names that most families have in their configuration; a family ignores what it does not know.
SIZES_OF_FAMILIES: dict[str, Any] = {
    **_SHARED,
    "num_key_value_heads": 2,
    "head_dim": 12,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": 1,
    "attention_dropout": 0.0,
}


def _config(architecture: str, vocabulary: int) -> PreTrainedConfig:
    if architecture == "gpt2":
        return GPT2Config(
            vocab_size=vocabulary,
            n_embd=48,
            n_layer=2,
            n_head=4,
            n_positions=256,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=1,
        )
    kinds = {"qwen2": Qwen2Config, "llama": LlamaConfig, "mistral": MistralConfig}
    extra = {"sliding_window": 8} if architecture == "mistral" else {}
    return kinds[architecture](
        vocab_size=vocabulary,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
        **_SHARED,
        **extra,
    )


def random_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """Build a model whose weights are large enough for its answers to differ from prompt to prompt."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(_config(architecture, len(build_tokenizer())), dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4.0)
    return model.eval()


def save_random_model(architecture: str, folder: Path, seed: int = 0) -> Path:
    """Write such a model with its tokenizer as a local model folder."""
    random_model(architecture, seed).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder
