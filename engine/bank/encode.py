"""From training examples, which are text, to the token sequences that a bank trains on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bank.job import TrainingSequence

if TYPE_CHECKING:
    from engine.domains.domain import TrainingExample
    from engine.model.base import BaseModel


def encode_example(base: BaseModel, example: TrainingExample) -> TrainingSequence | None:
    """Return an example as tokens with its loss mask, cut to the model's window.

    None if the window leaves nothing of it to learn.
    """
    tokens = tuple(base.encoder.training(example.text)[: base.window_tokens])
    start = len(base.encoder.start(example.text[: example.loss_start])) if example.loss_start else 1
    loss_start = max(1, start)
    return TrainingSequence(tokens, loss_start) if len(tokens) > loss_start else None
