"""Re-examination: an operator's change to a self-edit becomes a candidate of its own, trained and evaluated like
others.

It belongs to the round of the candidate that it was made from, under that round's settings, but is trained from the
version that is live now, so that it can be accepted. Rounds themselves never look at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.domains.domain import loss_starts_of
from engine.guardrails.reading import read_guardrails
from engine.loop.evaluate import screen_and_evaluate
from engine.loop.operator_edit import OperatorEdit, edit_from_payload, edited_examples
from engine.loop.round_setup import require_base
from engine.settings.reading import settings_of_round
from store.candidates import add_candidates, get_candidate, list_candidates
from store.clock import utc_now
from store.errors import WrongUseError
from store.hashing import hash_json
from store.records import Candidate
from store.rounds import get_round
from store.tasks import get_task
from store.version_rows import live_version

if TYPE_CHECKING:
    from engine.domains.domain import TrainingExample
    from engine.loop.session import Session


def reexamine(session: Session, payload: dict[str, Any], actor: str) -> Candidate:
    """Make, train and examine the candidate that an operator's edit describes, and return it.

    The same edit on the same live version is the same candidate: it is resumed, or found examined. It is judged by the
    guardrails of today, and not trained if one of them refuses it. Raises WrongUseError if the edit leaves nothing to
    train on, the round began on another base, or guardrails.yaml cannot be read.
    """
    edit = edit_from_payload(payload)
    original = get_candidate(session.db, edit.candidate)
    if original.imported:
        raise WrongUseError(f"Candidate {original.id} is imported: it can be read, but not trained.")
    current = get_round(session.db, original.round_number)
    require_base(current, session.base)
    guardrails = read_guardrails(session.workspace)
    session = session.under(settings_of_round(current), guardrails)
    task = get_task(session.db, original.task_id)
    examples = edited_examples(edit, original, task, session.domain)
    candidate = _known_or_new(session, original, edit, examples, actor)
    session.say(f"Re-examining “{task.title}”, edited by {actor}.")
    screen_and_evaluate(session, [candidate], [task])
    return get_candidate(session.db, candidate.id)


def _known_or_new(
    session: Session, original: Candidate, edit: OperatorEdit, examples: list[TrainingExample], actor: str
) -> Candidate:
    completion = original.completion if edit.completion is None else edit.completion
    live = live_version(session.db)
    sequences, loss_starts = [example.text for example in examples], loss_starts_of(examples)
    # Masks are left out if there are none, so that edits recorded before there were any are found again.
    masks = [loss_starts] if loss_starts else []
    candidate_id = hash_json(["derived", original.id, live, completion, sequences, *masks])
    of_task = list_candidates(session.db, round_number=original.round_number, task_id=original.task_id)
    known = {candidate.id: candidate for candidate in of_task}
    if candidate_id in known:
        return known[candidate_id]
    new = Candidate(
        id=candidate_id,
        round_number=original.round_number,
        task_id=original.task_id,
        position=_free_position(session, original, of_task),
        role=original.role,
        edit_format=original.edit_format,
        prompt=original.prompt,
        completion=completion,
        sampling={"edited_by": actor, "off": sorted(set(edit.off or []))},
        seed=original.seed,
        state="proposed",
        created_at=utc_now(),
        sequences=sequences,
        live_version=live,
        derived_from=original.id,
        loss_starts=loss_starts,
    )
    add_candidates(session.db, [new])
    return new


def _free_position(session: Session, original: Candidate, of_task: list[Candidate]) -> int:
    """Return the first position after all candidates of a task, and after those that its round may still write."""
    settings = session.settings
    written = settings.self_edit.per_task if original.role == "train" else settings.round.held_out_edits
    return max(written, *(one.position + 1 for one in of_task if one.role == original.role))
