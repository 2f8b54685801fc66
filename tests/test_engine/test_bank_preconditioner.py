"""Training in coordinates, and beside companions: the bank against autograd on one adapter alone."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.bank import preconditioner as kinds
from engine.bank.job import InnerJob, Recipe, ReplayGroup, SoftTarget, TrainingSequence, rate_at, training_order
from engine.bank.preconditioner import DenseFactor, DiagonalFactor, LowRankPlusIdentity, inverse_root
from engine.bank.training import InnerUpdateBank
from engine.continual import curvature
from engine.continual.curvature import measure_curvature
from engine.lora.adapter import Adapter, adaptable_modules
from tests.peft_alone import acting_adapter, random_job, random_sequences, relative_gap, tiny_base, tiny_spec
from tests.tiny_models import random_model

if TYPE_CHECKING:
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.model.base import BaseModel

NEVER = 1e9
TOLERANCE = 2e-3  # of the way that training went


def coordinates_of(base: BaseModel) -> KroneckerPreconditioner:
    return measure_curvature(base, random_sequences(random.Random("anchors"), 20), seed=0).preconditioner()


def mean_loss(model: torch.nn.Module, sequences: list[TrainingSequence]) -> torch.Tensor:
    """Mean over all learnt tokens, each sequence by itself, so that nothing is packed or padded."""
    losses = []
    for one in sequences:
        first = max(1, one.loss_start) if one.soft_target is None else len(one.tokens) - 1
        logits = model(torch.tensor([one.tokens])).logits[0, first - 1 : -1]
        targets = torch.tensor(one.tokens[first:])
        if one.soft_target is not None:
            targets = torch.zeros_like(logits)
            targets[0, list(one.soft_target.tokens)] = torch.tensor(one.soft_target.probabilities)
        losses.append(torch.nn.functional.cross_entropy(logits, targets, reduction="none"))
    return torch.cat(losses).mean()


def with_likely(sequence: TrainingSequence) -> TrainingSequence:
    """The same, learning what is likely in its last place."""
    tokens = tuple(random.Random(str(sequence.tokens)).sample(range(2, 1100), 5))
    return TrainingSequence(sequence.tokens, sequence.loss_start, SoftTarget(tokens, (0.4, 0.3, 0.2, 0.06, 0.04)))


def trained_alone(architecture: str, job: InnerJob, preconditioner: KroneckerPreconditioner) -> Adapter:
    """Train A′ and B′ with autograd and torch's AdamW on a plain model."""
    model, spec = random_model(architecture).eval().requires_grad_(requires_grad=False), job.start.spec
    start = preconditioner.unprecondition([job.start])[0].weights
    learnt = {name: [matrix.clone().requires_grad_() for matrix in pair] for name, pair in start.items()}

    def hook(name: str) -> object:
        def add(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
            a = preconditioner.inputs[name].matrix.right_multiply(learnt[name][0])
            b = preconditioner.outputs[name].matrix.left_multiply(learnt[name][1])
            return output + spec.scaling * (inputs[0] @ a.T) @ b.T

        return add

    for name, module in adaptable_modules(model).items():
        module.register_forward_hook(hook(name))  # type: ignore[arg-type]
    parameters = [matrix for pair in learnt.values() for matrix in pair]
    optimiser = torch.optim.AdamW(parameters, weight_decay=job.recipe.weight_decay)
    order = training_order(job)
    for step, indices in enumerate(order):
        optimiser.param_groups[0]["lr"] = rate_at(step, len(order), job.recipe)
        loss = mean_loss(model, [job.sequences[index] for index in indices])
        for group in job.replay_groups:
            if beside := [group.sequences[index] for index in group.indices_at(step)]:
                loss = loss + group.weight * mean_loss(model, beside)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, job.recipe.max_grad_norm)
        optimiser.step()
    adapter = Adapter(spec, {name: (a.detach(), b.detach()) for name, (a, b) in learnt.items()})
    return preconditioner.precondition([adapter])[0]


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_the_bank_in_coordinates_equals_autograd_alone(architecture: str) -> None:
    base = tiny_base(architecture)
    spec, preconditioner = tiny_spec(base), coordinates_of(base)
    replay_groups = (
        ReplayGroup(random_sequences(random.Random("earlier"), 4), 2, weight=0.5),
        ReplayGroup(random_sequences(random.Random("anchors"), 3), 1, first=2),
        ReplayGroup(tuple(map(with_likely, random_sequences(random.Random("look-alikes"), 4))), 1.5, weight=0.7),
    )
    recipes = [Recipe(epochs=2, learning_rate=2e-3, max_grad_norm=NEVER), Recipe(epochs=3, batch_size=2)]
    jobs = []
    for place, recipe in enumerate(recipes):
        plain = random_job(f"job {place}", spec, recipe, 3, acting=place == 1)
        jobs.append(
            InnerJob(plain.key, plain.sequences, recipe, plain.seed, plain.start, replay_groups[: 1 + 2 * place])
        )
    bank = InnerUpdateBank(base, spec, 2, preconditioner=preconditioner)
    for result in bank.train(jobs):
        job = next(job for job in jobs if job.key == result.key)
        alone = trained_alone(architecture, job, preconditioner)
        assert relative_gap(result.adapter, alone, job.start) < TOLERANCE


