"""A GGUF file becomes a model folder, exactly and once; whatever stands in the way is named with the way out."""

from __future__ import annotations

import builtins
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from engine.input_files.gguf_file import converted_folder, folder_in_cache, named_gguf, read_header
from engine.loop.base_loading import convert_checked, with_folder_of_gguf
from engine.model import gguf_conversion
from engine.model.base import load_base
from engine.model.gguf_conversion import convert_gguf
from engine.model.model_folder import folder_fingerprint
from engine.runtime.progress import ignore_progress
from engine.settings.reading import load_settings
from engine.settings.sections import ModelSettings, Settings
from store.errors import SealError, WrongUseError
from tests.tiny_gguf import tiny_llama, write_gguf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4786328\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("plain") / "tiny.gguf")


@pytest.fixture
def gguf(plain: Path, tmp_path: Path) -> Path:
    shutil.copy(plain, tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def unchecked(_: Path) -> dict[str, Any]:
    return {}


def refusal(gguf: Path, target: Path) -> WrongUseError:
    with pytest.raises(WrongUseError) as refused:
        convert_checked(gguf, target, ignore_progress)
    assert refused.value.next_step
    assert list(target.parent.glob(f"*{target.name}*")) == []
    return refused.value


def test_the_folder_answers_as_the_model_that_was_written(gguf: Path, tmp_path: Path) -> None:
    found = convert_checked(gguf, tmp_path / "m", ignore_progress, dtype="float32")
    assert (found["family"], found["quantisation"], found["dequantised"]) == ("llama", "F32", False)
    assert (found["chat_template"], found["window"], found["licence"]) == (True, 4096, "mit")
    assert found["parameters"] == tiny_llama().num_parameters()
    assert found["notes"] == []
    tokens = torch.tensor([[5, 9, 100, 41, 7, 200, 12, 77]])
    with torch.no_grad():
        made = AutoModelForCausalLM.from_pretrained(tmp_path / "m")(tokens).logits
        assert torch.allclose(made, tiny_llama()(tokens).logits, atol=1e-5)
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert not {"quantization_config", "transformers_version", "auto_map"} & set(config)
    assert load_base(str(tmp_path / "m")).encoder.uses_chat_template


def test_quantised_weights_are_those_that_the_file_holds(tmp_path: Path) -> None:
    gguf = write_gguf(tmp_path / "tiny.gguf", quantisation="Q8_0", template=None)
    found = convert_checked(gguf, tmp_path / "m", ignore_progress)
    assert (found["quantisation"], found["dequantised"], found["dtype"]) == ("Q8_0", True, "bfloat16")
    assert not found["chat_template"]
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "m").state_dict()
    for name, weight in tiny_llama().state_dict().items():
        assert made[name].dtype == torch.bfloat16
        assert float((made[name].float() - weight).abs().max()) < 0.01 * float(weight.abs().max())


def test_the_same_file_gives_the_same_folder(gguf: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        convert_gguf(gguf, tmp_path / name, check=unchecked)
    assert folder_fingerprint(tmp_path / "one") == folder_fingerprint(tmp_path / "other")


def test_what_lies_next_to_the_file_has_no_say(gguf: Path, tmp_path: Path) -> None:
    convert_gguf(gguf, tmp_path / "one", check=unchecked)
    (tmp_path / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine"}}')
    (tmp_path / "tokenizer.json").write_text("{")
    (tmp_path / "mine.py").write_text("raise SystemExit('this ran')")
    convert_gguf(gguf, tmp_path / "other", check=unchecked)
    assert folder_fingerprint(tmp_path / "one") == folder_fingerprint(tmp_path / "other")


@pytest.mark.parametrize(("rule", "pieces"), [("smollm", ["2", "0", "2", "4"]), ("gpt-2", ["2", "0", "24"])])
def test_numbers_are_cut_as_the_file_says(rule: str, pieces: list[str], tmp_path: Path) -> None:
    convert_gguf(write_gguf(tmp_path / "tiny.gguf", pre_tokenizer=rule), tmp_path / "m", check=unchecked)
    assert AutoTokenizer.from_pretrained(tmp_path / "m").tokenize("2024") == pieces


def test_an_unknown_rule_of_cutting_is_said(tmp_path: Path) -> None:
    gguf = write_gguf(tmp_path / "tiny.gguf", pre_tokenizer="mystery")
    (note,) = convert_gguf(gguf, tmp_path / "m", check=unchecked)["notes"]
    assert "by the rule 'mystery'" in note


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda g: g.write_text(POINTER), "is a Git LFS pointer"),
        (lambda g: g.write_bytes(b""), "is empty"),
        (lambda g: g.write_text("not a model"), "is not a GGUF file"),
        (lambda g: g.write_bytes(g.read_bytes()[:40]), "cut short or damaged"),
        (lambda g: g.write_bytes(g.read_bytes()[:5000]), "cut short or damaged"),
        (lambda g: g.write_bytes(g.read_bytes()[:-500]), "cut short or damaged"),
        (lambda g: g.unlink(), "cannot be read: No such file"),
    ],
)
def test_broken_files_are_named(gguf: Path, tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    damage(gguf)
    message = refusal(gguf, tmp_path / "m").message
    assert str(gguf) in message
    assert said in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"more": {"general.type": "adapter"}}, "of the type 'adapter', not a model"),
        ({"more": {"split.count": 3}}, "is one of 3 parts of a model"),
        ({"more": {"llama.rope.scaling.type": "yarn"}}, r"scales its rotary embeddings (yarn)"),
        ({"more_tensors": {"rope_freqs.weight": (8,)}}, "scales its rotary embeddings (rope_freqs.weight)"),
        ({"more_tensors": {"blk.0.attn_sinks.weight": (4,)}}, "does not read all of"),
        ({"leave_out": "model.layers.1.mlp.up_proj.weight"}, "lacks model.layers.1.mlp.up_proj.weight"),
    ],
)
def test_what_transformers_would_leave_out_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    gguf = write_gguf(tmp_path / "tiny.gguf", **changes)
    assert said in refusal(gguf, tmp_path / "m").message


