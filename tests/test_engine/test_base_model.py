from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.model.base import load_base, wrap_model
from engine.model.precision import choose_device, choose_precision
from store.errors import WrongUseError
from tests.tiny_models import ARCHITECTURES, random_model, save_random_model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_any_local_folder_is_a_base(tmp_path: Path, architecture: str) -> None:
    folder = save_random_model(architecture, tmp_path / architecture)
    base = load_base(str(folder))
    assert base.window_tokens == 256
    assert base.precision == torch.float32
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.tokenizer.decode(base.encoder.text("Hello.\n")) == "Hello.\n"
    assert base.encoder.training("Hello.")[-1] == base.tokenizer.eos_token_id


def test_the_settings_can_shorten_the_window_and_set_the_precision(tmp_path: Path) -> None:
    folder = str(save_random_model("qwen2", tmp_path / "m"))
    assert load_base(folder, max_length=64).window_tokens == 64
    assert load_base(folder, max_length=9999).window_tokens == 256
    assert load_base(folder, precision="bfloat16").precision == torch.bfloat16


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUseError, match=r"config\.json is missing"):
        load_base(str(tmp_path))


def test_pickled_weights_are_never_read(tmp_path: Path) -> None:
    folder = save_random_model("qwen2", tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(WrongUseError, match=r"no \*\.safetensors"):
        load_base(str(folder))


def test_another_weight_is_another_fingerprint(tmp_path: Path) -> None:
    first, second = (save_random_model("qwen2", tmp_path / str(seed), seed) for seed in (1, 2))
    assert load_base(str(first)).fingerprint != load_base(str(second)).fingerprint


def test_prompts_use_the_chat_template_if_there_is_one() -> None:
    tokenizer = build_tokenizer()
    base = wrap_model(random_model("qwen2"), tokenizer, name="m", fingerprint="f")
    assert base.encoder.prompt("Question: who?") == base.encoder.text("Question: who?")
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    assert tokenizer.decode(base.encoder.prompt("who?")) == "<user>who?<assistant>"
    assert base.encoder.prompt("who?") != base.encoder.text("who?")


def test_a_line_ends_at_any_token_that_holds_a_line_break() -> None:
    base = wrap_model(random_model("qwen2"), build_tokenizer(), name="m", fingerprint="f")
    assert {base.tokenizer.decode([token]) for token in base.line_end_tokens} == {"\n"}
    assert base.stop_tokens == {0, 1}


def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(WrongUseError, match="no CUDA device"):
            choose_device("cuda:0")


def test_small_models_stay_in_float32_and_the_settings_have_the_last_word() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu, 1_000_000) == torch.float32
    assert choose_precision("bfloat16", cpu, 1_000_000) == torch.bfloat16
    assert choose_precision("float32", cpu, 10**10) == torch.float32


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    folder = save_random_model("qwen2", tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').write('ran')\n")
    with pytest.raises(WrongUseError, match="needs Python code of its own"):
        load_base(str(folder))
    assert not (tmp_path / "ran").exists()
