"""A published chat model as base: its tokenizer, its template, what it says, and a round on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import AutoTokenizer

from engine.generation.decoding import GenerationRequest, Limits, generate
from engine.lora.adapter import fresh_adapter, make_spec
from engine.model.base import load_base
from engine.retention.general_suites import general_suites
from engine.retention.reading import read_suites
from engine.settings.presets import preset_named

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_read_as_it_was_published(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert [tokenizer.decode(one) for one in tokenizer.encode("In 1969 it's 3.14")] == [
        "In", " ", "1", "9", "6", "9", " it", "'s", " ", "3", ".", "1", "4",
    ]  # fmt: skip
    assert tokenizer.encode("<|im_start|>") == [1]
    assert "You are a helpful AI assistant named SmolLM" in tokenizer.chat_template


def test_it_answers(smollm2: Path) -> None:
    base = load_base(str(smollm2), precision="float32")
    assert base.encoder.uses_chat_template
    prompt = base.encoder.prompt("What is the capital of France?")
    adapter = fresh_adapter(make_spec(base.model, rank=1, alpha=1.0, target_modules=["q_proj"]), 0)
    (answer,) = generate(base, [adapter], [GenerationRequest(tuple(prompt), 0)], Limits(12, base.stop_tokens))
    assert "Paris" in base.tokenizer.decode(answer)


def test_every_prompt_of_general_ability_can_be_answered_within_the_exam(smollm2: Path, tmp_path: Path) -> None:
    for name, text in general_suites().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    limit = preset_named("small").values["exam"]["max_new_tokens"]
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    too_long = [
        prompt.text
        for prompt in read_suites(sorted(tmp_path.iterdir())).prompts
        if min(len(tokenizer.encode(answer)) for answer in prompt.answers) > limit / 2
    ]
    assert too_long == []
