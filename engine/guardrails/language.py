"""The kind `language`: the languages and scripts that a text may be written in.

The library py3langid identifies the language of the whole text without its capitalised words and numbers, because
made-up names say nothing about a language. Only a text that is long enough, and a library that is nearly sure, make a
match; a short text in another language passes.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import regex
from py3langid.langid import MODEL_FILE, LanguageIdentifier
from pydantic import AfterValidator

from engine.guardrails.rule import Check, Match, MatchReport
from engine.input_files.input_model import PositiveCount, Share, Texts
from store.wording import suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from engine.guardrails.rule import CheckInput

_WORD = regex.compile(r"[\p{L}\p{M}'’]+")
_LETTER = regex.compile(r"\p{L}")


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _script(names: tuple[str, ...]) -> regex.Pattern[str]:
    parts = "".join(rf"\p{{Script={name}}}" for name in (*names, "Common", "Inherited"))
    return regex.compile(f"[{parts}]")


def _known_languages(names: tuple[str, ...]) -> tuple[str, ...]:
    known = sorted(_identifier().labels)
    for name in names:
        if name not in known:
            raise ValueError(f"unknown language {name!r}; {suggestion(name, known)}")
    return tuple(name for name in known if name in names)


def _known_scripts(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        try:
            is_known = bool(regex.fullmatch(r"[A-Za-z_ ]{2,40}", name)) and bool(_script((name,)))
        except regex.error:
            is_known = False
        if not is_known:
            raise ValueError(f"unknown script {name!r}; scripts are Latin, Greek, Cyrillic, Han …")
    return names


class LanguageCheck(Check):
    """Allowed languages (two letters each) and scripts (Unicode names); an empty list allows all.

    `other_scripts` is the share of letters (0 … 1) that may be of other scripts. `certainty` (0 … 1) is how sure the
    library must be that a text of at least `fewest_words` is in another language.
    """

    languages: Annotated[Texts, AfterValidator(_known_languages)] = ()
    scripts: Annotated[Texts, AfterValidator(_known_scripts)] = ()
    other_scripts: Share = 0.1
    fewest_words: PositiveCount = 12
    certainty: Share = 0.95

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """A rule that allows every language and every script would find nothing."""
        del written
        empty = all(key in given and not given[key] for key in ("languages", "scripts"))
        return [("", "has neither languages nor scripts")] if empty else []

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
    """Return the words that tell something about a language: those that are not capitalised, and no numbers."""
    return [word for word in _WORD.findall(text) if not word[0].isupper()]
