"""One ReST^EM round, in the order of the paper (SEAL, arXiv 2506.10943, algorithm 1).

What is done stands in the store after each step, so a round that was interrupted goes on where it stopped: finished
candidates are not measured again. A new policy is kept only if it does better on tasks that it was not trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any

from engine.continual.build_plan import build_replay_plan
from engine.gates.stages import screen
from engine.guardrails.reading import ROUND_KEY, as_recorded, read_guardrails, rules_of_round
from engine.loop.evaluate import answers_before_update, evaluate_candidates
from engine.loop.finish_round import conclude_round
from engine.loop.propose import Policy, ProposalContext, propose
from engine.loop.round_setup import TaskChoice, choose_tasks, require_base
from engine.loop.select import MEASURED
from engine.loop.train_policy import candidate_policy, discard_candidate_policy
from engine.lora.files import adapter_files
from engine.retention.reading import read_retention
from engine.runtime.progress import Progress
from engine.settings.reading import settings_of_round
from store.candidates import answers_of, get_candidate
from store.errors import NothingToDoError
from store.hashing import hash_json
from store.policy_versions import add_policy_version
from store.rounds import finish_round, interrupt_round, list_rounds, open_round, resume_round, start_round
from store.tasks import get_task, list_tasks
from store.version_rows import get_policy_version, latest_policy_version, live_version
from store.version_tags import policy_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.guardrails.rule import Guardrails
    from engine.loop.select import SelectionMethod
    from engine.session import Session
    from store.records import Candidate, Round, Task


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Accuracy (0 … 1) after inner updates on a policy's self-edits for held-out tasks, and what it depends on."""

    accuracy: float
    policy_version: int | None
    conditions: str


def run_rounds(session: Session, rounds: int) -> list[Round]:
    """Run rounds one after another, an unfinished one first. Ctrl+C leaves the round in hand to the next run."""
    return [run_round(session) for _ in range(rounds)]


def run_round(session: Session, tasks: Sequence[Task] | None = None, method: SelectionMethod | None = None) -> Round:
    """Run one round over all tasks, or over those given, or go on with the round that was interrupted."""
    if tasks is None:
        tasks = [get_task(session.db, listed.task.id) for listed in list_tasks(session.db, imported=False)]
    settings = session.settings
    if settings.retention.gate is not None or settings.protection.uses_anchors:
        read_retention(session.workspace)  # what cannot be read stops the round before anything is trained
    rules = read_guardrails(session.workspace).rules
    current = _begin(session, tasks, rules)
    session = session.under(settings_of_round(current), rules_of_round(current, rules))
    if session.rules.hash != rules.hash:
        _say(
            session, f"guardrails.yaml has changed: round {current.number} goes on under the rules that it began with."
        )
    try:
        return _run(session, current, _tasks_of(session, current), method or MEASURED)
    except BaseException:
        interrupt_round(session.db, current.number)
        raise


def _run(session: Session, current: Round, chosen: TaskChoice, method: SelectionMethod) -> Round:
    settings = session.settings
    policy = _current_policy(session, current)
    _say(session, f"Round {current.number}: {len(chosen.train)} tasks to train on, {len(chosen.held_out)} held out.")

    # How good the policy is before the round, on tasks that it will not be trained on.
    before = _known_held_out(session, current, chosen, policy)
    if before is None:
        before = _examine_policy(session, current, policy, chosen.held_out)

    # E-step: the policy writes self-edits, each that is not denied is applied to the student and examined.
    candidates = propose(session, ProposalContext(current, policy, "train"), chosen.train, settings.self_edit.per_task)
    judged = screen(session, candidates, chosen.train)
    evaluate_candidates(session, judged.candidates, chosen.train, judged.verdicts)

    # Filter: what measurably helped is kept.
    candidates = [get_candidate(session.db, candidate.id) for candidate in candidates]
    selection = method.select(session, candidates, chosen.train)
    kept = [candidate for candidate in candidates if candidate.id in set(selection.candidate_ids)]
    _say(session, f"{len(kept)} of {len(candidates)} self-edits kept.")

    # M-step: the policy is trained on them, and must earn its place.
    after, new_version, training = None, None, None
    if kept and chosen.held_out:
        trial = candidate_policy(session, current, policy, kept)
        training = trial.training
        after = _examine_policy(session, current, trial.policy, chosen.held_out)
        if before is not None and after is not None and _earned(method, before, after):
            new_version = _keep_policy(session, current, trial.policy, before, after)
    _say(session, _in_words(before, after, new_version))
    concluded = conclude_round(session, current)
    summary = {**_summary(candidates, kept, before, after, new_version), "policy_training": training, **concluded}
    finished = finish_round(session.db, current.number, "done", summary, new_version)
    discard_candidate_policy(session, current)
    return finished


def _earned(method: SelectionMethod, before: HeldOut, after: HeldOut) -> bool:
    return not method.policy_must_be_better or after.accuracy > before.accuracy


