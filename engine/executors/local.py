"""The executor that runs in this process: a bank of inner updates and mixed-adapter generation over one base."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from engine.bank.auto import auto_slots
from engine.bank.training import InnerUpdateBank
from engine.executors.executor import ModelIdentity
from engine.generation.decoding import GenerationRequest, Limits, generate
from engine.generation.divergence import measure_divergence
from engine.generation.likelihoods import choose_options
from engine.generation.prompts import Completion
from engine.generation.sampling import GREEDY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from engine.bank.job import FailedUpdate, InnerJob, InnerResult, RunningUpdate
    from engine.bank.preconditioner import KroneckerPreconditioner
    from engine.generation.prompts import BatchSize, ChoicePrompt, Divergence, TextPrompt
    from engine.generation.sampling import Sampling
    from engine.lora.adapter import Adapter, LoraSpec
    from engine.model.base import BaseModel

_REPORT_INTERVAL_S = 1.0  # reading losses waits for the device, so not at every step
_SHORT_ANSWER_TOKENS = 64
_AUTO_ROWS = {"cpu": (64, 64), "cuda": (512, 256)}  # prompts with short answers in a batch, and with longer ones


class LocalExecutor:
    """Trains and generates on a base that is loaded in this process."""

    def __init__(self, base: BaseModel, slots: BatchSize = "auto") -> None:
        """`slots` is how many inner updates train at once."""
        self._base, self._slots = base, slots

    @property
    def identity(self) -> ModelIdentity:
        """The base model that everything runs on."""
        base = self._base
        precision = str(base.precision).removeprefix("torch.")
        return ModelIdentity(base.name, base.fingerprint, precision, base.encoder.uses_chat_template)

    def train(
        self,
        jobs: Sequence[InnerJob],
        spec: LoraSpec,
        *,
        preconditioner: KroneckerPreconditioner | None = None,
        on_running: Callable[[list[RunningUpdate]], None] | None = None,
        on_failed: Callable[[FailedUpdate], None] | None = None,
    ) -> Generator[InnerResult, None, None]:
        """Train every job in a bank and yield each result as it finishes."""
        slots = auto_slots(self._base, spec, jobs) if self._slots == "auto" else self._slots
        bank = InnerUpdateBank(self._base, spec, min(slots, len(jobs)), preconditioner=preconditioner)
        report = None if on_running is None else throttled(lambda: on_running(bank.running()))
        yield from bank.train(jobs, on_tick=report, on_failed=on_failed)

    def complete(
        self,
        prompts: Sequence[TextPrompt],
        adapters: Sequence[Adapter | None],
        *,
        sampling: Sampling | None = None,
        batch_size: BatchSize = "auto",
    ) -> list[Completion]:
        """Complete the prompts; those that end by the same rule share batches."""
        base = self._base
        tokens = [tuple(base.encoder.start(one.text) if one.raw else base.encoder.prompt(one.text)) for one in prompts]
        found: dict[int, Completion] = {}
        for ending in dict.fromkeys((one.stop, one.max_new_tokens) for one in prompts):
            places = [place for place, one in enumerate(prompts) if (one.stop, one.max_new_tokens) == ending]
            stop, max_new_tokens = ending
            limits = Limits(
                max_new_tokens,
                base.stop_tokens,
                base.line_end_tokens if stop == "line" else frozenset(),
                rows_per_batch(base.device.type, max_new_tokens) if batch_size == "auto" else batch_size,
            )
            requests = [
                GenerationRequest(tokens[place], prompts[place].adapter, prompts[place].seed) for place in places
            ]
            for place, new in zip(places, generate(base, adapters, requests, limits, sampling or GREEDY), strict=True):
                text = str(base.tokenizer.decode(new, skip_special_tokens=True)).strip()
                found[place] = Completion(text, len(tokens[place]), len(new), cut=len(new) == max_new_tokens)
        return [found[place] for place in range(len(prompts))]

    def choose(self, prompts: Sequence[ChoicePrompt], adapters: Sequence[Adapter | None]) -> list[str]:
        """Return the most likely option of each prompt."""
        return choose_options(self._base, adapters, prompts)

    def measure_divergence(self, texts: Sequence[str], adapters: Sequence[Adapter | None]) -> list[Divergence]:
        """Return how far each adapter is from the base on these texts."""
        return measure_divergence(self._base, texts, adapters)


def rows_per_batch(device: str, max_new_tokens: int) -> int:
    """Return how many prompts are answered at once if the settings say `auto`."""
    short, long = _AUTO_ROWS.get(device, _AUTO_ROWS["cpu"])
    return short if max_new_tokens <= _SHORT_ANSWER_TOKENS else long


def throttled(report: Callable[[], None]) -> Callable[[int], None]:
    """Return what a bank may call at every tick, and which reports about once a second."""
    reported_at = float("-inf")

    def on_tick(_: int) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at >= _REPORT_INTERVAL_S:
            reported_at = time.monotonic()
            report()

    return on_tick
