"""The bench of threads against processes with tiny counts: every way does the same work under each load."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch

from engine.lab.bench.busy import LOADS, WAYS, BusyBenchEffort, bench_busy
from tests.tiny_models import save_random_model

if TYPE_CHECKING:
    from pathlib import Path


def test_every_way_does_the_same_work_under_each_load(tmp_path: Path) -> None:
    said, out, threads = list[str](), tmp_path / "busy.json", torch.get_num_threads()
    result = bench_busy(
        str(save_random_model("qwen2", tmp_path / "model")), seed=3, slots=2, processes=2, precision="float32",
        out=out, narrate=said.append, effort=BusyBenchEffort(updates=3, epochs=1, rounds=2),
    )  # fmt: skip
    assert torch.get_num_threads() == threads
    jobs = result["jobs"]
    for load in LOADS:
        for way in WAYS:
            figures = result["loads"][load][way]
            assert [(turn["steps"], turn["tokens"]) for turn in figures["turns"]] == [
                (jobs["steps"], jobs["tokens"])
            ] * 2
            assert figures["tokens_per_s"] > figures["steps_per_s"] > 0
    rates = {load: result["loads"][load]["processes"]["steps_per_s"] for load in LOADS}
    assert result["times_as_long_with_a_core_taken"]["processes"] == pytest.approx(
        rates["alone"] / rates["one_core_taken"]
    )
    assert len(said) == 1 + 2 * len(LOADS) * len(WAYS)
    written = out.read_text(encoding="utf-8")
    assert json.loads(written) == result
    assert str(tmp_path) not in written
