"""What an operator makes of a self-edit: another text, other training sequences, some of them switched off.

Pure, and without a model, so that a console can show the sequences before it asks for their examination.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.domains.domain import Domain
    from store.records import Candidate, Task


@dataclass(frozen=True, slots=True)
class OperatorEdit:
    """A change of a candidate. What is None stays as it was.

    `completion` is a new text, compiled anew. `sequences` are used as they stand, in place of compiled ones. `off` are
    indices of sequences, after these changes, that are left out of training.
    """

    candidate: str
    completion: str | None = None
    sequences: list[str] | None = None
    off: list[int] | None = None

    def as_payload(self) -> dict[str, Any]:
        """Return it as the payload of a request."""
        return asdict(self)


def edit_from_payload(payload: Mapping[str, Any]) -> OperatorEdit:
    """Read the payload of a request. Raises WrongUseError that lists everything that is wrong with it."""
    problems = [f"{key}: unknown" for key in payload if key not in OperatorEdit.__dataclass_fields__]
    problems += [
        f"{key}: must be {what}"
        for key, what, holds in (
            ("candidate", "the id of a candidate", _is_text(payload.get("candidate"))),
            ("completion", "a text", payload.get("completion") is None or isinstance(payload["completion"], str)),
            ("sequences", "texts, none of them empty", _are_all(payload.get("sequences"), _is_text)),
            ("off", "numbers of sequences, counted from 0", _are_all(payload.get("off"), _is_index)),
        )
        if not holds
    ]
    if problems:
        raise WrongUseError("The edit cannot be understood.", problems=problems)
    return OperatorEdit(**payload)


def edited_sequences(edit: OperatorEdit, original: Candidate, task: Task, domain: Domain) -> list[str]:
    """Return what the edited candidate trains on. Raises WrongUseError if nothing is left, or an index is wrong."""
    sequences = original.sequences
    if edit.sequences is not None:
        sequences = edit.sequences
    elif edit.completion is not None:
        sequences = [example.text for example in domain.compile(edit.completion, task).examples]
    off = set(edit.off or [])
    if too_large := sorted(index for index in off if index >= len(sequences)):
        raise WrongUseError(f"There is no sequence {too_large[0]} to switch off: there are {len(sequences)}, from 0.")
    left = [sequence for index, sequence in enumerate(sequences) if index not in off]
    if not left:
        raise WrongUseError("Every sequence is switched off: nothing is left to train on.", next_step="Leave one on.")
    return left


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_all(values: Any, holds: Any) -> bool:
    return values is None or (isinstance(values, list) and all(holds(value) for value in values))
