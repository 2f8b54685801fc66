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
from store.candidates import list_candidates
from store.ranking import candidate_rank
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
    base = sum(answer.correct for answer in answers.values()) / len(answers)
    unseen = counted(len(held_out), "held-out document")
    _say(report, f"The untrained model answers {base:.1%} of the questions about {unseen}.")
    right = correct_after_updates(session, None, held_out, {task.id: [""] for task in held_out}, "bare contexts")
    context_only = sum(map(sum, right.values())) / sum(map(len, right.values()))
    _say(report, f"Trained on the bare text of each document, it answers {context_only:.1%}.")
    asked = {"questions": len(questions), "unseen_documents": len(held_out)}
    return {"base": base, "context_only": context_only, **asked}


def _held_out_accuracies(finished: Sequence[Round]) -> list[float]:
    """Return the accuracy of the current policy: before the first round, then after each."""
    accuracies: list[float] = []
    for one in finished:
        figures = (one.summary or {})["held_out"]
        if not accuracies:
            accuracies.append(figures["before"]["accuracy"])
        kept = one.new_policy_version is not None
        accuracies.append(figures["after"]["accuracy"] if kept else accuracies[-1])
    return accuracies


def _versions(session: Session, finished: Sequence[Round], documents: DemoDocuments, report: Report) -> dict[str, Any]:
    """Accept the best edit, then one that changes a known fact on top of it; roll the second one back; verify."""
    workspace, db = session.workspace, session.db
    figures: dict[str, Any] = {"known_facts": {"base": _known_facts(session, documents.untouched)}}
    _accept_best(session, finished[-1], report)
    figures["known_facts_asked"] = sum(len(thing.kind.relations) for thing in documents.untouched)
    figures["known_facts"]["v0001"] = _known_facts(session, documents.untouched)

    notes = take_in(workspace, documents.notes)
    _say(report, f"Next: {counted(len(notes), 'release note')}, on top of v0001.")
    # Four documents are too few to train a policy on, so none of them is held out.
    without_policy = session.settings.round.model_copy(update={"held_out_tasks": 0})
    on_top = run_round(session.under(session.settings.model_copy(update={"round": without_policy})), notes)
    second = _accept_best(session, on_top, report)
    if second is not None:
        figures["known_facts"][second.tag] = _known_facts(session, documents.untouched)
        rollback(workspace, db, 1, ACTOR, "the demonstration rolls one back")
        _say(report, f"Rolled back: v0001 is live again; {second.tag} is kept.")
    found = verify(workspace, db)
    problem = "" if found.ok else f": {found.first}"
    _say(
        report, "Verified every hash, every file and the event chain." if found.ok else f"Verification failed{problem}."
    )
    live = live_version(db)
    return {
        **figures,
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


def _known_facts(session: Session, things: Sequence[Thing]) -> float:
    """Return the share of known facts, about things that no document mentions, that the live model still answers."""
    rng = random.Random("known facts")
    pairs = [(question(thing.name, r, rng), thing.value(r)) for thing in things for r in thing.kind.relations]
    prompts = [
        TextPrompt(session.domain.question_prompt(asked), 0, session.settings.exam.max_new_tokens) for asked, _ in pairs
    ]
    completions = session.executor.complete(prompts, [session.live_adapter(live_version(session.db))])
    return sum(one.text == expected for one, (_, expected) in zip(completions, pairs, strict=True)) / len(pairs)


def _say(report: Report, sentence: str) -> None:
    report(Progress("round", 0, 0, note=sentence))
