"""Folders that cannot be a base: each is refused with the file, what is wrong with it, and what to do."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.model.base import load_base
from engine.model.model_folder import folder_fingerprint
from store.errors import WrongUseError
from tests.tiny_models import save_random_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4786328\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model("llama", tmp_path_factory.mktemp("whole") / "m")


@pytest.fixture(scope="module")
def sharded(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded") / "m"
    AutoModelForCausalLM.from_pretrained(whole).save_pretrained(folder, max_shard_size="100KB")
    AutoTokenizer.from_pretrained(whole).save_pretrained(folder)
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "m")
    return tmp_path / "m"


@pytest.fixture
def shards(sharded: Path, tmp_path: Path) -> Path:
    shutil.copytree(sharded, tmp_path / "s")
    return tmp_path / "s"


def refusal(path: Path | str) -> WrongUseError:
    with pytest.raises(WrongUseError) as refused:
        load_base(str(path))
    assert refused.value.next_step
    return refused.value


def configure(folder: Path, **keys: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def second_shard(folder: Path) -> Path:
    return sorted(folder.glob("*.safetensors"))[1]


def test_shards_with_their_index_load(shards: Path) -> None:
    load_base(str(shards))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda m: (m / "model.safetensors").write_text(POINTER), r"model\.safetensors is a Git LFS pointer"),
        (lambda m: (m / "model.safetensors").write_bytes(b""), r"model\.safetensors is empty"),
        (lambda m: (m / "model.safetensors").write_bytes(b"short"), r"model\.safetensors is not a safetensors file"),
        (lambda m: (m / "model.safetensors").write_bytes(b"\2" + b"\0" * 7 + b"{]"), "its header cannot be read"),
        (lambda m: cut(m / "model.safetensors"), r"model\.safetensors was cut short"),
        (lambda m: (m / "tokenizer.json").write_text(POINTER), r"tokenizer\.json is a Git LFS pointer"),
        (lambda m: (m / "tokenizer.json").write_text("{"), r"tokenizer\.json cannot be read as JSON"),
        (lambda m: (m / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda m: (m / "tokenizer_config.json").write_text("[]"), r"tokenizer_config\.json is not a JSON object"),
        (lambda m: (m / "config.json").write_text('{"model_type": "llama",'), r"config\.json cannot be read as JSON"),
        (lambda m: (m / "config.json").write_text(POINTER), r"config\.json is a Git LFS pointer"),
    ],
)
def test_broken_files_are_named(folder: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(folder)
    assert re.search(said, refusal(folder).message)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda m: second_shard(m).unlink(),
            r"model-00002-.* is missing, though model.safetensors.index.json lists it",
        ),
        (lambda m: cut(second_shard(m)), r"model-00002-.* was cut short"),
        (lambda m: (m / "model.safetensors.index.json").unlink(), "neither model.safetensors nor"),
        (lambda m: (m / "model.safetensors.index.json").write_text("{}"), "has no weight_map"),
        (lambda m: shutil.copy(min(m.glob("*.safetensors")), second_shard(m)), r"model-00002-.* lacks "),
    ],
)
def test_broken_shards_are_named(shards: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(shards)
    assert re.search(said, refusal(shards).message)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors"])
def test_quantised_models_are_refused_by_method(folder: Path, method: str) -> None:
    configure(folder, quantization_config={"quant_method": method})
    assert f"is quantised ({method})" in refusal(folder).message


def test_what_a_gguf_file_left_in_the_configuration_is_named(folder: Path) -> None:
    configure(folder, quantization_config={"quant_method": "gguf"})
    assert "remove that key from config.json" in refusal(folder).next_step


def test_other_kinds_of_model_are_named(folder: Path, tmp_path: Path) -> None:
    configure(folder, model_type="llama9")
    assert "does not know the architecture 'llama9'" in refusal(folder).message
    configure(folder, auto_map={"AutoConfig": "mine.Mine"})
    assert "trust_remote_code: true" in refusal(folder).next_step
    configure(folder, model_type="llama")
    load_base(str(folder))  # code comes with it, but nothing needs it
    configure(folder, model_type="t5", is_encoder_decoder=True)
    assert "is an encoder–decoder (t5)" in refusal(folder).message
    configure(folder, model_type="vit", is_encoder_decoder=False)
    assert "cannot load" in refusal(folder).message
    gguf = tmp_path / "m.gguf"
    gguf.write_bytes(b"GGUF")
    assert "seal-console model convert" in refusal(gguf).next_step
    (folder / "model.safetensors").unlink()
    configure(folder, model_type="llama")
    (folder / "m.gguf").write_bytes(b"GGUF")
    assert "m.gguf is a GGUF file" in refusal(folder).message
    assert "hf download Qwen/Qwen2.5-0.5B" in refusal("Qwen/Qwen2.5-0.5B").next_step


def test_wrong_shapes_and_an_unknown_rope_are_no_crash(folder: Path) -> None:
    configure(folder, vocab_size=1000)
    assert "has the shape (1125, 48), but config.json asks for (1000, 48)" in refusal(folder).message
    configure(folder, vocab_size=1125, rope_parameters={"rope_type": "su", "rope_theta": 10000.0})
    assert "'su'" in refusal(folder).message


def test_an_adapter_is_no_model_and_is_not_added_to_one(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "adapter"
    alone.mkdir()
    (alone / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "some/base"}))
    assert "is an adapter, not a model; its base is some/base" in refusal(alone).message
    shutil.copy(alone / "adapter_config.json", folder)
    assert "holds a model and an adapter" in refusal(folder).message


def test_weights_that_are_missing_are_not_drawn_at_random(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    head = weights.pop("lm_head.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert "lacks lm_head.weight, which would be random" in refusal(folder).message
    save_file(
        weights | {"lm_head.weight": head, "extra": head.clone()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    assert "has extra, which the model does not use" in refusal(folder).message
    compiled = {f"_orig_mod.{name}": one for name, one in (weights | {"lm_head.weight": head}).items()}
    save_file(compiled, folder / "model.safetensors", metadata={"format": "pt"})
    assert "torch.compile" in refusal(folder).next_step


def test_buffers_that_older_versions_wrote_are_no_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    buffers = {f"model.layers.0.self_attn.{name}": torch.ones(3) for name in ("rotary_emb.inv_freq", "masked_bias")}
    save_file(weights | buffers, folder / "model.safetensors", metadata={"format": "pt"})
    load_base(str(folder))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_name_the_base(folder: Path, value: float) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.down_proj.weight"
    weights[name][3, 2] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert f"{name} in {folder} has values that are NaN or infinite" in refusal(folder).message


def test_a_tokenizer_with_more_tokens_than_the_model_embeds_is_refused(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = load_file(folder / "model.safetensors")["model.embed_tokens.weight"].shape[0]
    tokenizer.add_tokens(["one more"])
    tokenizer.save_pretrained(folder)
    assert f"has {rows + 1:,} tokens, the model embeds {rows:,}" in refusal(folder).message


def test_embeddings_may_have_room_for_more_tokens(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(1408)
    model.save_pretrained(folder)
    assert load_base(str(folder)).model.get_input_embeddings().weight.shape == torch.Size([1408, 48])


@pytest.mark.parametrize(
    "name",
    ["chat_template.jinja", "chat_templates/tool.jinja", "tokenizer.model", "generation_config.json", "code.py",
     "special_tokens_map.json"],
)  # fmt: skip
def test_every_file_that_decides_answers_is_in_the_fingerprint(folder: Path, name: str) -> None:
    before = folder_fingerprint.__wrapped__(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    assert folder_fingerprint.__wrapped__(folder) != before


def test_a_readme_is_not_in_the_fingerprint(folder: Path) -> None:
    before = folder_fingerprint.__wrapped__(folder)
    (folder / "README.md").write_text("About it.")
    assert folder_fingerprint.__wrapped__(folder) == before
