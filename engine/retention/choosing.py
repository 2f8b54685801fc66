"""Lets states of the model choose among given continuations: the likeliest after the prompt is the answer.

Log-likelihoods are summed over the tokens of a continuation, as lm-evaluation-harness does (`acc`, or `acc_norm` with
`per_character`). Prompts are put as they stand. Of continuations that are equally likely the first is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from engine.retention.likelihoods import TOKENS_AT_ONCE, Span, chunks, log_probabilities
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.retention.suites import Choices, RetentionPrompt


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
                next_step="Ask for fewer examples, or leave such documents out.",
            )
        if not 0 < before < len(tokens):
            raise WrongUseError(
                f"{prompt.place}: this model has no token for the prompt or for a choice",
                next_step="Correct doc_to_text and doc_to_choice in the task file.",
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
