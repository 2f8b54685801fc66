"""What PEFT and torch do with one adapter alone: the reference that the bank and the generation are held to."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from transformers import get_scheduler

from engine.bank.job import InnerJob, Recipe, TrainingSequence, training_order
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.lora.adapter import Adapter, LoraSpec, fresh_adapter, make_spec
from engine.lora.files import adapter_files
from engine.model.base import BaseModel, wrap_model
from tests.tiny_models import random_model

if TYPE_CHECKING:
    from pathlib import Path

LORA_PREFIX = "base_model.model."
IGNORED = -100


def tiny_base(architecture: str, dtype: torch.dtype = torch.float32) -> BaseModel:
    """A random model, frozen and ready for banks."""
    return wrap_model(random_model(architecture).to(dtype), build_tokenizer(), name="tiny", fingerprint="tiny")


def tiny_spec(base: BaseModel, targets: list[str] | None = None, rank: int = 4) -> LoraSpec:
    """Adapters of a low rank on every linear layer, or on those named."""
    return make_spec(base.model, rank=rank, alpha=2.0 * rank, target_modules=targets or "all-linear")


def acting_adapter(spec: LoraSpec, seed: int, size: float = 0.3) -> Adapter:
    """An adapter that changes the model's answers: B is not zero."""
    generator = torch.Generator().manual_seed(seed)
    fresh = fresh_adapter(spec, seed).weights
    weights = {name: (a, size * torch.randn(b.shape, generator=generator)) for name, (a, b) in fresh.items()}
    return Adapter(spec, weights)


def random_sequences(rng: random.Random, count: int, longest: int = 30) -> tuple[TrainingSequence, ...]:
    """Sequences of 4 to `longest` random tokens, learnt from the first, second, third or fourth token on."""
    lengths = [rng.randint(4, longest) for _ in range(count)]
    return tuple(
        TrainingSequence(tuple(rng.randrange(2, 1100) for _ in range(length)), rng.randrange(4)) for length in lengths
    )


def random_job(key: str, spec: LoraSpec, recipe: Recipe, sequences: int, *, acting: bool = False) -> InnerJob:
    """A job whose data, seed and start follow from its key."""
    rng = random.Random(key)
    start = acting_adapter(spec, rng.randrange(99), 0.05) if acting else fresh_adapter(spec, rng.randrange(99))
    return InnerJob(key, random_sequences(rng, sequences), recipe, rng.randrange(99), start)


def peft_model(architecture: str, adapter: Adapter, folder: Path, *, trainable: bool = False) -> PeftModel:
    """Load an adapter's files with PEFT around a model of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in adapter_files(adapter, "tiny").items():
        (folder / name).write_bytes(content)
    return PeftModel.from_pretrained(random_model(architecture), folder, is_trainable=trainable)


@dataclass(frozen=True)
class PeftUpdate:
    """An inner update that PEFT trained alone; `gradient_norms` are those before clipping."""

    model: PeftModel
    losses: list[float]
    gradient_norms: list[float]
    adapter: Adapter


def train_alone(architecture: str, job: InnerJob, folder: Path) -> PeftUpdate:
    """Train a job with PEFT, the model's own loss and padding, torch's AdamW and clipping, transformers' schedules."""
    model = peft_model(architecture, job.start, folder, trainable=True)
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    recipe, order = job.recipe, training_order(job)
    optimiser = torch.optim.AdamW(learnt, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = get_scheduler(recipe.schedule, optimiser, num_warmup_steps=0, num_training_steps=len(order))
    losses, norms = [], []
    for indices in order:
        tokens, labels, mask = _padded([job.sequences[index] for index in indices])
        loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(learnt, recipe.max_grad_norm)))
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return PeftUpdate(model.eval(), losses, norms, as_adapter(model, job.start.spec))


def _padded(sequences: list[TrainingSequence]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    longest = max(len(sequence.tokens) for sequence in sequences)
    rows = []
    for one in sequences:
        gap = longest - len(one.tokens)
        first = max(1, one.loss_start)
        labels = [IGNORED] * first + list(one.tokens[first:]) + [IGNORED] * gap
        rows.append(([*one.tokens, *[1] * gap], labels, [1] * len(one.tokens) + [0] * gap))
    inputs, targets, mask = (torch.tensor(columns) for columns in zip(*rows, strict=True))
    return inputs, targets, mask


@torch.no_grad()
def peft_logits(model: PeftModel, sequence: list[int]) -> torch.Tensor:
    """Logits [tokens, vocabulary] of one sequence under a PEFT model."""
    logits: torch.Tensor = model(input_ids=torch.tensor([sequence])).logits[0]
    return logits


def as_adapter(model: PeftModel, spec: LoraSpec) -> Adapter:
    """The weights of a PEFT model's adapter as a value."""
    named = {name.removeprefix(LORA_PREFIX): p.detach() for name, p in model.named_parameters() if "lora_" in name}
    assert len(named) == 2 * len(spec.targets)
    pairs = {t.module: [named[f"{t.module}.lora_{side}.default.weight"] for side in "AB"] for t in spec.targets}
    return Adapter(spec, {module: (a, b) for module, (a, b) in pairs.items()})


def distance(one: Adapter, other: Adapter) -> float:
    """Euclidean distance between all weights of two adapters of one shape."""
    pairs = [pair for name in one.weights for pair in zip(one.weights[name], other.weights[name], strict=True)]
    return math.sqrt(sum(float((left - right).double().square().sum()) for left, right in pairs))


def relative_gap(one: Adapter, other: Adapter, start: Adapter) -> float:
    """How far two trained adapters are apart, relative to how far training moved the second from its start.

    The norm is used because Adam magnifies rounding in single weights whose gradient is almost zero.
    """
    return distance(one, other) / distance(other, start)
