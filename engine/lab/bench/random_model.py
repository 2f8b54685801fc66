"""A random Qwen2 model of about 100 million parameters: large enough that Python does not dominate the time.

Its weights mean nothing; only its speed and its equality with PEFT matter. It has the bundled tokenizer, and a table of
32,768 tokens, of which text uses only those that the tokenizer knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging as transformers_logging

from engine.lab.bundled_model.tokenizer import save_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

RANDOM_100M = "random-100m"
VOCABULARY = 32_768
_WIDTH, _HEADS, _KEY_HEADS = 768, 12, 4
_INNER = 2_048
_WINDOW_TOKENS = 2_048


def random_qwen2(folder: Path, parameters: int = 100_000_000, seed: int = 0) -> int:
    """Write the model with the number of layers that comes nearest to `parameters`; returns how many it has."""
    per_layer = 2 * _WIDTH**2 + 2 * _WIDTH * (_WIDTH // _HEADS * _KEY_HEADS) + 3 * _WIDTH * _INNER
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=_WIDTH,
        intermediate_size=_INNER,
        num_hidden_layers=max(1, round((parameters - VOCABULARY * _WIDTH) / per_layer)),
        num_attention_heads=_HEADS,
        num_key_value_heads=_KEY_HEADS,
        max_position_embeddings=_WINDOW_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )
    transformers_logging.disable_progress_bar()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return int(model.num_parameters())
