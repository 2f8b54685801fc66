"""The demonstration from start to finish: documents, rounds, the table, versions, a rollback, and the verification.

Everything goes through the same operations as a user's own workspace; only the documents are prepared.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from engine.bundled.writing import question
from engine.demo.workspace import make_demo_workspace, take_in
from engine.generation.prompts import TextPrompt
from engine.loop.accept import accept_candidate
from engine.loop.compare import correct_after_updates, held_out_tasks
from engine.loop.round import run_round
from engine.loop.session import Session, open_session
from engine.runtime.progress import Progress, Report
from engine.trackers.summary import HeldOutFigure, HeldOutFigures, summary_of
from store.candidates import list_candidates
from store.ranking import candidate_rank
from store.share import Share
from store.verify import verify
from store.version_rows import list_versions, live_version
from store.version_tags import version_tag
from store.versions import rollback
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.bundled.world import Thing
    from engine.demo.documents import DemoDocuments
    from store.records import Round, Task, Version

ACTOR = "demo"


def run_demo(folder: Path, rounds: int, seed: int, report: Report) -> dict[str, Any]:
    """Make a workspace in `folder` and run the whole demonstration in it; returns the figures of the closing table."""
    started = time.monotonic()
    workspace, documents = make_demo_workspace(folder, seed)
    pages = take_in(workspace, documents.pages)
    documents_read = counted(len(pages), "document")
    _say(report, f"Workspace {workspace.root}: {documents_read} about things the model has never seen.")
    with open_session(workspace, "demo", report) as session:
        figures = _before_training(session, pages, report)
        finished = [run_round(session) for _ in range(rounds)]
        figures["rounds"] = _held_out_accuracies(finished)
        figures |= _versions(session, finished, documents, report)
    figures["elapsed_s"] = round(time.monotonic() - started, 1)
    return figures


def _before_training(session: Session, pages: Sequence[Task], report: Report) -> dict[str, Any]:
    held_out = held_out_tasks(session, pages)
    questions = [question for task in held_out for question in task.questions]
    answers = session.examiner.answers_before_update(None, None, questions)
    base = Share(sum(answer.correct for answer in answers.values()), len(answers), len(held_out))
    _say(
        report,
        f"The untrained model answers {base.right} of {counted(base.answers, 'question')} "
        f"about {counted(base.units, 'held-out document')}.",
    )
    right = correct_after_updates(session, None, held_out, {task.id: [""] for task in held_out}, "bare contexts")
    context_only = Share(sum(map(sum, right.values())), sum(map(len, right.values())), len(held_out))
    _say(
        report, f"Trained on the bare text of each document, it answers {context_only.right} of {context_only.answers}."
    )
    return {"base": _figure(base), "context_only": _figure(context_only)}


def _held_out_accuracies(finished: Sequence[Round]) -> list[dict[str, Any]]:
    """Return the accuracy of the current policy: before the first round, then after each."""
    current: list[HeldOutFigure | None] = []
    for one in finished:
        held_out = HeldOutFigures() if (summary := summary_of(one)) is None else summary.held_out
        if not current:
            current.append(held_out.before)
        current.append(current[-1] if one.new_policy_version is None else held_out.after)
    return [_figure(one.share) for one in current if one is not None and one.share is not None]


def _figure(share: Share) -> dict[str, Any]:
    low, high = share.interval()
    return {
        "accuracy": share.value,
        "right": share.right,
        "answers": share.answers,
        "documents": share.units,
        "interval_95": [low, high],
    }


def _versions(session: Session, finished: Sequence[Round], documents: DemoDocuments, report: Report) -> dict[str, Any]:
    """Accept the best edit, then one that changes a known fact on top of it; roll the second one back; verify."""
    workspace, db = session.workspace, session.db
    known = {"base": _known_facts(session, documents.untouched)}
    if _accept_best(session, finished[-1], report) is not None:
        known["v0001"] = _known_facts(session, documents.untouched)

    notes = take_in(workspace, documents.notes)
    _say(report, f"Next: {counted(len(notes), 'release note')}, on top of v0001.")
    # Four documents are too few to train a policy on, so none of them is held out.
    without_policy = session.settings.round.model_copy(update={"held_out_tasks": 0})
    on_top = run_round(session.under(session.settings.model_copy(update={"round": without_policy})), notes)
    second = _accept_best(session, on_top, report)
    if second is not None:
        known[second.tag] = _known_facts(session, documents.untouched)
        rollback(workspace, db, 1, ACTOR, "the demonstration rolls one back")
        _say(report, f"Rolled back: v0001 is live again; {second.tag} is kept.")
    found = verify(workspace, db)
    problem = "" if found.ok else f": {found.first}"
    _say(
        report, "Verified every hash, every file and the event chain." if found.ok else f"Verification failed{problem}."
    )
    live = live_version(db)
    return {
        "known_facts": known,
        "versions": [version.tag for version in list_versions(db)],
        "live": None if live is None else version_tag(live),
        "verified": found.ok,
        "workspace": str(workspace.root),
    }


def _accept_best(session: Session, current: Round, report: Report) -> Version | None:
    examined = list_candidates(session.db, round_number=current.number, state="examined", derived=False)
    best = min(examined, key=candidate_rank, default=None)
    if best is None:
        _say(report, f"No candidate of round {current.number} passed its gates; none is accepted.")
        return None
    reason = f"best of round {current.number}: reward {best.reward_mean:+.2f}"
    version = accept_candidate(session.workspace, session.db, best.id, actor=ACTOR, reason=reason)
    first_line = best.completion.splitlines()[0] if best.completion else "(empty)"
    _say(report, f"Accepted as {version.tag}: reward {best.reward_mean:+.2f}, “{first_line} …”")
    return version


def _known_facts(session: Session, things: Sequence[Thing]) -> dict[str, int]:
    """Count the known facts, about things that no document mentions, that the live model still answers."""
    rng = random.Random("known facts")
    pairs = [(question(thing.name, r, rng), thing.value(r)) for thing in things for r in thing.kind.relations]
    prompts = [
        TextPrompt(session.domain.question_prompt(asked), 0, session.settings.exam.max_new_tokens) for asked, _ in pairs
    ]
    completions = session.executor.complete(prompts, [session.live_adapter(live_version(session.db))])
    right = sum(one.text == answer for one, (_, answer) in zip(completions, pairs, strict=True))
    return {"right": right, "of": len(pairs)}


def _say(report: Report, sentence: str) -> None:
    report(Progress("round", 0, 0, note=sentence))
