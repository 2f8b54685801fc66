"""A good sequential PEFT loop: one PEFT model for all updates, no padding, torch's fused AdamW, no trainer."""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel

from engine.bank.job import InnerJob, rate_at, training_order
from engine.lab.bench.jobs import RoundTiming, Subject
from engine.lora.adapter import Adapter, LoraSpec, module_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def plain_model(subject: Subject) -> PreTrainedModel:
    """Load the base as transformers does, in the same precision and on the same device."""
    model = AutoModelForCausalLM.from_pretrained(subject.folder, dtype=subject.precision, local_files_only=True)
    loaded: PreTrainedModel = model.to(subject.device)
    return loaded


def peft_config(spec: LoraSpec) -> object:
    """Return PEFT's configuration of the same adapters."""
    from peft import LoraConfig  # noqa: PLC0415 - PEFT takes seconds to import and only the bench needs it

    return LoraConfig(
        r=spec.rank, lora_alpha=spec.alpha, lora_dropout=0.0, target_modules=module_pattern(spec.targets), bias="none",
        task_type="CAUSAL_LM", fan_in_fan_out=spec.fan_in_fan_out,
    )  # fmt: skip


@contextmanager
def peft_quietly() -> Iterator[None]:
    """Leave out one warning: PEFT asks transformers by a name that transformers has deprecated, whatever we do."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


class SequentialPeft:
    """One PEFT model, reset for every update in turn."""

    def __init__(self, subject: Subject) -> None:
        from peft import get_peft_model  # noqa: PLC0415 - as above

        self._spec, self._device = subject.spec, subject.device
        with peft_quietly():
            self._model = get_peft_model(plain_model(subject), peft_config(subject.spec))
        self._learnt = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        named = {name.removeprefix("base_model.model."): p for name, p in self._model.named_parameters()}
        self._pairs = {
            target.module: tuple(named[f"{target.module}.lora_{side}.default.weight"] for side in "AB")
            for target in self._spec.targets
        }

    def train(self, jobs: Sequence[InnerJob]) -> tuple[RoundTiming, dict[str, Adapter]]:
        """Train the jobs one after another; returns what was done and the adapters by key."""
        adapters, train_s, started = {}, 0.0, time.perf_counter()
        for job in jobs:
            self._start(job.start)
            begun = time.perf_counter()
            self._update(job)
            train_s += time.perf_counter() - begun
            adapters[job.key] = self._read()
        steps = sum(job.steps for job in jobs)
        tokens = sum(job.recipe.epochs * sum(len(one.tokens) for one in job.sequences) for job in jobs)
        return RoundTiming(len(jobs), steps, tokens, time.perf_counter() - started, train_s, 1.0), adapters

    @torch.no_grad()
    def _start(self, adapter: Adapter) -> None:
        for module, pair in self._pairs.items():
            for parameter, value in zip(pair, adapter.weights[module], strict=True):
                parameter.copy_(value)

    @torch.no_grad()
    def _read(self) -> Adapter:
        weights = {
            module: (a.detach().cpu().clone(), b.detach().cpu().clone()) for module, (a, b) in self._pairs.items()
        }
        return Adapter(self._spec, weights)

    def _update(self, job: InnerJob) -> None:
        rows = [torch.tensor([sequence.tokens], device=self._device) for sequence in job.sequences]
        recipe, order = job.recipe, training_order(job)
        optimiser = torch.optim.AdamW(
            self._learnt, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        for step, indices in enumerate(order):
            (index,) = indices
            tokens, first = rows[index], max(1, job.sequences[index].loss_start)
            logits = self._model(input_ids=tokens, use_cache=False).logits[0, first - 1 : -1]
            cross_entropy(logits.float(), tokens[0, first:]).backward()
            torch.nn.utils.clip_grad_norm_(self._learnt, recipe.max_grad_norm, foreach=True)
            optimiser.param_groups[0]["lr"] = rate_at(step, len(order), recipe)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
