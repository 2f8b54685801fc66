"""The second half of the E-step: gates before training, inner updates in the bank, exams, rewards, gates after it.

Updates are trained in stages, over all tasks at once. In a race (`racing.py`) each stage trains what decides most; a
candidate that stops keeps its place until the best of its task have passed the gates, and goes on if they do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.bank.encode import encode_example
from engine.bank.job import FailedUpdate, InnerJob
from engine.continual.replay_plan import ReplayPlan, replay_rates
from engine.domains.domain import examples_of
from engine.gates.stages import StageGates
from engine.loop.candidate_evaluator import CandidateEvaluator
from engine.loop.screen import ScreenedCandidates, screen_candidates
from engine.loop.session import Session, recipe_of
from engine.seeds import derive_seed
from store.errors import TimeUpError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domains.domain import TrainingExample
    from engine.lora.adapter import Adapter
    from store.records import Candidate, Task


def screen_and_evaluate(
    session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task], *, racing: bool = False
) -> None:
    """Take every candidate that is still only proposed to its end: refused before training, or trained and examined.

    With `racing`, those that will not be kept get fewer repeats. Raises WrongUseError if a gate lacks what it needs,
    UnreachableError if a round is to stop without its judge, TimeUpError if the session's time is up.
    """
    screened = screen_candidates(session, candidates, tasks)
    evaluate_candidates(session, screened, tasks, racing=racing)


def evaluate_candidates(
    session: Session, screened: ScreenedCandidates, tasks: Sequence[Task], *, racing: bool = False
) -> None:
    """Train and examine every candidate that is still only proposed, all of one live version.

    With `racing`, those that will not be kept get fewer repeats, by the rule of the settings (`racing.py`). Raises
    TimeUpError if the session's time is up; what is trained until then is examined and recorded first.
    """
    todo = [candidate for candidate in screened.candidates if candidate.state == "proposed"]
    if not todo:
        return
    live_version = todo[0].live_version
    live = session.live_adapter(live_version)
    gates = StageGates(session.gate_context(live, live_version), "after training")
    questions = [question for task in tasks for question in task.questions]
    before = session.examiner.answers_before_update(live, live_version, questions)
    plan = session.planner.plan(live_version)
    evaluator = CandidateEvaluator(
        session,
        gates,
        screened,
        tasks,
        before,
        rule=session.settings.round.racing if racing else "off",
        replay_record=plan.described,
    )
    while updates := evaluator.next_updates():
        session.require_time()
        jobs = [
            inner_job(session, live, examples_of(candidate), plan, key=candidate.id, repeat=repeat)
            for candidate, repeat in updates
        ]
        for job in jobs:
            if not job.sequences:
                evaluator.refuse(FailedUpdate(job.key, job.repeat, 0, None, None))
        _train(session, plan, [job for job in jobs if job.sequences], evaluator)
    evaluator.judge_stopped()


def _train(session: Session, plan: ReplayPlan, jobs: Sequence[InnerJob], evaluator: CandidateEvaluator) -> None:
    """Train a stage of the race and examine it; if the time is up, only what has finished by then."""
    if not jobs:
        return
    results = session.executor.train(
        jobs,
        session.inner_spec,
        preconditioner=plan.preconditioner,
        on_running=evaluator.report_running,
        on_failed=evaluator.refuse,
    )
    try:
        for result in results:
            evaluator.take(result)
            session.require_time()
    except TimeUpError:
        results.close()
        evaluator.examine_trained()
        raise
    evaluator.examine_trained()


def inner_job(
    session: Session,
    live: Adapter | None,
    examples: Sequence[TrainingExample],
    plan: ReplayPlan,
    *,
    key: str,
    repeat: int,
) -> InnerJob:
    """Make the inner update of one repeat of a self-edit; key and repeat give its seed."""
    seed = derive_seed("inner update", session.settings.round.seed, key, repeat)
    encoded = (encode_example(session.base, example) for example in examples)
    sequences = tuple(one for one in encoded if one is not None)
    start = session.starting_adapter(live, seed)
    recipe = plan.recipe(recipe_of(session.settings.inner_update), len(sequences))
    rates = replay_rates(session.settings.protection, recipe.batch_size)
    replay = plan.replay_groups(rates, [example.text for example in examples])
    return InnerJob(key, sequences, recipe, seed, start, replay, repeat)
