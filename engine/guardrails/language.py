"""The kind `language`: in which languages and scripts a text may be written.

Languages are told by the library py3langid, over the whole text and without its capitalised words and numbers: made-up
names say nothing about a language. It speaks only where the text is long enough and the library nearly sure; a short
text in another language passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import regex
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from engine.guardrails.rule import Match, MatchReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.guardrails.options import OptionReader
    from engine.guardrails.rule import CheckInput

OPTIONS = ("languages", "scripts", "other_scripts", "fewest_words", "certainty")
_FEWEST_WORDS, _CERTAINTY, _OTHER_SCRIPTS = 12, 0.95, 0.1
_WORD = regex.compile(r"[\p{L}\p{M}'’]+")
_LETTER = regex.compile(r"\p{L}")


@dataclass(frozen=True, slots=True)
class LanguageCheck:
    """Allowed languages (two letters each) and scripts (Unicode names); an empty list asks nothing.

    `other_scripts` is the share of letters (0 … 1) that may be of other scripts. `certainty` (0 … 1) is how sure the
    library must be that a text of `fewest_words` or more is in another language.
    """

    languages: tuple[str, ...]
    scripts: tuple[str, ...]
    other_scripts: float
    fewest_words: int
    certainty: float

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return the language and the scripts that are not allowed."""
        text = "\n".join(part.text for part in looked_at.parts)
        measured: dict[str, float | int | str | None] = {}
        matches = [*self._of_language(text, measured), *self._of_scripts(text, measured)]
        return MatchReport(tuple(matches), measured)

    def says(self) -> str:
        """Name what is allowed."""
        parts = [f"languages {', '.join(self.languages)}"] if self.languages else []
        parts += [f"scripts {', '.join(self.scripts)}"] if self.scripts else []
        return "only " + "; ".join(parts)

    def _of_language(self, text: str, measured: dict[str, float | int | str | None]) -> Iterator[Match]:
        words = telling_words(text) if self.languages else []
        if len(words) < self.fewest_words or not self.languages:
            return
        name, certainty = _identifier().classify(" ".join(words))
        measured |= {"language": str(name), "certainty": round(float(certainty), 3)}
        if name not in self.languages and certainty >= self.certainty:
            yield Match("text", None, "language", f"{name} ({100 * certainty:.0f} % sure)")

    def _of_scripts(self, text: str, measured: dict[str, float | int | str | None]) -> Iterator[Match]:
        letters = _LETTER.findall(text) if self.scripts else []
        if not letters:
            return
        other = sum(not _script(self.scripts).fullmatch(letter) for letter in letters)
        measured["other_scripts"] = round(other / len(letters), 3)
        if other / len(letters) > self.other_scripts:
            yield Match("text", None, "letters of other scripts", f"{other} of {len(letters)}")


def telling_words(text: str) -> list[str]:
    """Return the words that say something about a language: no capitalised ones, no numbers."""
    return [word for word in _WORD.findall(text) if not word[0].isupper()]


def read_language(options: OptionReader) -> LanguageCheck:
    """Read the options of a rule; one that allows everything is refused."""
    if not {"languages", "scripts"} & options.written.keys():
        options.report("has neither languages nor scripts; give one of the two")
    scripts = options.texts("scripts")
    for script in scripts:
        if _script_problem(script):
            options.report(f"there is no script {script!r}; scripts are Latin, Greek, Cyrillic, Han …", "scripts")
    languages = options.names("languages", sorted(_identifier().labels), ()) if "languages" in options.written else ()
    other = options.number("other_scripts", _OTHER_SCRIPTS, most=1.0, what="a share from 0 to 1")
    fewest = options.count("fewest_words", _FEWEST_WORDS, least=1)
    certainty = options.number("certainty", _CERTAINTY, most=1.0, what="a share from 0 to 1")
    return LanguageCheck(languages, scripts, other or 0.0, fewest or _FEWEST_WORDS, certainty or 0.0)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _script(names: tuple[str, ...]) -> regex.Pattern[str]:
    parts = "".join(rf"\p{{Script={name}}}" for name in (*names, "Common", "Inherited"))
    return regex.compile(f"[{parts}]")


def _script_problem(name: str) -> bool:
    if not regex.fullmatch(r"[A-Za-z_ ]{2,40}", name):
        return True
    try:
        _script((name,))
    except regex.error:
        return True
    return False