def test_an_architecture_that_transformers_cannot_read_is_named(gguf: Path, tmp_path: Path) -> None:
    gguf.write_bytes(gguf.read_bytes().replace(b"llama", b"rwkv9"))
    refused = refusal(gguf, tmp_path / "m")
    assert "(architecture 'rwkv9';" in refused.message
    assert "safetensors folder" in refused.next_step


def test_a_missing_package_is_named(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_gguf(name: str, *more: Any) -> Any:
        if name == "gguf":
            raise ModuleNotFoundError(name="gguf")
        return found(name, *more)

    monkeypatch.setattr(builtins, "__import__", without_gguf)
    with pytest.raises(WrongUseError, match="needs the package gguf") as refused:
        convert_gguf(gguf, tmp_path / "m", check=unchecked)
    assert refused.value.next_step == "pip install 'seal-console[gguf]'"


def test_nothing_remains_of_a_model_that_cannot_be_a_base(gguf: Path, tmp_path: Path) -> None:
    def refuse(folder: Path) -> dict[str, Any]:
        raise WrongUseError(f"{folder} is none")

    with pytest.raises(WrongUseError, match=f"cannot be a base: {tmp_path / 'm'} is none"):
        convert_gguf(gguf, tmp_path / "m", check=refuse)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["tiny.gguf"]


def test_nothing_half_made_is_left_by_a_stop(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_conversion, "_card", stop)
    with pytest.raises(KeyboardInterrupt):
        convert_gguf(gguf, tmp_path / "m", check=unchecked)
    (tmp_path / ".m.999999999.dead.beef.seal-tmp").mkdir()  # what a killed process left
    monkeypatch.undo()
    (tmp_path / "m").mkdir()  # an empty folder is as good as none
    convert_gguf(gguf, tmp_path / "m", check=unchecked)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m", "tiny.gguf"]
    with pytest.raises(WrongUseError, match="is not empty"):
        convert_gguf(gguf, tmp_path / "m", check=unchecked)


def test_which_file_a_path_names(gguf: Path, tmp_path: Path) -> None:
    assert named_gguf(gguf) == named_gguf(tmp_path) == gguf
    assert named_gguf(gguf.rename(tmp_path / "tiny")) == tmp_path / "tiny"
    assert named_gguf(tmp_path) is named_gguf(tmp_path / "none") is None
    for name in ("one.gguf", "two.GGUF"):
        shutil.copy(tmp_path / "tiny", tmp_path / name)
    with pytest.raises(WrongUseError, match="has 2 GGUF files"):
        named_gguf(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert named_gguf(tmp_path) is None


def test_a_header_says_what_a_file_is(gguf: Path) -> None:
    header = read_header(gguf)
    assert (header.architecture, header.name, header.pre_tokenizer) == ("llama", "Tiny", "smollm")
    assert not header.is_quantised


def test_settings_that_name_a_file_get_its_folder_once(gguf: Path, tmp_path: Path) -> None:
    settings_file = tmp_path / "w" / "seal.yaml"
    settings_file.parent.mkdir()
    settings_file.write_text("model: {path: ../tiny.gguf}\n")
    cache = settings_file.parent / "cache"
    first = load_settings(settings_file)
    assert first.model.path == str(gguf)
    made = with_folder_of_gguf(first, cache, ignore_progress)
    assert made.model.path == str(folder_in_cache(gguf, cache))
    assert load_settings(settings_file) == made
    assert with_folder_of_gguf(made, cache, ignore_progress) == made
    before = folder_fingerprint.__wrapped__(cache / "models" / made.model.path.rpartition("/")[2])

    shutil.rmtree(cache)  # safe to delete: the same base comes back
    assert load_settings(settings_file) == first
    again = with_folder_of_gguf(first, cache, ignore_progress)
    assert again == made
    assert folder_fingerprint.__wrapped__(folder_in_cache(gguf, cache)) == before

    write_gguf(gguf, template=None)  # another file is another base
    assert converted_folder(gguf, cache) is None
    assert with_folder_of_gguf(first, cache, ignore_progress) != made


def test_a_file_that_cannot_be_used_is_left_to_those_who_load_it(tmp_path: Path) -> None:
    settings_file = tmp_path / "seal.yaml"
    settings_file.write_text("model: {path: several}\n")
    (tmp_path / "several").mkdir()
    for name in ("one.gguf", "two.gguf"):
        (tmp_path / "several" / name).write_bytes(b"GGUF")
    settings = load_settings(settings_file)
    with pytest.raises(SealError, match="has 2 GGUF files"):
        with_folder_of_gguf(settings, tmp_path / "cache", ignore_progress)
    bundled = Settings(model=ModelSettings())
    assert with_folder_of_gguf(bundled, tmp_path / "cache", ignore_progress) == bundled
