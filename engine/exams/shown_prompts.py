"""What a model reads about one task, exactly as it reads it, special tokens included, for people to check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.bank.encode import encode_with

if TYPE_CHECKING:
    from engine.domains.domain import Domain
    from engine.model.encoding import TextEncoder
    from store.records import Task

_LEARNT = "⟪", "⟫"  # around what the loss is taken over


def shown_prompts(task: Task, domain: Domain, encoder: TextEncoder) -> dict[str, Any]:
    """Return the texts by what they are for; in a training text, marks stand around what is learnt.

    The exam is shown with the task's first question.
    """
    question = task.questions[0]
    answered = f"Question: {question.text}\nAnswer: {question.answers[0]}"
    [asked] = domain.exam([question])
    return {
        "form": domain.form,
        "exam": _read(encoder, asked.prompt),
        "exam_with_context": _read(encoder, domain.open_exam(task)[0].prompt),
        "self_edit": _read(encoder, domain.prompt(task)),
        "training": [
            _trained(encoder, domain, text) for text in (answered, domain.compile("", task).examples[-1].text)
        ],
        "max_new_tokens": asked.max_new_tokens,
        "ends_at": "the end of the turn" if asked.stop == "end" else "the line's end",
    }


def _read(encoder: TextEncoder, prompt: str) -> str:
    return str(encoder.tokenizer.decode(encoder.prompt(prompt)))


def _trained(encoder: TextEncoder, domain: Domain, text: str) -> str:
    tokens, start = encode_with(encoder, domain.example(text))
    before, learnt = encoder.tokenizer.decode(tokens[:start]), encoder.tokenizer.decode(tokens[start:])
    return f"{before}{_LEARNT[0]}{learnt}{_LEARNT[1]}"
