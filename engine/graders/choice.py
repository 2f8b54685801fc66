"""Which grader a question gets if its file names none: it follows from the answers and from how the model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.graders.registry import DEFAULT_GRADER
from engine.graders.text_form import comparable

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PHRASE = 8  # words; longer answers are free text, which nobody repeats word for word


def choose_grader(answers: Sequence[str], form: Literal["chat", "few-shot", "plain"]) -> str:
    """Return the name of the grader for these accepted answers.

    Asked plainly, an answer must be the accepted one. A chat model answers in a sentence, which must contain it; a
    model that is shown how to answer is graded as SQuAD grades. Free text is graded by its overlap.
    """
    if form == "plain":
        return DEFAULT_GRADER
    if all(len(comparable(answer).split()) > LONGEST_PHRASE for answer in answers):
        return "token_f1"
    return "contains" if form == "chat" else "squad"
