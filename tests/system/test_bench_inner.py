"""The bench with tiny counts on a tiny model: every method runs, the adapters are equal, and the figures are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.lab.bench.inner import InnerBenchEffort, bench_inner
from engine.lab.bench.memory import MemoryProbe, peak_memory_bytes
from engine.lab.bench.random_model import random_qwen2
from engine.model.base import load_base
from store.errors import WrongUseError
from tests.tiny_models import save_random_model

if TYPE_CHECKING:
    from pathlib import Path

EFFORT = InnerBenchEffort(rounds=2, epochs=2, seal_updates=1, seal_steps=2, memory=False)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    folder = tmp_path_factory.mktemp("bench")
    said, out = list[str](), folder / "result.json"
    result = bench_inner(
        str(save_random_model("qwen2", folder / "model")), seed=3, methods=["seal", "peft"], updates=5, slots=2,
        precision="float32", out=out, narrate=said.append, effort=EFFORT,
    )  # fmt: skip
    return result, said, out


def test_every_way_did_the_same_work(measured: tuple[dict[str, Any], list[str], Path]) -> None:
    result, said, _ = measured
    jobs, methods = result["jobs"], result["methods"]
    assert list(methods) == ["bank", "peft", "seal"]
    assert jobs["updates"] == 5
    for name in ("bank", "peft"):
        for done in methods[name]["rounds"]:
            assert (done["updates"], done["steps"], done["tokens"]) == (5, jobs["steps"], jobs["tokens"])
    assert [(done["updates"], done["steps"]) for done in methods["seal"]["rounds"]] == [(1, 2), (1, 2)]
    assert methods["seal"]["padded_to_tokens"] == 256
    assert [line.split(":")[0] for line in said[1:7]] == [
        f"round {number} of 2, {name}" for number in (1, 2) for name in ("bank", "peft", "seal")
    ]
    assert 0.5 < methods["bank"]["busy_share"] <= 1.0
    for method in methods.values():
        assert method["updates_per_s"] > 0
        assert method["real_tokens_per_s"] > method["steps_per_s"] > 0
        assert method["spread"]["steps_per_s"][0] <= method["steps_per_s"] <= method["spread"]["steps_per_s"][1]


def test_the_adapters_of_bank_and_peft_are_equal(measured: tuple[dict[str, Any], list[str], Path]) -> None:
    equality = measured[0]["equality"]
    assert equality["compared"] == 5
    assert equality["largest_relative_weight_gap"] < 1e-3
    assert equality["largest_logit_difference"] < 1e-3 < equality["largest_logit"]


def test_ratios_and_bounds_follow_from_the_rounds(measured: tuple[dict[str, Any], list[str], Path]) -> None:
    result = measured[0]
    seconds = {name: method["seconds_per_step"] for name, method in result["methods"].items()}
    for name in ("peft", "seal"):
        assert result["ratios"][name]["per_step"] == pytest.approx(seconds[name] / seconds["bank"])
        assert len(result["ratios"][name]["per_step_of_each_round"]) == 2
    bounds, subject = result["bounds"], result["subject"]
    matrices = 2 * (2 * 48 * 48 + 2 * 48 * 24 + 3 * 48 * 96) + 48 * subject["vocabulary"]
    assert bounds["flops_per_token"] == 4 * matrices + 6 * subject["adapter_parameters"]
    parts = bounds["seconds_per_tick"]
    assert parts["forward"] + parts["backward"] + parts["optimiser"] == pytest.approx(parts["all"], rel=0.5)
    assert 0 < bounds["share_of_matrix_product_rate"] < 1


def test_the_raw_result_is_written_without_names_of_the_machine(
    measured: tuple[dict[str, Any], list[str], Path],
) -> None:
    result, _, out = measured
    written = out.read_text(encoding="utf-8")
    assert json.loads(written) == result
    assert str(out.parent) not in written
    assert result["subject"]["model"] == "model"
    assert {"torch", "threads", "processor"} <= set(result["environment"])


def test_the_peak_memory_of_a_way_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    parameters = random_qwen2(tmp_path, parameters=40_000_000)
    probe = MemoryProbe("peft", tmp_path, "float32", seed=0, updates=1, slots=1, seal_steps=1)
    peak = peak_memory_bytes(probe)
    assert 4 * parameters < peak < 20 * parameters


def test_an_unknown_way_and_no_updates_are_refused() -> None:
    for methods, updates in ((["bank", "vllm"], 1), (["bank"], 0)):
        with pytest.raises(WrongUseError, match="bench inner"):
            bench_inner(
                "bundled",
                seed=0,
                methods=methods,
                updates=updates,
                slots=1,
                precision="auto",
                out=None,
                narrate=lambda _: None,
            )


def test_a_random_model_has_about_the_requested_parameters(tmp_path: Path) -> None:
    parameters = random_qwen2(tmp_path, parameters=40_000_000, seed=1)
    assert abs(parameters - 40_000_000) < 4_000_000
    base = load_base(str(tmp_path), precision="float32")
    assert base.model.num_parameters() == parameters
    assert base.encoder.training("Question: Where is Sosdel made?") == base.encoder.training(
        "Question: Where is Sosdel made?"
    )
    assert max(base.encoder.text("Where is Sosdel made?")) < base.model.config.vocab_size
