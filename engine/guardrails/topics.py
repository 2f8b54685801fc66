"""The kind `topics`: words and phrases that a text must not hold, as whole words.

Case, accents and invisible characters play no part; endings do: whoever writes the rule lists the forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.guardrails.rule import Match, MatchReport
from engine.guardrails.texts import folded_words, runs_of, words_of

if TYPE_CHECKING:
    from engine.guardrails.options import OptionReader
    from engine.guardrails.rule import CheckInput

OPTIONS = ("words",)


@dataclass(frozen=True, slots=True)
class TopicCheck:
    """Words and phrases as they are written in the rule."""

    words: tuple[str, ...]

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each place of a forbidden word, and whether the document has the word too."""
        document = words_of(looked_at.document)
        matches = []
        for phrase in self.words:
            wanted = folded_words(phrase)
            in_document = next(runs_of(wanted, document), None) is not None if looked_at.task else None
            matches += [
                Match(part.where, word.line, "forbidden words", phrase, in_document)
                for part in looked_at.parts
                for word in runs_of(wanted, words_of(part.text))
            ]
        return MatchReport(tuple(matches))

    def says(self) -> str:
        """Name the words."""
        return "none of the words: " + ", ".join(self.words)


def read_topics(options: OptionReader) -> TopicCheck:
    """Read the options of a rule."""
    words = options.texts("words")
    if "words" not in options.written:
        options.report("words missing: a list of words and phrases")
    for word in words:
        if not folded_words(word):
            options.report(f"{word!r} holds no word", "words")
    return TopicCheck(words)
