"""The kind `leak`: questions of the audit that stand in the training text, though the document does not hold them.

A question with its answer is cut into runs of words. The share of these runs that is in the training sequences, among
those that the document itself does not hold, says how much of it was copied. A policy that knows how questions are
asked may write the same one by chance: this finds likeness, not theft.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import regex

from engine.guardrails.rule import Match, MatchReport
from engine.guardrails.texts import excerpt, folded_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.guardrails.options import OptionReader
    from engine.guardrails.rule import CheckInput
    from store.records import Question

OPTIONS = ("max_share", "words")
_MAX_SHARE, _WORDS_IN_A_RUN = 0.5, 5
# Labels that compiled sequences of question and answer have, and the exam has not.
_LABEL = regex.compile(r"^(?:Question|Answer):", regex.MULTILINE)
Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeakCheck:
    """`max_share` (0 … 1) is the largest share that may be copied; `words` is the length of a run."""

    max_share: float
    words: int

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each audit question of which too much is copied; without a task there is nothing to compare with."""
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
    """Return the share (0 … 1) of the exam's runs of words that are in a training text, those of the document aside.

    An exam shorter than a run is one run. 0 where the document holds every run.
    """
    length = min(words, len(exam))
    asked = _runs(exam, length) - _runs(document, length)
    if not asked:
        return 0.0
    known = set[Run]().union(*(_runs(text, length) for text in trained))
    return len(asked & known) / len(asked)


def read_leak(options: OptionReader) -> LeakCheck:
    """Read the options of a rule."""
    share = options.number("max_share", _MAX_SHARE, most=1.0, what="a share from 0 to 1")
    words = options.count("words", _WORDS_IN_A_RUN, least=1)
    return LeakCheck(_MAX_SHARE if share is None else share, _WORDS_IN_A_RUN if words is None else words)


def _runs(words: Run, length: int) -> set[Run]:
    return {words[start : start + length] for start in range(len(words) - length + 1)} if length else set()
