"""How many processes a base gets: on a CPU one for each core, as far as threads and memory allow; else one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest
import torch

from engine.executors.process_count import LEAST_WORK, make_pool
from store.errors import WrongUseError
from tests.peft_alone import tiny_base

if TYPE_CHECKING:
    from engine.model.base import BaseModel

GIBIBYTE = 2**30


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return tiny_base("qwen2")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six cores, as many threads, and memory for many."""
    for name, value in (("usable_cores", 6), ("usable_memory_bytes", 64 * GIBIBYTE), ("torch.get_num_threads", 6)):
        monkeypatch.setattr(f"engine.executors.process_count.{name}", lambda value=value: value)


def size_of(base: BaseModel, processes: Literal["auto"] | int, *, own_code: bool = False) -> int:
    pool = make_pool(base, processes, own_code=own_code)
    return 1 if pool is None else pool.size


def test_auto_is_one_for_each_core_within_threads_and_memory(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert size_of(base, "auto") == 6
    for name, value, size in (("torch.get_num_threads", 4, 4), ("usable_memory_bytes", 4 * GIBIBYTE, 3),
                              ("usable_memory_bytes", GIBIBYTE, 1), ("usable_cores", 1, 1)):  # fmt: skip
        monkeypatch.setattr(f"engine.executors.process_count.{name}", lambda value=value: value)
        assert size_of(base, "auto") == size


def test_a_number_is_taken_as_it_is_and_starts_at_once(base: BaseModel) -> None:
    assert [size_of(base, count) for count in (1, 2, 9)] == [1, 2, 9]
    for processes, work, worth in ((2, 1.0, True), ("auto", LEAST_WORK / 2, False), ("auto", LEAST_WORK, True)):
        pool = make_pool(base, processes, own_code=False)  # type: ignore[arg-type]
        assert pool is not None
        with pool:
            assert pool.is_worth(work) is worth
            assert pool.process_ids == []


def test_a_gpu_and_code_of_the_model_have_one_process(base: BaseModel) -> None:
    assert size_of(replace(base, device=torch.device("cuda")), 4) == 1
    assert size_of(base, 4, own_code=True) == 1


def test_a_model_that_cannot_be_shared_is_used_alone_or_refused(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.model, "made_here", lambda: None, raising=False)
    auto = make_pool(base, "auto", own_code=False)
    assert auto is not None
    assert not auto.is_worth(2 * LEAST_WORK)
    two = make_pool(base, 2, own_code=False)
    assert two is not None
    with pytest.raises(WrongUseError, match="cannot be shared between processes"):
        two.is_worth(1.0)
