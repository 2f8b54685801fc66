"""An operator's change to a self-edit: another text, other training sequences, some of them switched off.

Pure and without a model, so that a console can show the sequences before it asks for their evaluation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from engine.domains.domain import TrainingExample, examples_of
from store.errors import WrongUseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.domains.domain import Domain
    from store.records import Candidate, Task


@dataclass(frozen=True, slots=True)
class OperatorEdit:
    """A change to a candidate. A field that is None stays unchanged.

    `completion` is a new text, compiled again. `sequences` are used as given instead of compiled ones. `off` are
    indices of sequences, after these changes, that are left out of training.
    """

    candidate: str
    completion: str | None = None
    sequences: list[str] | None = None
    off: list[int] | None = None

    def as_payload(self) -> dict[str, Any]:
        """Return it as the payload of a job."""
        return asdict(self)


def edit_from_payload(payload: Mapping[str, Any]) -> OperatorEdit:
    """Read the payload of a job. Raises WrongUseError that lists everything wrong with it."""
    problems = [f"{key}: unknown" for key in payload if key not in OperatorEdit.__dataclass_fields__]
    problems += [
        f"{key}: must be {what}"
        for key, what, holds in (
            ("candidate", "the id of a candidate", _is_text(payload.get("candidate"))),
            ("completion", "a text", payload.get("completion") is None or isinstance(payload["completion"], str)),
            ("sequences", "non-empty texts", _are_all(payload.get("sequences"), _is_text)),
            ("off", "sequence numbers, counted from 0", _are_all(payload.get("off"), _is_index)),
        )
        if not holds
    ]
    if problems:
        raise WrongUseError("The edit is not valid.", problems=problems)
    return OperatorEdit(**payload)


def edited_examples(edit: OperatorEdit, original: Candidate, task: Task, domain: Domain) -> list[TrainingExample]:
    """Return what the edited candidate trains on: sequences that the operator wrote as the domain reads a text.

    Raises WrongUseError if nothing is left, or an index is wrong.
    """
    examples = examples_of(original)
    if edit.sequences is not None:
        examples = [domain.example(text) for text in edit.sequences]
    elif edit.completion is not None:
        examples = list(domain.compile(edit.completion, task).examples)
    off = set(edit.off or [])
    if too_large := sorted(index for index in off if index >= len(examples)):
        raise WrongUseError(f"No sequence {too_large[0]} to switch off: there are {len(examples)}, counted from 0.")
    left = [example for index, example in enumerate(examples) if index not in off]
    if not left:
        raise WrongUseError(
            "All sequences are switched off, so nothing is left to train on.", next_step="Leave at least one on."
        )
    return left


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_all(values: Any, holds: Any) -> bool:
    return values is None or (isinstance(values, list) and all(holds(value) for value in values))
