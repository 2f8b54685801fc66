from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import safetensors.torch
import torch
from peft import LoraConfig

from engine.bank.packed import packed_logits
from engine.lora.adapter import Adapter, LoraSpec, fitted_to, fresh_adapter, make_spec
from engine.lora.files import adapter_files, read_adapter
from store.adapter_files import CONFIG_NAME, WEIGHTS_NAME, hash_adapter
from store.errors import CorruptError, WrongUseError
from tests.peft_alone import (
    acting_adapter,
    distance,
    peft_logits,
    peft_model,
    tiny_base,
    tiny_spec,
)
from tests.tiny_models import ARCHITECTURES, random_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.model.base import BaseModel

PROBE = [5, 9, 300, 41, 7, 800, 12, 77, 64, 3, 1000, 6]
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return tiny_base("qwen2")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("some", [False, True])
def test_peft_loads_the_files_and_answers_as_the_engine_does(architecture: str, some: bool, tmp_path: Path) -> None:
    base = tiny_base(architecture)
    attention = ["c_attn"] if architecture == "gpt2" else ["q_proj", "v_proj"]
    adapter = acting_adapter(tiny_spec(base, attention if some else None), 1)
    model = peft_model(architecture, adapter, tmp_path)
    (mine,) = packed_logits(base, [adapter], [PROBE])
    assert float((mine - peft_logits(model, PROBE)).abs().max()) < 1e-4
    with torch.no_grad():
        untouched = random_model(architecture)(input_ids=torch.tensor([PROBE])).logits[0]
    assert float((mine - untouched).abs().max()) > 0.05


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_fresh_adapter_equals_the_base_and_is_initialised_as_in_peft(architecture: str, tmp_path: Path) -> None:
    base = tiny_base(architecture)
    adapter = fresh_adapter(tiny_spec(base), 3)
    with torch.no_grad():
        untouched = base.model(input_ids=torch.tensor([PROBE])).logits[0]
    (mine,) = packed_logits(base, [adapter], [PROBE])
    assert float((mine - untouched).abs().max()) < 1e-5
    model = peft_model(architecture, adapter, tmp_path)
    for name, (a, b) in adapter.weights.items():
        layer = model.base_model.model.get_submodule(name)
        layer.reset_lora_parameters("default", init_lora_weights=True)
        theirs = layer.lora_A["default"].weight.detach()
        assert float(a.std()) == pytest.approx(float(theirs.std()), rel=0.35)
        bound = 1.0 / math.sqrt(a.shape[1])
        assert 0.8 * bound < float(a.abs().max()) <= bound
        assert float(theirs.abs().max()) <= bound * 1.0001
        assert not b.any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_files_come_back_as_the_same_adapter(architecture: str) -> None:
    base = tiny_base(architecture)
    adapter = acting_adapter(tiny_spec(base, rank=3), 1)
    files = adapter_files(adapter, "some base")
    back = read_adapter(files, tiny_spec(base, rank=8), "here")
    assert (back.spec, distance(back, adapter)) == (adapter.spec, 0.0)
    assert adapter_files(back, "some base") == files
    config = json.loads(files[CONFIG_NAME])
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (3, 6.0, "some base")
    assert config["fan_in_fan_out"] is (architecture == "gpt2")


def test_an_adapter_on_some_layers_comes_back_with_those_alone(base: BaseModel) -> None:
    adapter = acting_adapter(tiny_spec(base, ["q_proj", "down_proj"]), 1)
    back = read_adapter(adapter_files(adapter, "base"), tiny_spec(base), "here")
    assert back.spec == adapter.spec
    assert list(back.weights) == [target.module for target in adapter.spec.targets]


def test_equal_adapters_and_only_they_have_equal_hashes(base: BaseModel) -> None:
    spec = tiny_spec(base)
    files = adapter_files(acting_adapter(spec, 1), "base")
    backwards = Adapter(spec, dict(reversed(acting_adapter(spec, 1).weights.items())))
    assert hash_adapter(files) == hash_adapter(adapter_files(backwards, "base"))
    strided = {name: (a.t().contiguous().t(), b) for name, (a, b) in backwards.weights.items()}
    assert hash_adapter(files) == hash_adapter(adapter_files(Adapter(spec, strided), "base"))
    nudged = acting_adapter(spec, 1)
    nudged.weights[spec.targets[0].module][0][0, 0] += 1e-6
    scaled = Adapter(LoraSpec(spec.rank, spec.alpha + 1, spec.targets), acting_adapter(spec, 1).weights)
    others = [adapter_files(nudged, "base"), adapter_files(scaled, "base"), adapter_files(nudged, "other")]
    assert len({hash_adapter(each) for each in [files, *others]}) == 4


def with_tensors(files: Files, change: Callable[[dict[str, torch.Tensor]], object]) -> Files:
    tensors = safetensors.torch.load(files[WEIGHTS_NAME])
    change(tensors)
    return {**files, WEIGHTS_NAME: safetensors.torch.save(tensors)}


