"""The kind `size`: how long a self-edit may be, and how much it may repeat itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from engine.guardrails.rule import Match, MatchReport
from engine.guardrails.texts import folded_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.guardrails.options import OptionReader
    from engine.guardrails.rule import CheckInput

_REPEATED_WORDS = 4


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """Limits, each None where nothing is asked; the limit itself is still allowed.

    `max_repetition` is the share (0 … 1) of the self-edit's runs of four words that stood in it before.
    """

    min_characters: int | None
    max_characters: int | None
    min_lines: int | None
    max_lines: int | None
    min_sequences: int | None
    max_sequences: int | None
    longest_sequence: int | None
    max_repetition: float | None

    def find(self, looked_at: CheckInput) -> MatchReport:
        """Return each limit that is not kept, and all figures."""
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
        limits = [f"{name.replace('_', ' ')} {limit:g}" for name, limit in asdict(self).items() if limit is not None]
        return ", ".join(limits)

    def _broken(self, measured: dict[str, float | int | str | None]) -> Iterator[Match]:
        for name, limit in asdict(self).items():
            what = name.removeprefix("min_").removeprefix("max_")
            value = measured[what]
            if limit is None or not isinstance(value, int | float):
                continue
            if value < limit if name.startswith("min_") else value > limit:
                wanted = "at least" if name.startswith("min_") else "at most"
                yield Match("self-edit", None, what.replace("_", " "), f"{value:g}, {wanted} {limit:g}")


OPTIONS = tuple(SizeCheck.__dataclass_fields__)


def repetition(text: str) -> float:
    """Return the share (0 … 1) of a text's runs of four words that stood in it before; 0 where it has no such run."""
    words = folded_words(text)
    runs = Counter(words[start : start + _REPEATED_WORDS] for start in range(len(words) - _REPEATED_WORDS + 1))
    return 1 - len(runs) / runs.total() if runs else 0.0


def read_size(options: OptionReader) -> SizeCheck:
    """Read the options of a rule; one without any limit is refused."""
    if not any(options.values.get(name) is not None for name in OPTIONS):
        options.report(f"has no limit; give one of {', '.join(OPTIONS)}")
    counts = {name: options.count(name) for name in OPTIONS if name != "max_repetition"}
    for name in ("characters", "lines", "sequences"):
        least, most = counts[f"min_{name}"], counts[f"max_{name}"]
        if least is not None and most is not None and least > most:
            options.report(f"min_{name} is above max_{name}: nothing could pass", f"min_{name}")
    repeated = options.number("max_repetition", None, most=1.0, what="a share from 0 to 1")
    return SizeCheck(**counts, max_repetition=repeated)
