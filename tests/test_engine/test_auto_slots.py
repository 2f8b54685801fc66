from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from engine.bank.auto import auto_slots, slot_bytes, tokens_per_step
from engine.bank.job import Recipe, ReplayGroup, TrainingSequence
from tests.peft_alone import random_job, tiny_base, tiny_spec

if TYPE_CHECKING:
    from engine.lora.adapter import LoraSpec
    from engine.model.base import BaseModel


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return tiny_base("qwen2")


@pytest.fixture(scope="module")
def spec(base: BaseModel) -> LoraSpec:
    return tiny_spec(base)


def sequence(tokens: int) -> TrainingSequence:
    return TrainingSequence((5,) * tokens)


def test_auto_slots_are_bounded_by_speed_and_by_memory(
    base: BaseModel, spec: LoraSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = random_job("job", spec, Recipe(), 2)
    each = slot_bytes(base, spec, tokens_per_step([job]))
    assert auto_slots(base, spec) == auto_slots(base, spec, [job]) == 32
    for memory, slots in ((4 * 3 * each, 3), (4 * 3 * each + 4, 3), (1, 1)):
        monkeypatch.setattr("engine.bank.auto.usable_memory_bytes", lambda memory=memory: memory)
        assert auto_slots(base, spec, [job]) == slots


def test_memory_is_divided_among_processes_each_of_which_has_a_slot(
    base: BaseModel, spec: LoraSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = slot_bytes(base, spec, tokens_per_step([]))
    assert auto_slots(base, spec, processes=3) == 3 * 32
    for memory, slots in ((4 * 8 * each, 8), (1, 3)):
        monkeypatch.setattr("engine.bank.auto.usable_memory_bytes", lambda memory=memory: memory)
        assert auto_slots(base, spec, processes=3) == slots


def test_long_sequences_large_batches_and_what_is_replayed_make_slots_larger(spec: LoraSpec) -> None:
    job = replace(random_job("job", spec, Recipe(batch_size=2), 1), sequences=tuple(map(sequence, (9, 30, 20))))
    assert tokens_per_step([job]) == 50
    group = ReplayGroup((sequence(7), sequence(40)), per_step=1.5)
    assert tokens_per_step([job, replace(job, replay_groups=(group,))]) == 50 + 2 * 40


def test_activations_and_logits_count(base: BaseModel, spec: LoraSpec) -> None:
    moments_weight_gradient_and_copy = (4 * 4 + base.precision.itemsize) * spec.parameters
    assert moments_weight_gradient_and_copy <= slot_bytes(base, spec, 0) < 2 * moments_weight_gradient_and_copy
    of_token = slot_bytes(base, spec, 101) - slot_bytes(base, spec, 100)
    assert of_token > 2 * base.precision.itemsize * base.model.config.vocab_size
    narrow = replace(base, precision=torch.bfloat16)
    assert slot_bytes(narrow, spec, 1000) < slot_bytes(base, spec, 1000)