def with_config(files: Files, **values: object) -> Files:
    return {**files, CONFIG_NAME: json.dumps({**json.loads(files[CONFIG_NAME]), **values}).encode()}


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
FOREIGN = {f"base_model.model.model.layers.7.x_proj.lora_{side}.weight": torch.zeros(4, 4) for side in "AB"}
DAMAGE: dict[str, tuple[Callable[[Files], Files], str]] = {
    "no configuration": (lambda f: {WEIGHTS_NAME: f[WEIGHTS_NAME]}, CONFIG_NAME),
    "no weights": (lambda f: {CONFIG_NAME: f[CONFIG_NAME]}, WEIGHTS_NAME),
    "garbled configuration": (lambda f: {**f, CONFIG_NAME: b"\xff{"}, "not a PEFT LoRA adapter"),
    "configuration is a list": (lambda f: {**f, CONFIG_NAME: b"[]"}, "not a PEFT LoRA adapter"),
    "rank is a word": (lambda f: with_config(f, r="many"), "plain LoRA"),
    "configuration nested deeply": (lambda f: {**f, CONFIG_NAME: b"[" * 100_000}, "not a PEFT LoRA adapter"),
    "integers": (
        lambda f: with_tensors(f, lambda t: t.update({f"{FIRST}A.weight": t[f"{FIRST}A.weight"].to(torch.int32)})),
        "q_proj.*int32",
    ),
    "too large for 32 bits": (
        lambda f: with_tensors(
            f,
            lambda t: t.update(
                {f"{FIRST}A.weight": torch.full_like(t[f"{FIRST}A.weight"], 1e308, dtype=torch.float64)}
            ),
        ),
        "q_proj.*infinite",
    ),
    "a module that PEFT leaves out": (lambda f: with_config(f, target_modules=["k_proj"]), "target_modules does not"),
    "a pattern that never ends": (lambda f: with_config(f, target_modules="(.*.*)*x"), "target_modules does not"),
    "a pattern that is none": (lambda f: with_config(f, target_modules="("), "target_modules does not"),
    "garbled weights": (lambda f: {**f, WEIGHTS_NAME: b"garbage" * 9}, "not a PEFT LoRA adapter"),
    "cut weights": (lambda f: {**f, WEIGHTS_NAME: f[WEIGHTS_NAME][:-8]}, "not a PEFT LoRA adapter"),
    "NaN": (lambda f: with_tensors(f, lambda t: t[f"{FIRST}A.weight"][1, 2].fill_(math.nan)), "q_proj.*NaN"),
    "infinite": (lambda f: with_tensors(f, lambda t: t[f"{FIRST}B.weight"][1, 2].fill_(-math.inf)), "q_proj.*NaN"),
    "half a pair": (lambda f: with_tensors(f, lambda t: t.pop(f"{FIRST}B.weight")), "q_proj'.*does not fit"),
    "foreign module": (lambda f: with_tensors(f, lambda t: t.update(FOREIGN)), "x_proj'.*does not fit"),
    "foreign name": (lambda f: with_tensors(f, lambda t: t.update(x=torch.zeros(1))), "module 'x' does not fit"),
    "foreign shape": (
        lambda f: with_tensors(f, lambda t: t.update({f"{FIRST}A.weight": torch.zeros(4, 47)})),
        r"q_proj.*\(4, 47\)",
    ),
    "another rank than stated": (lambda f: with_config(f, r=5), "rank 5"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_refused_with_the_place(base: BaseModel, damage: str) -> None:
    spec = tiny_spec(base)
    files = adapter_files(acting_adapter(spec, 1), "base")
    assert read_adapter(files, spec, "adapters/v0001").spec == spec
    change, message = DAMAGE[damage]
    with pytest.raises(CorruptError, match=message) as caught:
        read_adapter(change(files), spec, "adapters/v0001")
    assert caught.value.message.startswith("adapters/v0001: ")


OTHER_THAN_PLAIN = {
    "peft_type": "LOHA",
    "bias": "all",
    "use_rslora": True,
    "use_dora": True,
    "use_qalora": True,
    "rank_pattern": {"q_proj": 8},
    "alpha_pattern": {"q_proj": 99},
    "layers_to_transform": [0],
    "layers_pattern": "layers",
    "modules_to_save": ["lm_head"],
    "lora_bias": True,
    "layer_replication": [[0, 1]],
    "exclude_modules": ["q_proj"],
    "trainable_token_indices": [1],
    "target_parameters": ["x"],
    "init_lora_weights": "pissa",
    "lora_alpha": math.nan,
    "r": 4.5,
    "fan_in_fan_out": "yes",
    "target_modules": None,
    "a_key_of_the_future": 1,
}


@pytest.mark.parametrize("key", OTHER_THAN_PLAIN)
def test_whatever_peft_would_compute_otherwise_is_refused_by_name(base: BaseModel, key: str) -> None:
    spec = tiny_spec(base)
    files = with_config(adapter_files(acting_adapter(spec, 1), "base"), **{key: OTHER_THAN_PLAIN[key]})
    with pytest.raises(CorruptError, match=r"adapters/v0001: adapter_config\.json asks for something else") as caught:
        read_adapter(files, spec, "adapters/v0001")
    assert [problem.split()[0] for problem in caught.value.problems] == [key]


@pytest.mark.parametrize("alpha", [math.inf, -math.inf, 1e308, True, "16", None, [1], 10**400])
def test_an_alpha_that_32_bits_do_not_hold_is_refused(base: BaseModel, alpha: object) -> None:
    spec = tiny_spec(base)
    files = with_config(adapter_files(acting_adapter(spec, 1), "base"), lora_alpha=alpha)
    with pytest.raises(CorruptError) as caught:
        read_adapter(files, spec, "here")
    assert caught.value.problems[0].startswith("lora_alpha is ")


def test_a_configuration_that_peft_wrote_is_read(base: BaseModel) -> None:
    spec = tiny_spec(base, ["q_proj", "v_proj"])
    files = adapter_files(acting_adapter(spec, 1), "base")
    written = LoraConfig(r=spec.rank, lora_alpha=int(spec.alpha), target_modules=["q_proj", "v_proj"]).to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in written.items()}
    files[CONFIG_NAME] = json.dumps({**plain, "peft_type": "LORA", "task_type": "CAUSAL_LM"}).encode()
    assert read_adapter(files, tiny_spec(base), "here").spec == spec


def product(adapter: Adapter, module: str) -> np.ndarray:
    a, b = (matrix.double().numpy() for matrix in adapter.weights[module])
    return np.asarray(adapter.spec.scaling * b @ a)


def test_growing_an_adapter_is_exact(base: BaseModel) -> None:
    small = acting_adapter(tiny_spec(base, ["q_proj", "up_proj"]), 1)
    spec = make_spec(base.model, rank=9, alpha=3.0, target_modules="all-linear")
    grown, error = fitted_to(small, spec, seed=5)
    assert (grown.spec, error) == (spec, 0.0)
    for target in spec.targets:
        a, b = grown.weights[target.module]
        assert (a.shape, b.shape) == ((9, target.inputs), (target.outputs, 9))
        assert a.any(dim=1).all()
        if target.module in small.weights:
            np.testing.assert_allclose(product(grown, target.module), product(small, target.module), atol=1e-5)
        else:
            assert not b.any()
    (before,), (after,) = (packed_logits(base, [adapter], [PROBE]) for adapter in (small, grown))
    assert float((before - after).abs().max()) < 1e-4
    other, _ = fitted_to(small, spec, seed=6)
    assert distance(grown, other) > 0.1


def test_truncation_keeps_the_best_approximation_and_returns_the_loss(base: BaseModel) -> None:
    large = acting_adapter(tiny_spec(base, rank=6), 1)
    spec = make_spec(base.model, rank=2, alpha=7.0, target_modules="all-linear")
    small, error = fitted_to(large, spec, seed=5)
    lost = []
    for target in spec.targets:
        wanted, kept = product(large, target.module), product(small, target.module)
        left, values, right = np.linalg.svd(wanted, full_matrices=False)
        np.testing.assert_allclose(kept, (left[:, :2] * values[:2]) @ right[:2], atol=1e-4)
        lost.append(np.linalg.norm(wanted - kept) / np.linalg.norm(wanted))
    assert error == pytest.approx(max(lost), rel=1e-3)
    assert 0.1 < error < 1.0


def test_shrinking_what_has_a_low_rank_loses_nothing(base: BaseModel) -> None:
    small = acting_adapter(tiny_spec(base, rank=2), 1)
    grown, _ = fitted_to(small, tiny_spec(base, rank=6), seed=5)
    back, error = fitted_to(grown, small.spec, seed=6)
    assert error < 1e-5
    for module in small.weights:
        np.testing.assert_allclose(product(back, module), product(small, module), atol=1e-4)


def test_fitting_to_the_same_shape_changes_nothing_and_to_fewer_layers_is_refused(base: BaseModel) -> None:
    adapter = acting_adapter(tiny_spec(base), 1)
    assert fitted_to(adapter, tiny_spec(base), seed=5) == (adapter, 0.0)
    with pytest.raises(WrongUseError, match=r"changes 10 layers .* such as model\.layers\.0\.mlp\.down_proj"):
        fitted_to(adapter, tiny_spec(base, ["q_proj", "v_proj"]), seed=5)


def test_a_layer_that_the_model_lacks_is_refused_by_name(base: BaseModel) -> None:
    with pytest.raises(WrongUseError, match="no linear layer named c_attn") as caught:
        tiny_spec(base, ["q_proj", "c_attn"])
    assert "down_proj" in caught.value.next_step
    assert "lm_head" not in caught.value.next_step
