"""One ReST^EM round, in the order of the paper (SEAL, arXiv 2506.10943, algorithm 1).

Each step is in the store as soon as it is done, so a round that was interrupted resumes where it stopped: evaluated
candidates are not measured again. A new policy is kept only if it does better on tasks that it was not trained on.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING

from engine.exams.ceiling import describe_ceilings
from engine.guardrails.reading import ROUND_KEY, as_recorded, read_guardrails, rules_of_round
from engine.loop.ceiling import measure_ceilings
from engine.loop.evaluate import screen_and_evaluate
from engine.loop.finish_round import finish_round, racing_figures
from engine.loop.propose import Policy, ProposalContext, propose
from engine.loop.round_setup import TaskChoice, choose_tasks, require_base, require_trainable
from engine.loop.select import MEASURED
from engine.loop.train_policy import (
    CandidatePolicy,
    PolicyTrainingError,
    candidate_policy,
    discard_candidate_policy,
)
from engine.lora.files import adapter_files
from engine.retention.reading import read_retention
from engine.settings.reading import settings_of_round
from engine.trackers.summary import DROPPED_POLICY, HeldOutFigure, HeldOutFigures, RoundSummary, summary_of
from store.candidates import answers_of, get_candidate
from store.deciding_files import FILES_KEY, hash_deciding_files
from store.errors import NothingToDoError, SealError, TimeUpError, WrongUseError
from store.hashing import hash_json
from store.policy_versions import add_policy_version
from store.rounds import get_round, interrupt_round, list_rounds, open_round, resume_round, start_round
from store.tasks import get_task, list_tasks
from store.version_rows import get_policy_version, latest_policy_version, live_version
from store.version_tags import policy_tag
from store.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.guardrails.reading import Guardrails
    from engine.loop.select import SelectionMethod
    from engine.loop.session import Session
    from store.records import Candidate, Round, Task


_NOTHING_GAINED = (
    "No self-edit gained anything. What the exam asks and what training shows: seal-console tasks show TASK --prompt. "
    "If the context in view helps, raise inner_update.learning_rate or epochs, or take another self_edit.format."
)


def run_rounds(session: Session, rounds: int) -> list[Round]:
    """Run rounds one after another, an unfinished one first. Ctrl+C leaves the current round to the next run."""
    return [run_round(session) for _ in range(rounds)]


def run_round(session: Session, tasks: Sequence[Task] | None = None, method: SelectionMethod | None = None) -> Round:
    """Run one round over all tasks, or over those given, or resume the round that was interrupted.

    Raises TimeUpError if the session's time is up before its policy is judged; the round is interrupted then.
    """
    if tasks is None:
        tasks = [
            get_task(session.db, listed.task.id) for listed in list_tasks(session.db, imported=False, purged=False)
        ]
    settings = session.settings
    if settings.retention.gate is not None or settings.protection.uses_anchors:
        read_retention(session.workspace)  # a suite that cannot be read stops the round before anything is trained
    guardrails = read_guardrails(session.workspace)
    resumed = open_round(session.db) is not None
    current = _begin(session, tasks, guardrails)
    try:
        session = session.under(settings_of_round(current), rules_of_round(current, guardrails))
    except ValueError as error:
        interrupt_round(session.db, current.number)
        raise WrongUseError(
            f"Round {current.number} began with settings that cannot be read any more: {error}",
            next_step=f'seal-console rounds abandon {current.number} --reason "…" gives it up.',
        ) from error
    if session.guardrails.hash != guardrails.hash:
        session.say(f"guardrails.yaml has changed: round {current.number} continues with the rules it began with.")
    try:
        require_trainable(session, _tasks_of(session, current))
        return _run(session, current, _tasks_of(session, current), method or MEASURED, resumed=resumed)
    except TimeUpError:
        interrupt_round(session.db, current.number)
        raise
    except SealError as error:
        interrupt_round(session.db, current.number)
        error.next_step = ". ".join(filter(None, (error.next_step.rstrip("."), _ways_out(current))))
        raise
    except Exception:
        interrupt_round(session.db, current.number)
        session.say(f"Round {current.number} is interrupted. {_ways_out(current)}")
        raise
    except BaseException:
        interrupt_round(session.db, current.number)
        raise


def _ways_out(current: Round) -> str:
    """Return what can be done about a round that failed, for the next step of an error."""
    return (
        f"seal-console run resumes round {current.number} with the settings it began with; "
        f'seal-console rounds abandon {current.number} --reason "…" gives it up, and the next run begins a new round '
        "with seal.yaml as it is then"
    )


def _run(session: Session, current: Round, chosen: TaskChoice, method: SelectionMethod, *, resumed: bool) -> Round:
    settings, number = session.settings, current.number
    policy = _current_policy(session, current)
    sizes = {"train_tasks": len(chosen.train), "held_out_tasks": len(chosen.held_out)}
    session.tracker.round_began(number, **sizes, resumed=resumed)
    session.say(f"Round {number}: {counted(len(chosen.train), 'task')} to train on, {len(chosen.held_out)} held out.")

    # What the exams can measure at all.
    for sentence in describe_ceilings(measure_ceilings(session, current, (*chosen.train, *chosen.held_out))):
        session.say(sentence)

    # How good the policy is before the round, on tasks that it will not be trained on.
    before = _known_held_out(session, current, chosen, policy)
    if before is None:
        before = _examine_policy(session, current, policy, chosen.held_out)

    # E-step: the policy writes self-edits; each one that is not refused is applied to the student and examined.
    candidates = propose(session, ProposalContext(current, policy, "train"), chosen.train, settings.self_edit.per_task)
    screen_and_evaluate(session, candidates, chosen.train, racing=method.may_race)

    # Filter: what measurably helped is kept.
    candidates = [get_candidate(session.db, candidate.id) for candidate in candidates]
    selection = method.select(session.db, session.base.described(), settings.round, candidates, chosen.train)
    kept = [candidate for candidate in candidates if candidate.id in set(selection.candidate_ids)]
    session.say(f"{len(kept)} of {counted(len(candidates), 'self-edit')} kept.")
    raced = racing_figures(session.db, candidates, settings)
    if raced is not None:
        session.say(f"Stopped early: {raced.said}.")
    if not any((candidate.reward_mean or 0) > 0 for candidate in candidates):
        session.say(_NOTHING_GAINED)

    # M-step: the policy is trained on them, and must earn its place.
    session.require_time()
    after, new_version, training = None, None, None
    trained = _train_policy(session, current, policy, kept) if kept and chosen.held_out else None
    if trained is not None:
        training = trained.training
        after = _examine_policy(session, current, trained.policy, chosen.held_out)
        if before is not None and after is not None and _is_earned(method, before, after):
            new_version = _keep_policy(session, current, trained.policy, before, after)
    if trained is not None or not (kept and chosen.held_out):
        session.say(_describe_policy(before, after, new_version))
    summary = _summarise(candidates, kept, before, after, new_version)
    finish_round(session, current, replace(summary, policy_training=training, racing=raced), new_version)
    discard_candidate_policy(session, current)
    return get_round(session.db, number)


def _train_policy(
    session: Session, current: Round, policy: Policy, kept: Sequence[Candidate]
) -> CandidatePolicy | None:
    """Return the next policy, not yet judged; None, said with its reason, if it cannot be trained."""
    try:
        return candidate_policy(session, current, policy, kept)
    except PolicyTrainingError as error:
        session.say(f"{error.message} The policy stays the same.")
        return None


def _is_earned(method: SelectionMethod, before: HeldOutFigure, after: HeldOutFigure) -> bool:
    return not method.policy_must_be_better or after.accuracy > before.accuracy


def _begin(session: Session, tasks: Sequence[Task], guardrails: Guardrails) -> Round:
    if not tasks:
        raise NothingToDoError("This workspace has no tasks.", next_step="seal-console tasks add FILE…")
    unfinished = open_round(session.db)
    if unfinished is not None:
        require_base(unfinished, session.base)
        session.say(f"Resuming round {unfinished.number} with the settings it began with.")
        return resume_round(session.db, unfinished.number)
    newest = session.newest_policy
    if newest is None and latest_policy_version(session.db) is not None:
        session.say("No policy version was trained on this base yet: the base itself writes the self-edits.")
    session.live_adapter(live_version(session.db))  # a version of another base stops the round before it begins
    if newest is not None:
        session.policy_adapter(newest.number)
    chosen = _choose(session, tasks)
    require_trainable(session, chosen, f"Change {session.workspace.settings_file}.")
    return start_round(
        session.db,
        seed=session.settings.round.seed,
        settings={
            **session.settings.model_dump(mode="json"),
            "base": session.base.described(),
            ROUND_KEY: as_recorded(guardrails),
            FILES_KEY: hash_deciding_files(session.workspace),
            "chosen_tasks": {
                "train": [task.id for task in chosen.train],
                "held_out": [task.id for task in chosen.held_out],
            },
        },
        live_version=live_version(session.db),
        policy_version=None if newest is None else newest.number,
    )


def _choose(session: Session, tasks: Sequence[Task]) -> TaskChoice:
    settings = session.settings.round
    return choose_tasks(
        tasks,
        seed=settings.seed,
        round_number=1 + max((one.number for one in list_rounds(session.db)), default=0),
        tasks_per_round=settings.tasks_per_round,
        held_out_tasks=settings.held_out_tasks,
    )


def _tasks_of(session: Session, current: Round) -> TaskChoice:
    """Return the tasks that a round began with, even if others were added since."""
    parts = current.settings["chosen_tasks"]
    train, held_out = (tuple(get_task(session.db, one) for one in parts[role]) for role in ("train", "held_out"))
    return TaskChoice(train, held_out)


def _current_policy(session: Session, current: Round) -> Policy:
    version = current.policy_version
    if version is None:
        return Policy(None, None, None)
    adapter_hash = get_policy_version(session.db, version).adapter_hash
    return Policy(session.policy_adapter(version), version, adapter_hash)


def _examine_policy(session: Session, current: Round, policy: Policy, held_out: Sequence[Task]) -> HeldOutFigure | None:
    """Let a policy write self-edits for held-out tasks and measure what they teach; None without such tasks."""
    if not held_out:
        return None
    edits = session.settings.round.held_out_edits
    candidates = propose(session, ProposalContext(current, policy, "held_out"), held_out, edits)
    screen_and_evaluate(session, candidates, held_out)
    tasks = {task.id: task for task in held_out}
    correct = [right for one in candidates for right in _correct_after(session, one, tasks[one.task_id])]
    conditions = _conditions(session, current, held_out)
    return HeldOutFigure(mean(correct), policy.version, conditions, answers=len(correct), tasks=len(held_out))


def _correct_after(session: Session, candidate: Candidate, task: Task) -> list[bool]:
    """Return which answers were correct after an update; of a refused self-edit, before it: that teaches nothing."""
    after = [answer.correct for answer in answers_of(session.db, candidate.id) if answer.phase == "after"]
    if after:
        return after
    live = candidate.live_version
    untouched = session.examiner.answers_before_update(session.live_adapter(live), live, task.questions)
    return [untouched[question.id].correct for question in task.questions] * session.settings.inner_update.repeats


def _conditions(session: Session, current: Round, held_out: Sequence[Task]) -> str:
    """Return the hash of everything that a held-out figure depends on, except the policy."""
    settings = session.settings.model_dump(mode="json")
    parts = [settings["self_edit"], settings["inner_update"], settings["exam"], settings["round"]["held_out_edits"]]
    parts += [settings["protection"], session.planner.plan(current.live_version).described]
    parts += [session.guardrails.hash] if session.guardrails.bear_on_training else []
    return hash_json([*parts, current.live_version, current.settings["base"], [task.id for task in held_out]])


def _known_held_out(session: Session, current: Round, chosen: TaskChoice, policy: Policy) -> HeldOutFigure | None:
    """Return this policy's figure from an earlier round, if it was measured under the same conditions."""
    conditions = _conditions(session, current, chosen.held_out)
    for earlier in reversed(list_rounds(session.db, imported=False)):
        summary = summary_of(earlier)
        for figure in (summary.held_out.before, summary.held_out.after) if summary else ():
            if figure and figure.conditions == conditions and figure.policy_version == policy.version:
                return figure
    return None


