"""The kind `size`: how long a self-edit may be, and how much it may repeat itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from engine.guardrails.rule import Check, Match, MatchReport
from engine.guardrails.texts import folded_words
from engine.input_files.input_model import Count, Share, keys_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from engine.guardrails.rule import CheckInput

_WORDS_IN_A_RUN = 4


class SizeCheck(Check):
    """Limits; None means no limit, and the limit itself is still allowed.

    `max_repetition` is the share (0 … 1) of the self-edit's runs of four words that occurred in it before.
    """

    min_characters: Count | None = None
    max_characters: Count | None = None
    min_lines: Count | None = None
    max_lines: Count | None = None
    min_sequences: Count | None = None
    max_sequences: Count | None = None
    longest_sequence: Count | None = None
    max_repetition: Share | None = None

    @classmethod
    def problems_of_whole(cls, given: Mapping[str, Any], written: Collection[str]) -> list[tuple[str, str]]:
        """There must be a limit, and room between the two of a pair."""
        del written
        keys = keys_of(cls)
        if all(key in given and given[key] is None for key in keys):
            return [("", f"has no limit; set one of {', '.join(keys)}")]
        problems = []
        for name in ("characters", "lines", "sequences"):
            least, most = given.get(f"min_{name}"), given.get(f"max_{name}")
            if least is not None and most is not None and least > most:
                problems.append((f"min_{name}", f"is above max_{name}: nothing could pass"))
        return problems

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each limit that is broken, and all figures."""
        sequences = looked_at.sequences
        measured: dict[str, float | int | str | None] = {
            "characters": len(looked_at.self_edit),
            "lines": sum(bool(line.strip()) for line in looked_at.self_edit.split("\n")),
            "sequences": len(sequences),
            "longest_sequence": max(map(len, sequences), default=0),
            "repetition": round(repetition(looked_at.self_edit), 3),
        }
        return MatchReport(tuple(self._broken(measured)), measured)

    def says(self) -> str:
        """Name the limits."""
        limits = self.model_dump(exclude_none=True)
        return ", ".join(f"{name.replace('_', ' ')} {limit:g}" for name, limit in limits.items())

    def _broken(self, measured: dict[str, float | int | str | None]) -> Iterator[Match]:
        for name, limit in self.model_dump(exclude_none=True).items():
            what = name.removeprefix("min_").removeprefix("max_")
            value = measured[what]
            if isinstance(value, int | float) and (value < limit if name.startswith("min_") else value > limit):
                bound = "at least" if name.startswith("min_") else "at most"
                yield Match("self-edit", None, what.replace("_", " "), f"{value:g}, {bound} {limit:g}")


def repetition(text: str) -> float:
    """Return the share (0 … 1) of a text's runs of four words that occurred in it before; 0 for shorter texts."""
    words = folded_words(text)
    runs = Counter(words[start : start + _WORDS_IN_A_RUN] for start in range(len(words) - _WORDS_IN_A_RUN + 1))
    return 1 - len(runs) / runs.total() if runs else 0.0