def test_reported_losses_are_those_of_the_jobs_own_sequences() -> None:
    base = tiny_base("qwen2")
    spec = tiny_spec(base)
    job = random_job("job", spec, Recipe(epochs=1, learning_rate=0.0), 2)
    beside = (ReplayGroup(random_sequences(random.Random("other"), 3), 2, weight=7.0),)
    [alone] = InnerUpdateBank(base, spec, 1).train([job])
    [accompanied] = InnerUpdateBank(base, spec, 1).train(
        [InnerJob(job.key, job.sequences, job.recipe, job.seed, job.start, beside)]
    )
    assert accompanied.losses == pytest.approx(alone.losses, rel=1e-4)
    assert accompanied.tokens > alone.tokens


@given(st.integers(1, 12), st.integers(0, 99), st.floats(1e-4, 1.0))
def test_a_root_makes_every_direction_matter_alike(size: int, seed: int, damping: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    half = torch.randn(size, size + 2, generator=generator, dtype=torch.float64)
    factor = half @ half.T
    root = inverse_root(factor, damping)
    damped = factor + damping * factor.trace() / size * torch.eye(size, dtype=torch.float64)
    assert isinstance(root.matrix, DenseFactor)
    assert isinstance(root.inverse, DenseFactor)
    matrix = root.matrix.matrix.double()
    evened = matrix @ damped @ matrix
    alike = evened[0, 0] * torch.eye(size, dtype=torch.float64)
    assert torch.allclose(evened, alike, rtol=1e-3, atol=1e-3 * float(evened[0, 0]))
    assert torch.allclose(matrix @ root.inverse.matrix.double(), torch.eye(size, dtype=torch.float64), atol=1e-3)
    assert float(torch.linalg.det(matrix)) == pytest.approx(1.0, rel=1e-2)


@given(st.integers(3, 12), st.integers(0, 99), st.floats(1e-3, 1.0), st.data())
def test_of_a_wide_factor_the_directions_that_matter_most_are_exact_and_the_others_share_a_mean(
    size: int, seed: int, damping: float, data: st.DataObject
) -> None:
    directions = data.draw(st.integers(1, size - 2))
    half = torch.randn(size, size + 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    factor = half @ half.T
    whole = inverse_root(factor, damping)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "LARGEST_DENSE", size - 1)
        patch.setattr(kinds, "BASIS_SIZE", directions)
        few = inverse_root(factor, damping)
    assert isinstance(few.matrix, LowRankPlusIdentity)
    unit = torch.eye(size)
    matrix, inverse = few.matrix.right_multiply(unit), few.inverse.right_multiply(unit)
    assert torch.allclose(matrix, few.matrix.left_multiply(unit), atol=1e-4)
    assert torch.allclose(matrix @ inverse, unit, atol=1e-3)
    assert float(torch.linalg.det(matrix.double())) == pytest.approx(1.0, rel=1e-2)
    largest = torch.linalg.eigh(factor).eigenvectors[:, -directions:].float()
    assert torch.allclose(few.matrix.left_multiply(largest), whole.matrix.left_multiply(largest), atol=1e-3)


def test_a_diagonal_factor_is_a_diagonal_root() -> None:
    root = inverse_root(torch.tensor([4.0, 1.0, 0.25]), 0.0)
    assert isinstance(root.matrix, DiagonalFactor)
    x = torch.ones(2, 3)
    assert torch.allclose(root.matrix.right_multiply(x), torch.tensor([[0.5, 1.0, 2.0]] * 2))
    assert torch.allclose(root.inverse.left_multiply(root.matrix.left_multiply(x.T)), x.T)


def test_the_change_of_variables_can_be_inverted() -> None:
    base = tiny_base("qwen2")
    adapter, preconditioner = acting_adapter(tiny_spec(base), 3), coordinates_of(base)
    [there_and_back] = preconditioner.precondition(preconditioner.unprecondition([adapter]))
    for name, (a, b) in adapter.weights.items():
        assert torch.allclose(there_and_back.weights[name][0], a, atol=1e-5)
        assert torch.allclose(there_and_back.weights[name][1], b, atol=1e-5)


def test_the_factors_are_those_of_each_tokens_input_and_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base("qwen2")
    anchors = [TrainingSequence(one.tokens, 3) for one in random_sequences(random.Random("anchors"), 1)]
    model = random_model("qwen2").eval()
    noise = torch.randn(len(anchors[0].tokens) - 3, model.config.vocab_size)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: noise)
    found = measure_curvature(base, anchors, seed=0)

    seen: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    for name, module in adaptable_modules(model).items():
        module.register_forward_hook(lambda _, inputs, output, name=name: _remember(seen, name, inputs[0], output))
    logits = model(torch.tensor([anchors[0].tokens])).logits[0]
    (logits[2:-1] * noise).sum().backward()
    assert set(found.inputs) == set(found.outputs) == set(seen)
    for name, (x, output) in seen.items():
        assert output.grad is not None
        g = output.grad[0]
        c = torch.einsum("ti,tj,tk,tk->ij", x, x, g, g)
        assert relative_error(found.inputs[name], c) < 1e-3
        assert relative_error(found.outputs[name], torch.einsum("ti,tj,tk,tk->ij", g, g, x, x)) < 1e-3


def _remember(
    seen: dict[str, tuple[torch.Tensor, torch.Tensor]], name: str, inputs: torch.Tensor, output: torch.Tensor
) -> None:
    output.retain_grad()
    seen[name] = (inputs[0].detach(), output)


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(torch.linalg.matrix_norm(found - expected) / torch.linalg.matrix_norm(expected))


def test_measuring_again_with_the_seed_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_base("qwen2")
    anchors = random_sequences(random.Random("anchors"), 5)
    first, same, other = (measure_curvature(base, anchors, seed).outputs for seed in (0, 0, 1))
    for name, factor in first.items():
        assert torch.equal(factor, same[name])
        assert not torch.equal(factor, other[name])
        assert torch.allclose(factor, factor.T, atol=1e-4)
        assert float(torch.linalg.eigvalsh(factor.double()).min()) > -1e-3 * float(factor.trace())
    monkeypatch.setattr(curvature, "LARGEST_MEASURED", 1)
    diagonal = measure_curvature(base, anchors, 0).outputs
    for name, factor in first.items():
        assert torch.allclose(diagonal[name], factor.diagonal(), rtol=1e-3, atol=1e-5)
