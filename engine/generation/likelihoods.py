"""Log-probabilities of given tokens: the basis of multiple-choice answers and of the divergence from the base.

Texts of similar length share a chunk; memory is bounded by the tokens of one chunk and by the longest text.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from engine.bank.stack import stack_of
from engine.model.token_layout import lay_out
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from engine.generation.prompts import ChoicePrompt
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel


TOKENS_PER_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of a text. The next token is predicted at every position from `first` on."""

    tokens: tuple[int, ...]
    first: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts of one forward pass.

    `tokens` is [texts, longest], padded at the end; `predicts` marks the positions whose next token is predicted, never
    padding. `places` gives each row's index among all texts.
    """

    places: tuple[int, ...]
    tokens: torch.Tensor
    predicts: torch.Tensor


def chunks(base: BaseModel, spans: Sequence[Span], tokens_per_chunk: int) -> Iterator[Chunk]:
    """Group texts of similar length into chunks of at most that many tokens, or of a single longer text."""
    waiting: list[int] = []
    for place in sorted(range(len(spans)), key=lambda place: len(spans[place].tokens)):
        if waiting and (len(waiting) + 1) * len(spans[place].tokens) > tokens_per_chunk:
            yield _chunk(base, spans, waiting)
            waiting = []
        waiting.append(place)
    if waiting:
        yield _chunk(base, spans, waiting)


def log_probabilities(base: BaseModel, chunk: Chunk, adapter: Adapter | None) -> torch.Tensor:
    """Return [predicted positions, vocabulary] in float32, row after row; no position attends to padding."""
    rows, longest = chunk.tokens.shape
    causal = torch.ones(longest, longest, dtype=torch.bool, device=base.device).tril()
    with acting(base, adapter, rows * longest):
        out = base.model(
            input_ids=chunk.tokens,
            attention_mask=causal[None, None].expand(rows, 1, -1, -1),
            position_ids=torch.arange(longest, device=base.device).expand(rows, -1),
            use_cache=False,
        )
    logits: torch.Tensor = out.logits[chunk.predicts]
    return logits.float().log_softmax(dim=-1)


def acting(base: BaseModel, adapter: Adapter | None, tokens: int) -> AbstractContextManager[None]:
    """Apply an adapter to the next forward pass of that many tokens; None is the base alone."""
    if adapter is None:
        return nullcontext()
    stack = stack_of([adapter], adapter.spec, base.device, base.precision)
    return base.switch.on(stack.first(1), lay_out([tokens], base.device), adapter.spec.scaling, training=False)


def choose_options(base: BaseModel, adapters: Sequence[Adapter | None], prompts: Sequence[ChoicePrompt]) -> list[str]:
    """Return the most likely option of each prompt under its adapter.

    Log-likelihoods are summed over an option's tokens, as lm-evaluation-harness does (`acc`; `acc_norm` with
    `per_character`). If several options are equally likely, the first one is chosen. Raises WrongUseError, naming the
    prompt, if prompt and option exceed the model's window.
    """
    chosen = [""] * len(prompts)
    for index, adapter in enumerate(adapters):
        places = [place for place, prompt in enumerate(prompts) if prompt.adapter == index]
        spans = [option_spans(base, prompts[place]) for place in places]
        likelihoods = iter(log_likelihoods(base, adapter, [span for of_prompt in spans for span in of_prompt]))
        for place, of_prompt in zip(places, spans, strict=True):
            chosen[place] = most_likely(prompts[place], [next(likelihoods) for _ in of_prompt])
    return chosen


def most_likely(prompt: ChoicePrompt, likelihoods: Sequence[float]) -> str:
    """Return the option with the highest log-likelihood (nats), or with the highest one per character."""
    scores = [
        likelihood / len(option) if prompt.per_character else likelihood
        for option, likelihood in zip(prompt.options, likelihoods, strict=True)
    ]
    return prompt.options[scores.index(max(scores))]


def option_spans(base: BaseModel, prompt: ChoicePrompt) -> list[Span]:
    """Return prompt and option as tokens, one span for each option, predicting the option's own tokens.

    A space at the end of the prompt goes to the option, because tokenizers join it to the word that follows.
    """
    start = prompt.text.rstrip()
    between = prompt.text[len(start) :] + prompt.delimiter
    before = len(base.encoder.start(start))
    spans = []
    for option in prompt.options:
        tokens = tuple(base.encoder.start(start + between + option))
        if len(tokens) > base.window_tokens:
            raise WrongUseError(
                f"{prompt.place}: prompt and choice have {len(tokens)} tokens, but the model's window has "
                f"{base.window_tokens}",
                next_step="Use fewer few-shot examples, or leave out such long documents.",
            )
        if not 0 < before < len(tokens):
            raise WrongUseError(
                f"{prompt.place}: this model has no token for the prompt or for a choice",
                next_step="Correct the prompt or its choices.",
            )
        spans.append(Span(tokens, before - 1))
    return spans


@torch.inference_mode()
def log_likelihoods(base: BaseModel, adapter: Adapter | None, spans: Sequence[Span]) -> list[float]:
    """Return the summed log-probability, in nats, of the tokens that each span predicts."""
    sums = [0.0] * len(spans)
    inputs = [Span(span.tokens[:-1], span.first) for span in spans]
    for chunk in chunks(base, inputs, TOKENS_PER_CHUNK):
        rows = [spans[place].tokens[spans[place].first + 1 :] for place in chunk.places]
        targets = torch.tensor([token for row in rows for token in row], device=base.device)
        values = log_probabilities(base, chunk, adapter).gather(1, targets[:, None])[:, 0]
        for place, value in zip(chunk.places, values.split([len(row) for row in rows]), strict=True):
            sums[place] = float(value.double().sum())
    return sums


def _chunk(base: BaseModel, spans: Sequence[Span], places: list[int]) -> Chunk:
    longest = max(len(spans[place].tokens) for place in places)
    tokens = torch.zeros(len(places), longest, dtype=torch.long)
    predicts = torch.zeros(len(places), longest, dtype=torch.bool)
    for row, place in enumerate(places):
        length = len(spans[place].tokens)
        tokens[row, :length] = torch.tensor(spans[place].tokens)
        predicts[row, spans[place].first : length] = True
    return Chunk(tuple(places), tokens.to(base.device), predicts.to(base.device))