def _begin(session: Session, tasks: Sequence[Task], rules: Guardrails) -> Round:
    if not tasks:
        raise NothingToDoError("There are no tasks in this workspace.", next_step="seal-console tasks add FILE…")
    unfinished = open_round(session.db)
    if unfinished is not None:
        require_base(unfinished, session.base)
        _say(session, f"Going on with round {unfinished.number}, under the settings that it began with.")
        return resume_round(session.db, unfinished.number)
    newest = session.newest_policy
    if newest is None and latest_policy_version(session.db) is not None:
        _say(session, "No policy version was trained on this base yet: the base itself writes the self-edits.")
    session.live_adapter(live_version(session.db))  # one of another base stops the round before it has begun
    chosen = _choose(session, tasks)
    return start_round(
        session.db,
        seed=session.settings.round.seed,
        settings={
            **session.settings.model_dump(mode="json"),
            "base": session.base.described(),
            ROUND_KEY: as_recorded(rules),
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
    """The tasks that a round began with, also where others were added since."""
    parts = current.settings["chosen_tasks"]
    train, held_out = (tuple(get_task(session.db, one) for one in parts[role]) for role in ("train", "held_out"))
    return TaskChoice(train, held_out)


def _current_policy(session: Session, current: Round) -> Policy:
    version = current.policy_version
    if version is None:
        return Policy(None, None, None)
    hashed = get_policy_version(session.db, version).adapter_hash
    return Policy(session.policy_adapter(version), version, hashed)


def _examine_policy(session: Session, current: Round, policy: Policy, held_out: Sequence[Task]) -> HeldOut | None:
    """Let a policy write self-edits for held-out tasks and measure what they teach; None without such tasks."""
    if not held_out:
        return None
    edits = session.settings.round.held_out_edits
    candidates = propose(session, ProposalContext(current, policy, "held_out"), held_out, edits)
    judged = screen(session, candidates, held_out)
    evaluate_candidates(session, judged.candidates, held_out, judged.verdicts)
    tasks = {task.id: task for task in held_out}
    right = [right for one in candidates for right in _right_after(session, one, tasks[one.task_id])]
    return HeldOut(mean(right), policy.version, _conditions(session, current, held_out))


def _right_after(session: Session, candidate: Candidate, task: Task) -> list[bool]:
    """Which answers were right after an update; what a rule denied teaches nothing: the untouched model's count."""
    after = [answer.correct for answer in answers_of(session.db, candidate.id) if answer.phase == "after"]
    if after:
        return after
    live_version = candidate.live_version
    untouched = answers_before_update(session, session.live_adapter(live_version), live_version, task.questions)
    return [untouched[question.id].correct for question in task.questions] * session.settings.inner_update.repeats


def _conditions(session: Session, current: Round, held_out: Sequence[Task]) -> str:
    """Hash of all that a held-out figure depends on but for the policy."""
    settings = session.settings.model_dump(mode="json")
    parts = [settings["self_edit"], settings["inner_update"], settings["exam"], settings["round"]["held_out_edits"]]
    parts += [settings["protection"], build_replay_plan(session, current.live_version).described]
    parts += [session.rules.hash] if session.rules.bear_on_training else []
    return hash_json([*parts, current.live_version, current.settings["base"], [task.id for task in held_out]])


def _known_held_out(session: Session, current: Round, chosen: TaskChoice, policy: Policy) -> HeldOut | None:
    """The figure of this policy from an earlier round, where it was measured under the same conditions."""
    conditions = _conditions(session, current, chosen.held_out)
    for earlier in reversed(list_rounds(session.db, imported=False)):
        for side in ("before", "after"):
            figure = ((earlier.summary or {}).get("held_out") or {}).get(side)
            if figure and figure["conditions"] == conditions and figure["policy_version"] == policy.version:
                return HeldOut(**figure)
    return None


def _keep_policy(session: Session, current: Round, trial: Policy, before: HeldOut, after: HeldOut) -> int:
    if trial.adapter is None:
        raise ValueError("a trial policy is always an adapter")
    newest = latest_policy_version(session.db)
    if newest is not None and newest.round_number == current.number:
        return newest.number  # a crash came between keeping the policy and finishing the round
    metrics = {"held_out_before": before.accuracy, "held_out_after": after.accuracy}
    version = add_policy_version(
        session.workspace,
        session.db,
        adapter_files(trial.adapter, session.base.name),
        parent_number=current.policy_version,
        round_number=current.number,
        metrics=metrics,
        base=session.base.described(),
    )
    return version.number


def _summary(
    candidates: Sequence[Candidate],
    kept: Sequence[Candidate],
    before: HeldOut | None,
    after: HeldOut | None,
    new_version: int | None,
) -> dict[str, Any]:
    rewards = [candidate.reward_mean for candidate in candidates if candidate.reward_mean is not None]
    # A policy that was dropped has no version; -1 keeps its figure from being taken for that of the base.
    figures = None if after is None else {**asdict(after), "policy_version": new_version or -1}
    return {
        "candidates": len(candidates),
        "kept": [candidate.id for candidate in kept],
        "refused": sum(candidate.state == "refused" for candidate in candidates),
        "mean_reward": mean(rewards) if rewards else None,
        "held_out": {"before": None if before is None else asdict(before), "after": figures},
    }


def _in_words(before: HeldOut | None, after: HeldOut | None, new_version: int | None) -> str:
    if before is None:
        return "No task is held out, so no policy is trained."
    if after is None:
        return f"Nothing was kept, so the policy stays as it is: {before.accuracy:.1%} on held-out tasks."
    change = f"{before.accuracy:.1%} → {after.accuracy:.1%} on held-out tasks"
    return (
        f"The new policy is kept as {policy_tag(new_version)}: {change}."
        if new_version
        else f"The new policy is dropped: {change}."
    )


def _say(session: Session, sentence: str) -> None:
    session.report(Progress("round", 0, 0, note=sentence))
