"""SEAL's own method for inner updates (arXiv 2506.10943 and its code): one at a time, with the Hugging Face trainer.

Each update wraps the base in a fresh PEFT model, pads every sequence to 2,048 tokens (or to the model's window if that
is shorter) without masking the padding from the loss, trains with batch 1, saves the adapter to disk and loads it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.data import IterableDataset

from engine.bank.job import InnerJob, TrainingSequence, training_order
from engine.lab.bench.jobs import RoundTiming, Subject
from engine.lab.bench.sequential import peft_config, peft_quietly, plain_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PADDED_TOKENS = 2_048


class _PaddedBatch(IterableDataset[dict[str, list[int]]]):
    """The sequences of a job in its training order, padded; labels are the tokens, padding included."""

    def __init__(self, job: InnerJob, length: int, padding: int) -> None:
        self._sequences = [job.sequences[index] for indices in training_order(job) for index in indices]
        self._length, self._padding = length, padding

    def __iter__(self) -> Iterator[dict[str, list[int]]]:
        return map(self._row, self._sequences)

    def _row(self, sequence: TrainingSequence) -> dict[str, list[int]]:
        gap = self._length - len(sequence.tokens)
        tokens = [*sequence.tokens, *[self._padding] * gap]
        return {"input_ids": tokens, "attention_mask": [1] * len(sequence.tokens) + [0] * gap, "labels": tokens}


def padded_tokens(subject: Subject) -> int:
    """Return the length that every sequence is padded to."""
    return min(PADDED_TOKENS, subject.window_tokens)


class SealMethod:
    """The base as SEAL trains it."""

    def __init__(self, subject: Subject) -> None:
        self._model = plain_model(subject)
        self._spec, self._padding = subject.spec, subject.padding_token
        self._on_cpu = subject.device.type == "cpu"
        self.padded_tokens = padded_tokens(subject)

    def train(self, jobs: Sequence[InnerJob], most_steps: int) -> RoundTiming:
        """Train the jobs one after another, each for at most `most_steps` optimiser steps."""
        steps, tokens, train_s, started = 0, 0, 0.0, time.perf_counter()
        for job in jobs:
            mine = min(most_steps, job.steps)
            train_s += self._update(job, mine)
            steps += mine
            tokens += sum(len(job.sequences[i].tokens) for indices in training_order(job)[:mine] for i in indices)
        return RoundTiming(len(jobs), steps, tokens, time.perf_counter() - started, train_s, 1.0)

    def _update(self, job: InnerJob, steps: int) -> float:
        """Train one update; returns the seconds of its optimiser steps."""
        from peft import PeftModel, get_peft_model  # noqa: PLC0415 - takes seconds to import, and only the bench needs it
        from transformers import Trainer, TrainingArguments  # noqa: PLC0415 - as above

        with tempfile.TemporaryDirectory() as folder, peft_quietly():
            model = get_peft_model(self._model, peft_config(self._spec))
            arguments = TrainingArguments(
                output_dir=folder, per_device_train_batch_size=1, max_steps=steps, disable_tqdm=True, report_to=[],
                learning_rate=job.recipe.learning_rate, lr_scheduler_type=job.recipe.schedule, save_strategy="no",
                max_grad_norm=job.recipe.max_grad_norm, weight_decay=job.recipe.weight_decay, logging_strategy="no",
                seed=job.seed, use_cpu=self._on_cpu, dataloader_pin_memory=False,
            )  # fmt: skip
            trainer = Trainer(model, arguments, train_dataset=_PaddedBatch(job, self.padded_tokens, self._padding))
            begun = time.perf_counter()
            trainer.train()
            train_s = time.perf_counter() - begun
            saved = Path(folder) / "adapter"
            model.save_pretrained(saved)
            self._model = PeftModel.from_pretrained(model.unload(), saved).unload()
        return train_s
