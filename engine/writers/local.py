"""The writer on the local model: the policy's adapter, or the base alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.generation.prompts import TextPrompt
from engine.writers.writer import Writing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.executors.executor import Executor
    from engine.generation.sampling import Sampling
    from engine.lora.adapter import Adapter
    from engine.writers.writer import WritingRequest

MAX_NEW_TOKENS = 192


@dataclass(frozen=True, slots=True)
class LocalWriter:
    """Writes with an adapter (None: the base) on an executor; `adapter_hash` tells one policy from another."""

    executor: Executor
    adapter: Adapter | None
    adapter_hash: str | None

    @property
    def identity(self) -> str | None:
        """The hash of the policy's adapter, None for the base."""
        return self.adapter_hash

    def write(self, requests: Sequence[WritingRequest], sampling: Sampling | None = None) -> Iterator[Writing]:
        """Write all texts in mixed batches. A request's text depends on its prompt and seed, not on the others."""
        prompts = [
            TextPrompt(
                f"{one.instructions}\n\n{one.prompt}" if one.instructions else one.prompt,
                adapter=0,
                max_new_tokens=one.max_new_tokens or MAX_NEW_TOKENS,
                stop="end",
                seed=one.seed,
            )
            for one in requests
        ]
        for completion in self.executor.complete(prompts, [self.adapter], sampling=sampling):
            yield Writing(completion.text, completion.prompt_tokens, completion.new_tokens)
