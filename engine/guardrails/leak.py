"""The kind `leak`: audit questions that are in the training text although the context does not contain them.

A question with its answer is cut into runs of words. Of the runs that the context does not contain, the share that is
in the training sequences says how much was copied. A policy that knows how questions are worded may write the same one
by chance: this finds likeness, not theft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import regex

from engine.guardrails.rule import Check, Match, MatchReport
from engine.guardrails.texts import excerpt, folded_words
from engine.input_files.input_model import PositiveCount, Share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.guardrails.rule import CheckInput
    from store.records import Question

# Compiled sequences of questions and answers have these labels; the exam does not.
_LABEL = regex.compile(r"^(?:Question|Answer):", regex.MULTILINE)
Run = tuple[str, ...]


class LeakCheck(Check):
    """`max_share` (0 … 1) is the largest share that may be copied; `words` is the length of a run."""

    max_share: Share = 0.5
    words: PositiveCount = 5

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each audit question that too much is copied from; without a task there is nothing to compare."""
        if looked_at.task is None:
            return MatchReport((), {"audit_questions": 0})
        trained = [folded_words(_LABEL.sub(" ", part.text)) for part in looked_at.parts]
        document = folded_words(looked_at.document)
        audit = [question for question in looked_at.task.questions if question.split == "audit"]
        shares = {question.id: self._share(question, trained, document) for question in audit}
        matches = (
            Match(
                "training text",
                None,
                f"audit question {100 * shares[one.id]:.0f} % copied",
                excerpt(one.text),
                of_audit=True,
            )
            for one in audit
            if shares[one.id] > self.max_share
        )
        return MatchReport(
            tuple(matches),
            {"audit_questions": len(audit), "largest_share": round(max(shares.values(), default=0.0), 3)},
        )

    def says(self) -> str:
        """Say what is compared."""
        return f"at most {100 * self.max_share:g} % of an audit question's runs of {self.words} words"

    def _share(self, question: Question, trained: Sequence[Run], document: Run) -> float:
        exams = [folded_words(f"{question.text} {answer}") for answer in question.answers]
        return max((copied_share(exam, trained, document, self.words) for exam in exams), default=0.0)


def copied_share(exam: Run, trained: Iterable[Run], document: Run, words: int) -> float:
    """Return the share (0 … 1) of the exam's runs of words, except those in the context, that are in a training text.

    An exam shorter than a run is one run. The share is 0 if the context contains every run.
    """
    length = min(words, len(exam))
    own = _runs(exam, length) - _runs(document, length)
    if not own:
        return 0.0
    known = set[Run]().union(*(_runs(text, length) for text in trained))
    return len(own & known) / len(own)


def _runs(words: Run, length: int) -> set[Run]:
    return {words[start : start + length] for start in range(len(words) - length + 1)} if length else set()
