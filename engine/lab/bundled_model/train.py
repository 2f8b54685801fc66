"""Trains the bundled model from scratch on exercises drawn from a seed.

Stages: reading, known facts and clean self-edits first, with the bad styles in the last part; then more self-edits,
until they are fluent; last, false self-edits with a wording of their own, so that good ones copy exactly. The same seed
gives the same exercises; weights are bit-identical only on the same processor with the same number of threads.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM

from engine.lab.bundled_model.corpus import LEARNING, POLISHING, SEPARATING, Exercise, ExerciseBook, Mixture
from engine.lab.bundled_model.tokenizer import CONTEXT_LENGTH, build_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

IGNORED = -100


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """One run of the learning rate from warm-up to almost zero; the bad styles come after `clean_share` of it."""

    steps: int
    learning_rate: float
    clean_share: float
    mixture: Mixture


@dataclass(frozen=True, slots=True)
class PretrainingRecipe:
    """How the bundled model is trained. `tokens_per_batch` includes padding."""

    seed: int = 0
    stages: tuple[TrainingStage, ...] = (
        TrainingStage(steps=6500, learning_rate=2e-3, clean_share=0.6, mixture=LEARNING),
        TrainingStage(steps=2000, learning_rate=1e-3, clean_share=0.0, mixture=POLISHING),
        TrainingStage(steps=1500, learning_rate=1e-3, clean_share=0.0, mixture=SEPARATING),
    )
    tokens_per_batch: int = 4096
    most_exercises_per_batch: int = 96
    warmup_steps: int = 200
    weight_decay: float = 0.05
    pool_batches: int = 24

    def shortened(self, steps: int) -> PretrainingRecipe:
        """Return the same stages in proportion, with that many steps in total."""
        every = sum(stage.steps for stage in self.stages)
        stages = tuple(replace(stage, steps=max(1, stage.steps * steps // every)) for stage in self.stages)
        return replace(self, stages=stages)


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded exercises: `tokens` and `labels` are [exercises, longest]; ignored labels are -100."""

    tokens: torch.Tensor
    labels: torch.Tensor


def architecture(vocabulary_size: int) -> Qwen2Config:
    """Return the configuration of the bundled model: Qwen2, 4 layers, width 128, tied embeddings."""
    return Qwen2Config(
        vocab_size=vocabulary_size,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
        use_cache=True,
    )


def encode(exercise: Exercise, tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return tokens and labels of one exercise; the completion ends with the end-of-text token."""
    prompt = tokenizer(exercise.prompt)["input_ids"]
    completion = [*tokenizer(exercise.completion)["input_ids"], tokenizer.eos_token_id]
    return prompt + completion, [IGNORED] * len(prompt) + completion


def _collate(encoded: list[tuple[list[int], list[int]]], padding: int) -> Batch:
    longest = max(len(tokens) for tokens, _ in encoded)
    tokens = torch.tensor([row + [padding] * (longest - len(row)) for row, _ in encoded])
    labels = torch.tensor([row + [IGNORED] * (longest - len(row)) for _, row in encoded])
    return Batch(tokens, labels)


def batches(
    exercises: Iterator[Exercise], tokenizer: PreTrainedTokenizerBase, recipe: PretrainingRecipe, rng: random.Random
) -> Iterator[Batch]:
    """Yield batches of exercises of similar length, cut to the token budget, in random order within a pool."""
    while True:
        pool = [encode(next(exercises), tokenizer) for _ in range(recipe.pool_batches * 64)]
        pool.sort(key=lambda pair: len(pair[0]))
        cut: list[list[tuple[list[int], list[int]]]] = [[]]
        for pair in pool:
            too_long = (len(cut[-1]) + 1) * len(pair[0]) > recipe.tokens_per_batch
            if too_long or len(cut[-1]) >= recipe.most_exercises_per_batch:
                cut.append([])
            cut[-1].append(pair)
        rng.shuffle(cut)
        yield from (_collate(group, tokenizer.pad_token_id) for group in cut if group)


def loss_of(model: Qwen2ForCausalLM, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy over completion tokens, in nats; the head runs on those positions only."""
    hidden = model.model(input_ids=batch.tokens, use_cache=False).last_hidden_state[:, :-1]
    labels = batch.labels[:, 1:]
    learnt = labels != IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learnt]), labels[learnt])


def _rate(step: int, stage: TrainingStage, recipe: PretrainingRecipe) -> float:
    if step < recipe.warmup_steps:
        return (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, stage.steps - recipe.warmup_steps)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def train(recipe: PretrainingRecipe, folder: Path, narrate: Callable[[str], None]) -> None:
    """Train the bundled model and write it with its tokenizer to `folder`, also after each stage."""
    torch.manual_seed(recipe.seed)
    tokenizer = build_tokenizer()
    model = Qwen2ForCausalLM(architecture(len(tokenizer)))
    for index in range(len(recipe.stages)):
        train_stage(model, tokenizer, recipe, index, narrate)
        save(model, tokenizer, folder)


def train_stage(
    model: Qwen2ForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    recipe: PretrainingRecipe,
    index: int,
    narrate: Callable[[str], None],
) -> None:
    """Train one stage with a new optimiser; its exercises depend only on the seed and the stage."""
    stage, seed = recipe.stages[index], recipe.seed + 1000 * index
    optimiser = _optimiser(model, stage, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, stage, recipe))
    book, rng = ExerciseBook(seed, stage.mixture), random.Random(f"batches {seed}")
    streams = {clean: batches(book.exercises(clean_only=clean), tokenizer, recipe, rng) for clean in (True, False)}
    started, running = time.monotonic(), 0.0
    for step in range(stage.steps):
        loss = loss_of(model, next(streams[step < stage.clean_share * stage.steps]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if step % 100 == 0:
            elapsed = time.monotonic() - started
            narrate(f"stage {index + 1}, step {step} of {stage.steps}, loss {running:.4f}, {elapsed:.0f} s")


def _optimiser(model: Qwen2ForCausalLM, stage: TrainingStage, recipe: PretrainingRecipe) -> torch.optim.AdamW:
    decayed = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    plain = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    return torch.optim.AdamW(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=stage.learning_rate,
        betas=(0.9, 0.98),
        fused=True,
    )


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write weights (safetensors, float32), configuration and tokenizer."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
