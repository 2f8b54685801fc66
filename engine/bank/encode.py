"""From training examples, which are text, to the token sequences that a bank trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bank.job import TrainingSequence

if TYPE_CHECKING:
    from engine.domains.domain import TrainingExample
    from engine.model.base import BaseModel
    from engine.model.encoding import TextEncoder


def encode_example(base: BaseModel, example: TrainingExample) -> TrainingSequence | None:
    """Return an example as tokens with its loss mask, cut to the model's window.

    None if the window leaves nothing of it to learn.
    """
    every, loss_start = encode_with(base.encoder, example)
    tokens = tuple(every[: base.window_tokens])
    return TrainingSequence(tokens, loss_start) if len(tokens) > loss_start else None


def encode_with(encoder: TextEncoder, example: TrainingExample) -> tuple[list[int], int]:
    """Return an example as tokens, and the index of the first that counts in the loss.

    For a chat model, what stands before `loss_start` is the user's turn and the rest the model's own.
    """
    prompt = example.text[: example.loss_start]
    if prompt and encoder.uses_chat_template:
        asked = encoder.prompt(prompt.rstrip())
        learnt = encoder.text(example.text[example.loss_start :].lstrip())
        return [*asked, *learnt, *encoder.turn_end], len(asked)
    start = len(encoder.start(prompt)) if prompt else 1
    return encoder.training(example.text), max(1, start)
