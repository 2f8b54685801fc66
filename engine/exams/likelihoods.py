"""Log-probabilities of the next token at given positions of many texts, under one adapter at a time.

Texts of like length lie side by side; memory is bounded by the tokens of one chunk and by the longest text.
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

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.retention.suites import Choices, RetentionPrompt


TOKENS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of a text; asked is the next token of each position from `first` on."""

    tokens: tuple[int, ...]
    first: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Texts side by side: `tokens` is [texts, longest], padded at the end; `asked` marks positions, padding never.

    `places` says which of all texts each row is.
    """

    places: tuple[int, ...]
    tokens: torch.Tensor
    asked: torch.Tensor


def chunks(base: BaseModel, spans: Sequence[Span], tokens_at_once: int) -> Iterator[Chunk]:
    """Put texts of like length side by side, as many as the limit of tokens allows, but at least one; none is empty."""
    waiting: list[int] = []
    for place in sorted(range(len(spans)), key=lambda place: len(spans[place].tokens)):
        if waiting and (len(waiting) + 1) * len(spans[place].tokens) > tokens_at_once:
            yield _chunk(base, spans, waiting)
            waiting = []
        waiting.append(place)
    if waiting:
        yield _chunk(base, spans, waiting)


def log_probabilities(base: BaseModel, chunk: Chunk, adapter: Adapter | None) -> torch.Tensor:
    """Return [asked positions, vocabulary] in float32, row after row; what pads a text is never seen."""
    rows, longest = chunk.tokens.shape
    causal = torch.ones(longest, longest, dtype=torch.bool, device=base.device).tril()
    with acting(base, adapter, rows * longest):
        out = base.model(
            input_ids=chunk.tokens,
            attention_mask=causal[None, None].expand(rows, 1, -1, -1),
            position_ids=torch.arange(longest, device=base.device).expand(rows, -1),
            use_cache=False,
        )
    logits: torch.Tensor = out.logits[chunk.asked]
    return logits.float().log_softmax(dim=-1)


def acting(base: BaseModel, adapter: Adapter | None, tokens: int) -> AbstractContextManager[None]:
    """Let an adapter act on the next forward of so many tokens; None is the base alone."""
    if adapter is None:
        return nullcontext()
    stack = stack_of([adapter], adapter.spec, base.device)
    return base.switch.on(stack.first(1), lay_out([tokens], base.device), adapter.spec.scaling, learning=False)


def _chunk(base: BaseModel, spans: Sequence[Span], places: list[int]) -> Chunk:
    longest = max(len(spans[place].tokens) for place in places)
    tokens = torch.zeros(len(places), longest, dtype=torch.long)
    asked = torch.zeros(len(places), longest, dtype=torch.bool)
    for row, place in enumerate(places):
        length = len(spans[place].tokens)
        tokens[row, :length] = torch.tensor(spans[place].tokens)
        asked[row, spans[place].first : length] = True
    return Chunk(tuple(places), tokens.to(base.device), asked.to(base.device))


def chosen_texts(
    base: BaseModel, adapters: Sequence[Adapter | None], asked: Sequence[tuple[RetentionPrompt, int]]
) -> list[str]:
    """Return the option that each prompt's adapter (index into `adapters`) finds likeliest, in the order of `asked`.

    Raises WrongUseError, naming the prompt, where prompt and option are longer than the model's window.
    """
    found = [""] * len(asked)
    for index, adapter in enumerate(adapters):
        places = [place for place, (_, own) in enumerate(asked) if own == index]
        spans = [_spans(base, asked[place][0]) for place in places]
        likelihoods = iter(_likelihoods(base, adapter, [span for of_prompt in spans for span in of_prompt]))
        for place, of_prompt in zip(places, spans, strict=True):
            choices = asked[place][0].choices
            if choices is not None:
                found[place] = likeliest(choices, [next(likelihoods) for _ in of_prompt])
    return found


def likeliest(choices: Choices, likelihoods: Sequence[float]) -> str:
    """Return the option of the highest log-likelihood (in nats), or of the highest for each of its characters."""
    measured = [
        likelihood / len(option) if choices.per_character else likelihood
        for option, likelihood in zip(choices.options, likelihoods, strict=True)
    ]
    return choices.options[measured.index(max(measured))]


def _spans(base: BaseModel, prompt: RetentionPrompt) -> list[Span]:
    """Return the tokens of prompt and option for each option, in which the option's own are asked.

    A space at the prompt's end goes to the option, as tokenizers join it to the word after it.
    """
    choices = prompt.choices
    if choices is None:
        return []
    start = prompt.text.rstrip()
    between = prompt.text[len(start) :] + choices.delimiter
    before = len(base.encode_start(start))
    spans = []
    for option in choices.options:
        tokens = tuple(base.encode_start(start + between + option))
        if len(tokens) > base.window_tokens:
            raise WrongUseError(
                f"{prompt.place}: prompt and choice are {len(tokens)} tokens long, but the model's window has "
                f"{base.window_tokens}",
                next_step="Shorten the prompt, or remove it from the suite.",
            )
        if not 0 < before < len(tokens):
            raise WrongUseError(
                f"{prompt.place}: this model has no token for the prompt or for a choice",
                next_step="Correct the prompt and its choices.",
            )
        spans.append(Span(tokens, before - 1))
    return spans


@torch.inference_mode()
def _likelihoods(base: BaseModel, adapter: Adapter | None, spans: Sequence[Span]) -> list[float]:
    found = [0.0] * len(spans)
    heard = [Span(span.tokens[:-1], span.first) for span in spans]
    for chunk in chunks(base, heard, TOKENS_AT_ONCE):
        rows = [spans[place].tokens[spans[place].first + 1 :] for place in chunk.places]
        wanted = torch.tensor([token for row in rows for token in row], device=base.device)
        values = log_probabilities(base, chunk, adapter).gather(1, wanted[:, None])[:, 0]
        for place, value in zip(chunk.places, values.split([len(row) for row in rows]), strict=True):
            found[place] = float(value.double().sum())
    return found
