"""An adapter from the bank equals the one that PEFT and torch train alone from the same data, order and seed."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from engine.bank.job import InnerJob, Recipe
from engine.bank.packed import packed_logits
from engine.bank.training import InnerUpdateBank
from tests.peft_alone import (
    peft_logits,
    random_job,
    random_sequences,
    relative_gap,
    tiny_base,
    tiny_spec,
    train_alone,
)
from tests.tiny_models import ARCHITECTURES

if TYPE_CHECKING:
    from pathlib import Path

    from engine.lora.adapter import LoraSpec

SLOTS = 3
NEVER = 1e9
WEIGHT_TOLERANCE = 1e-3  # of the way that training went
LOGIT_TOLERANCE = 5e-4


def jobs_of_every_kind(spec: LoraSpec) -> list[InnerJob]:
    """Jobs that differ in everything that a job may differ in; more of them than slots."""
    recipes = [
        (2, Recipe(epochs=2, learning_rate=2e-3, max_grad_norm=NEVER)),
        (4, Recipe(epochs=3, learning_rate=3e-3, schedule="cosine", batch_size=3, weight_decay=0.1)),
        (3, Recipe(epochs=1, learning_rate=1e-3, schedule="constant", max_grad_norm=0.02)),
        (5, Recipe(epochs=2, learning_rate=2e-3, batch_size=2, weight_decay=0.3, max_grad_norm=0.5)),
        (1, Recipe(epochs=4, learning_rate=5e-3, schedule="linear", max_grad_norm=1.0)),
    ]
    return [
        random_job(f"job {index}", spec, recipe, sequences, acting=index % 2 == 1)
        for index, (sequences, recipe) in enumerate(recipes)
    ]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bank_equals_peft_alone(architecture: str, tmp_path: Path) -> None:
    base = tiny_base(architecture)
    jobs = jobs_of_every_kind(tiny_spec(base))
    results = {result.key: result for result in InnerUpdateBank(base, jobs[0].start.spec, SLOTS).train(jobs)}
    assert len(results) == len(jobs) > SLOTS
    probe = list(random_sequences(random.Random("probe"), 1, 40)[0].tokens) * 2
    mine = packed_logits(base, [results[job.key].adapter for job in jobs], [probe] * len(jobs))
    for job, logits in zip(jobs, mine, strict=True):
        alone, result = train_alone(architecture, job, tmp_path / job.key), results[job.key]
        assert result.losses == pytest.approx(alone.losses, abs=1e-4)
        tokens_per_epoch = sum(len(sequence.tokens) for sequence in job.sequences)
        assert (result.steps, result.tokens) == (job.steps, job.recipe.epochs * tokens_per_epoch)
        assert relative_gap(result.adapter, alone.adapter, job.start) < WEIGHT_TOLERANCE
        assert float((logits - peft_logits(alone.model, probe)).abs().max()) < LOGIT_TOLERANCE
        if job.recipe.max_grad_norm < 1.0:
            assert min(alone.gradient_norms) > job.recipe.max_grad_norm
    assert float((mine[0] - mine[1]).abs().max()) > 20 * LOGIT_TOLERANCE


@pytest.mark.parametrize(
    ("architecture", "targets"),
    [("qwen2", ["q_proj", "v_proj"]), ("mistral", ["down_proj"]), ("gpt2", ["c_attn"])],
)
def test_bank_equals_peft_on_some_layers_only(architecture: str, targets: list[str], tmp_path: Path) -> None:
    base = tiny_base(architecture)
    spec = tiny_spec(base, targets)
    assert {target.module.rsplit(".", 1)[-1] for target in spec.targets} == set(targets)
    recipe = Recipe(epochs=2, learning_rate=3e-3, batch_size=2)
    jobs = [random_job(f"job {index}", spec, recipe, 2 + index, acting=index == 1) for index in range(3)]
    results = {result.key: result for result in InnerUpdateBank(base, spec, 2).train(jobs)}
    for job in jobs:
        alone = train_alone(architecture, job, tmp_path / job.key)
        assert relative_gap(results[job.key].adapter, alone.adapter, job.start) < WEIGHT_TOLERANCE


def test_the_order_of_the_sequences_matters_and_comes_from_the_seed() -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    job = random_job("job", spec, Recipe(epochs=2, learning_rate=3e-3), 6)
    same, other = replace(job, key="same"), replace(job, key="other", seed=job.seed + 1)
    results = {result.key: result for result in InnerUpdateBank(base, spec, 3).train([job, same, other])}
    assert results["job"].losses == pytest.approx(results["same"].losses, abs=1e-5)
    assert results["job"].losses != pytest.approx(results["other"].losses, abs=1e-2)


def test_the_bank_leaves_the_base_as_it_was() -> None:
    base = tiny_base("llama")
    spec = tiny_spec(base)
    before = {name: parameter.clone() for name, parameter in base.model.named_parameters()}
    tokens = torch.tensor([[5, 6, 7, 8]])
    logits = base.model(input_ids=tokens).logits
    list(InnerUpdateBank(base, spec, 2).train([random_job("job", spec, Recipe(epochs=2, learning_rate=1e-2), 3)]))
    assert all(torch.equal(parameter, before[name]) for name, parameter in base.model.named_parameters())
    assert all(parameter.grad is None for parameter in base.model.parameters())
    assert torch.equal(base.model(input_ids=tokens).logits, logits)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_bfloat16_base_trains_much_like_a_float32_one(architecture: str) -> None:
    losses = []
    for dtype in (torch.float32, torch.bfloat16):
        base = tiny_base(architecture, dtype)
        spec = tiny_spec(base)
        job = random_job("job", spec, Recipe(epochs=6, learning_rate=5e-3), 2)
        (result,) = InnerUpdateBank(base, spec, 2).train([job])
        assert all(torch.isfinite(matrix).all() for pair in result.adapter.weights.values() for matrix in pair)
        assert all(matrix.dtype == torch.float32 for pair in result.adapter.weights.values() for matrix in pair)
        losses.append(result.losses)
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    assert losses[1][-1] < losses[1][0] - 0.5
