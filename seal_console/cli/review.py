"""`review`: list, show, accept, reject, defer, undo."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from engine.input_files.text_files import UnreadableFileError, read_text_file
from engine.loop.accept import accept_candidate
from seal_console.cli.command import SealGroup
from seal_console.cli.invocation import pass_invocation
from seal_console.cli.option_types import ONE_LINE
from seal_console.cli.render_candidate import show_candidate
from seal_console.cli.workspace_session import open_to_change, open_to_show
from seal_console.engine_control import ask_to_reexamine, start_engine
from seal_console.format import AFTER_UNDO, NOUN_OF_ACTION, gain, short_id, show_line, table
from seal_console.queries.queue import stopped_early
from seal_console.render_gate import needs_review_by
from store.candidates import defer, gates_needing_review, get_candidate, reject
from store.dossier import dossier
from store.errors import ExitCode, WrongUseError
from store.events import head_as_json
from store.lock import current_user
from store.records import CandidateState
from store.review_queue import WAITING_STATES, QueuedCandidate, on_older_parent, review_queue
from store.sanitize import sanitize_line
from store.undoing import undo_last
from store.version_rows import live_version
from store.version_tags import version_tag
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.gates.evidence import RacingEvidence
    from seal_console.cli.invocation import Invocation
    from store.records import Candidate


_STATES: tuple[CandidateState, ...] = get_args(CandidateState)
_REASON = click.option(
    "--reason", required=True, metavar="TEXT", type=ONE_LINE, help="The reason, kept with the decision."
)
_ACTOR = click.option(
    "--as", "actor", metavar="ACTOR", type=ONE_LINE, help="Who decides (default: the user of this process)."
)
_CANDIDATE = click.argument("candidate_id", metavar="ID")


@click.group(
    "review",
    cls=SealGroup,
    short_help="Review candidates and decide.",
    examples=("seal-console review list", "seal-console review show 3fa9"),
)
def review() -> None:
    """Review measured self-edits that wait for a decision."""


@review.command(
    "list",
    short_help="List candidates, the best reward first.",
    examples=("seal-console review list", "seal-console review list --state refused --round 3 --limit 20"),
)
@click.option(
    "--state",
    type=click.Choice([*_STATES, "all"]),
    help="Only candidates in this state (default: those that wait: examined and deferred).",
)
@click.option("--round", "round_number", type=click.IntRange(min=1), metavar="N", help="Only candidates of this round.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="Show at most N.")
@click.option("--imported", is_flag=True, help="Show candidates of imported runs, which are read-only.")
@pass_invocation
def list_command(
    invocation: Invocation,
    state: str | None,
    round_number: int | None,
    limit: int,
    imported: bool,
) -> None:
    """List candidates, the best reward first."""
    states = WAITING_STATES if state is None else tuple(one for one in _STATES if state in {one, "all"})
    with open_to_show(invocation) as found:
        queue = review_queue(found.db, states, round_number=round_number, imported=imported)
        live = live_version(found.db)
        in_review = {
            one.candidate.id: [gate.gate for gate in gates_needing_review(found.db, one.candidate.id)]
            for one in queue[:limit]
        }
        stopped = {one.candidate.id: stopped_early(found.db, one.candidate.id) for one in queue[:limit]}
    output = invocation.output
    if output.as_json:
        for queued in queue[:limit]:
            gates = in_review[queued.candidate.id]
            early = stopped[queued.candidate.id]
            row = {"title": queued.title, **asdict(queued.candidate), "needs_review": bool(gates)}
            output.data({**row, "review_gates": gates, "stopped_early": None if early is None else early.as_json()})
        return
    if not queue:
        output.show("No candidate is waiting. Next: seal-console run --rounds 1")
        return
    headers = ("id", "round", "task", "reward", "audit", "state", "self-edit begins")
    rows = [
        _row(queued, live, in_review[queued.candidate.id], stopped[queued.candidate.id]) for queued in queue[:limit]
    ]
    output.show(table(headers, rows, right=("round", "reward", "audit"), whole=("id", "round", "reward", "audit")))
    more = f" of {len(queue):,}; --limit shows more" if len(queue) > limit else ""
    output.show(f"{counted(len(rows), 'candidate')}{more}. Next: seal-console review show ID")


@review.command(
    "show",
    short_help="Show a candidate with its answers, gates and provenance.",
    examples=("seal-console review show 3fa9c1", "seal-console review show 3fa9c1 --json"),
)
@_CANDIDATE
@pass_invocation
def show(invocation: Invocation, candidate_id: str) -> None:
    """Show a whole candidate: its text, the answers before and after, the gates, and its provenance."""
    with open_to_show(invocation) as found:
        whole = dossier(found.db, get_candidate(found.db, candidate_id))
    if invocation.output.as_json:
        invocation.output.data(whole.as_json())
    else:
        show_candidate(invocation.output, whole)


@review.command(
    "accept",
    short_help="Make a candidate the live version.",
    examples=('seal-console review accept 3fa9c1 --reason "says the new return period"',),
    exits=(ExitCode.LOCKED,),
)
@_CANDIDATE
@_REASON
@_ACTOR
@pass_invocation
def accept(invocation: Invocation, candidate_id: str, reason: str, actor: str | None) -> None:
    """Make a candidate the live version: one commit, one tag, one record."""
    with open_to_change(invocation) as found:
        reviewed = gates_needing_review(found.db, get_candidate(found.db, candidate_id).id)
        version = accept_candidate(found.workspace, found.db, candidate_id, actor=_actor(actor), reason=reason)
        invocation.has_acted = True
        head = head_as_json(found.db)
        for gate in reviewed:
            invocation.output.narrate(f"{gate.gate}: needs review; accepted by {_actor(actor)}.", "yellow")
    if invocation.output.as_json:
        invocation.output.data({**asdict(version), "log_head": head})
        return
    adapters = found.workspace.adapters_folder
    invocation.output.show(
        f"{version.tag} is live: candidate {short_id(version.candidate_id)}, commit {version.commit[:12]} in "
        f"{adapters}.",
        f"With git: git -C {adapters} show {version.tag}",
        f'To roll back: seal-console versions rollback {version_tag(version.parent_number or 0)} --reason "…"',
    )


@review.command(
    "reject",
    short_help="Reject a candidate.",
    examples=('seal-console review reject 3fa9c1 --reason "the period is wrong" --as ada',),
    exits=(ExitCode.LOCKED,),
)
@_CANDIDATE
@_REASON
@_ACTOR
@pass_invocation
def reject_command(invocation: Invocation, candidate_id: str, reason: str, actor: str | None) -> None:
    """Reject a candidate; review undo takes it back."""
    _decide(invocation, candidate_id, reject, _actor(actor), reason)


@review.command(
    "defer",
    short_help="Defer a candidate; it can still be accepted or rejected.",
    examples=('seal-console review defer 3fa9c1 --reason "ask the shop first"',),
    exits=(ExitCode.LOCKED,),
)
@_CANDIDATE
@_REASON
@_ACTOR
@pass_invocation
def defer_command(invocation: Invocation, candidate_id: str, reason: str, actor: str | None) -> None:
    """Defer a candidate; it can still be accepted or rejected."""
    _decide(invocation, candidate_id, defer, _actor(actor), reason)


@review.command(
    "undo",
    short_help="Undo your last rejection or deferral.",
    examples=("seal-console review undo", 'seal-console review undo --as ada --reason "wrong candidate"'),
    exits=(ExitCode.NOTHING_TO_DO, ExitCode.LOCKED),
)
@click.option("--reason", default=None, metavar="TEXT", type=ONE_LINE, help="The reason, kept with the decision.")
@click.option(
    "--as", "actor", metavar="ACTOR", type=ONE_LINE, help="Whose decision (default: the user of this process)."
)
@pass_invocation
def undo_command(invocation: Invocation, reason: str | None, actor: str | None) -> None:
    """Undo your last decision if it was a rejection or a deferral; both decisions stay in the record.

    An acceptance is a commit: use seal-console versions rollback.
    """
    with open_to_change(invocation) as found:
        undo = undo_last(found.db, _actor(actor), reason or "")
        invocation.has_acted = True
        head = head_as_json(found.db)
    candidate, undone = undo.candidate, undo.undone
    if invocation.output.as_json:
        result = {"id": candidate.id, "state": candidate.state, "undone": asdict(undone)}
        invocation.output.data({**result, "log_head": head})
        return
    invocation.output.show(
        f"Undone: the {NOUN_OF_ACTION[undone.action]} of candidate {short_id(candidate.id)} by {undone.actor} "
        f"({sanitize_line(undone.reason)}). The candidate {AFTER_UNDO[candidate.state]}."
    )


def _decide(
    invocation: Invocation,
    candidate_id: str,
    decide: Callable[[Any, str, str, str], Candidate],
    actor: str,
    reason: str,
) -> None:
    with open_to_change(invocation) as found:
        candidate = decide(found.db, get_candidate(found.db, candidate_id).id, actor, reason)
        invocation.has_acted = True
        head = head_as_json(found.db)
    if invocation.output.as_json:
        result = {"id": candidate.id, "state": candidate.state, "actor": actor, "reason": reason}
        invocation.output.data({**result, "log_head": head})
    else:
        invocation.output.show(f"Candidate {short_id(candidate.id)} is {candidate.state}, by {actor}.")


def _actor(given: str | None) -> str:
    return current_user() if given is None else given


def _row(
    queued: QueuedCandidate, live: int | None, review_gates: Sequence[str], stopped: RacingEvidence | None
) -> tuple[Any, ...]:
    candidate = queued.candidate
    older = on_older_parent(candidate.state, candidate.live_version, live, imported=candidate.imported)
    notes: list[str] = [candidate.state]
    notes += [needs_review_by(review_gates)] if review_gates else []
    notes += [f"{stopped.repeats} of {counted(stopped.of_repeats, 'repeat')}"] if stopped is not None else []
    notes += ["held-out"] if candidate.role == "held_out" else []
    notes += ["older parent"] if older else []
    return (
        short_id(candidate.id),
        str(candidate.round_number),
        show_line(queued.title, limit=28),
        gain(candidate.reward_mean, queued.spread),
        gain(candidate.audit_gain),
        show_line(", ".join(notes)),
        show_line(candidate.completion, limit=44),
    )


@review.command(
    "edit",
    short_help="Evaluate a changed self-edit as a new candidate.",
    examples=("seal-console review edit 3fa9c1 --text better.txt", "seal-console review edit 3fa9c1 --off 2 --off 3"),
)
@click.argument("candidate_id", metavar="ID")
@click.option("--text", type=click.Path(path_type=Path), metavar="FILE", help="File with the whole new text.")
@click.option("--off", type=click.IntRange(min=1), multiple=True, metavar="N", help="Leave out training sequence N.")
@click.option("--as", "actor", metavar="ACTOR", type=ONE_LINE, help="Who edits (default: the user of this process).")
@pass_invocation
def edit(invocation: Invocation, candidate_id: str, text: Path | None, off: tuple[int, ...], actor: str | None) -> None:
    """Add a job that evaluates a changed self-edit as a new candidate; the old one is kept.

    An engine is started in the background if none is running; the new candidate appears in the queue.
    """
    payload = _payload(text, off)
    with open_to_change(invocation) as found:
        candidate = get_candidate(found.db, candidate_id)
        wrong = [number for number in off if number > len(candidate.sequences)]
        if wrong:
            raise WrongUseError(f"There is no sequence {wrong[0]}: the self-edit has {len(candidate.sequences)}.")
        job = ask_to_reexamine(
            found.workspace, found.db, {"candidate": candidate.id, **payload}, actor or current_user(), start_engine
        )
    if invocation.output.as_json:
        invocation.output.data(asdict(job))
    else:
        invocation.output.show(
            f"Added job {job.id}: evaluate {short_id(candidate.id)} with your changes. "
            "It will be a new candidate: seal-console review list"
        )


def _payload(text: Path | None, off: tuple[int, ...]) -> dict[str, Any]:
    if (text is None) == (not off):
        raise WrongUseError(
            "Nothing to change: use --text FILE with the whole new text, or --off N to leave out a sequence."
        )
    if text is None:
        return {"off": sorted({number - 1 for number in off})}
    try:
        return {"completion": read_text_file(text, None).text.rstrip("\n")}
    except UnreadableFileError as error:
        raise WrongUseError(str(error)) from error