def _keep_policy(session: Session, current: Round, trained: Policy, before: HeldOutFigure, after: HeldOutFigure) -> int:
    if trained.adapter is None:
        raise ValueError("a trained policy is always an adapter")
    newest = latest_policy_version(session.db)
    if newest is not None and newest.round_number == current.number:
        return newest.number  # a crash came between keeping the policy and finishing the round
    version = add_policy_version(
        session.workspace,
        session.db,
        adapter_files(trained.adapter, session.base.folder),
        parent_number=current.policy_version,
        round_number=current.number,
        metrics={"held_out_before": before.accuracy, "held_out_after": after.accuracy},
        base=session.base.described(),
    )
    session.tracker.artefact("policy", version.tag, version.adapter_hash)
    return version.number


def _summarise(
    candidates: Sequence[Candidate],
    kept: Sequence[Candidate],
    before: HeldOutFigure | None,
    after: HeldOutFigure | None,
    new_version: int | None,
) -> RoundSummary:
    rewards = [candidate.reward_mean for candidate in candidates if candidate.reward_mean is not None]
    new_figure = None if after is None else replace(after, policy_version=new_version or DROPPED_POLICY)
    return RoundSummary(
        candidates=len(candidates),
        kept=[candidate.id for candidate in kept],
        refused=sum(candidate.state == "refused" for candidate in candidates),
        mean_reward=mean(rewards) if rewards else None,
        held_out=HeldOutFigures(before, new_figure),
    )


def _describe_policy(before: HeldOutFigure | None, after: HeldOutFigure | None, new_version: int | None) -> str:
    if before is None:
        return "No tasks are held out, so no policy is trained."
    on = "held-out tasks" if before.tasks is None else counted(before.tasks, "held-out task")
    if after is None:
        return f"Nothing was kept, so the policy stays the same: {before.accuracy:.1%} on {on}."
    change = f"{before.accuracy:.1%} → {after.accuracy:.1%} on {on}"
    if new_version:
        return f"New policy {policy_tag(new_version)} kept: {change}."
    return f"New policy dropped: {change}."
