"""The second half of the E-step: gates before training, inner updates in the bank, exams, rewards, gates after it.

A candidate is recorded as a whole, in one transaction, as soon as all its repeats are examined and all gates have
spoken, whatever its role: any candidate may be accepted. What is recorded is never measured again.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.bank.encode import encode_example
from engine.bank.job import FailedUpdate, InnerJob, InnerResult, RunningUpdate
from engine.continual.replay_plan import ReplayPlan, replay_rates
from engine.domains.domain import examples_of
from engine.exams.exam import EvalRequest, ModelRef
from engine.gates.evidence import TrainingEvidence
from engine.gates.gate import GateSubject
from engine.gates.names import TRAINING_GATE
from engine.gates.stages import StageGates
from engine.loop.candidate_cache import keep_adapter
from engine.loop.reward import Reward, reward_of_answers
from engine.loop.session import Session, recipe_of
from engine.lora.files import adapter_files
from engine.runtime.progress import Progress
from engine.seeds import derive_seed
from store.adapter_files import hash_adapter
from store.answers import ModelState
from store.candidates import get_candidate, record_examined
from store.clock import utc_now
from store.database import transaction
from store.records import Answer, Candidate, GateResult, InnerUpdate, Task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.domains.domain import TrainingExample
    from engine.lora.adapter import Adapter

_EVALUATED_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class ScreenedCandidates:
    """Candidates after the gates before training, and the verdicts on those that may be trained, by id."""

    candidates: list[Candidate]
    verdicts: dict[str, list[GateResult]]


def screen_and_evaluate(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> None:
    """Take every candidate that is still only proposed to its end: refused before training, or trained and examined.

    Raises WrongUseError if a gate lacks what it needs, UnreachableError if a round is to stop without its judge.
    """
    screened = screen_candidates(session, candidates, tasks)
    evaluate_candidates(session, screened, tasks)


def screen_candidates(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> ScreenedCandidates:
    """Ask the gates before training about every proposed candidate; record those that are refused."""
    db, task_by_id = session.db, {task.id: task for task in tasks}
    current = [get_candidate(db, candidate.id) for candidate in candidates]
    live_version = current[0].live_version if current else None
    gates = StageGates(session.gate_context(None, live_version), "before training")
    subjects = [GateSubject(one.id, one, task_by_id[one.task_id]) for one in current if one.state == "proposed"]
    after = {one.id: one for one in current}
    verdicts: dict[str, list[GateResult]] = {}
    with closing(gates.check(subjects)) as answers:
        for subject, found in answers:
            if any(gate.stops for gate in found):
                after[subject.id] = _refuse(session, subject.id, found)
            else:
                verdicts[subject.id] = found
    return ScreenedCandidates([after[one.id] for one in current], verdicts)


def evaluate_candidates(session: Session, screened: ScreenedCandidates, tasks: Sequence[Task]) -> None:
    """Train and examine every candidate that is still only proposed, all of one live version."""
    todo = [candidate for candidate in screened.candidates if candidate.state == "proposed"]
    if not todo:
        return
    live_version = todo[0].live_version
    live = session.live_adapter(live_version)
    gates = StageGates(session.gate_context(live, live_version), "after training")
    questions = [question for task in tasks for question in task.questions]
    before = session.examiner.answers_before_update(live, live_version, questions)
    plan = session.planner.plan(live_version)
    jobs = [
        inner_job(session, live, examples_of(candidate), plan, key=candidate.id, repeat=repeat)
        for candidate in todo
        for repeat in range(session.settings.inner_update.repeats)
    ]
    evaluator = CandidateEvaluator(
        session, gates, todo, tasks, before, screening=screened.verdicts, replay_record=plan.described
    )
    for job in jobs:
        if not job.sequences:
            evaluator.refuse(FailedUpdate(job.key, job.repeat, 0, None, None))
    trainable = [job for job in jobs if job.sequences]
    if not trainable:
        return
    results = session.executor.train(
        trainable,
        session.inner_spec,
        preconditioner=plan.preconditioner,
        on_running=evaluator.report_running,
        on_failed=evaluator.refuse,
    )
    for result in results:
        evaluator.take(result)
    evaluator.evaluate_finished()


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


@dataclass(frozen=True, slots=True)
class _Measurement:
    """What the exam on its own task says about a candidate; `hashes` are those of its adapters by repeat."""

    candidate: Candidate
    task: Task
    hashes: dict[int, str]
    answers: list[Answer]
    reward: Reward
    audit_gain: float | None


class CandidateEvaluator:
    """Collects inner updates as they finish, and evaluates candidates once all their repeats are trained."""

    def __init__(
        self,
        session: Session,
        gates: StageGates,
        candidates: Sequence[Candidate],
        tasks: Sequence[Task],
        before: dict[str, Answer],
        *,
        screening: Mapping[str, list[GateResult]],
        replay_record: dict[str, Any],
    ) -> None:
        """`screening` holds the verdicts from before training, by candidate; they are recorded with the exam."""
        self._session, self._gates, self._before = session, gates, before
        self._screening, self._replay_record = screening, replay_record
        self._candidates = {candidate.id: candidate for candidate in candidates}
        self._tasks = {task.id: task for task in tasks}
        self._repeats = session.settings.inner_update.repeats
        self._total, self._done = len(candidates) * self._repeats, 0
        self._results: dict[str, dict[int, InnerResult]] = defaultdict(dict)
        self._refused = set[str]()

    def refuse(self, failed: FailedUpdate) -> None:
        """Refuse a candidate one of whose updates failed; its other repeats no longer count."""
        self._done += 1
        if failed.key not in self._refused:
            self._refused.add(failed.key)
            self._results.pop(failed.key, None)
            rate = self._session.settings.inner_update.learning_rate
            found = TrainingEvidence(failed.repeat, failed.steps, failed.bad_step, failed.last_loss, rate)
            verdict = GateResult(
                failed.key, TRAINING_GATE, passed=False, evidence=found.as_json(), decided_at=utc_now()
            )
            _refuse(self._session, failed.key, [*self._screening[failed.key], verdict])
            title = self._tasks[self._candidates[failed.key].task_id].title
            self._session.say(f"A self-edit for “{title}” is refused because its training {found.describe()[0]}.")

    def take(self, result: InnerResult) -> None:
        """Keep a finished inner update; evaluate candidates once enough of them have all their repeats."""
        self._done += 1
        if result.key not in self._refused:
            self._results[result.key][result.repeat] = result
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates"))
        if len(self._finished()) * self._repeats >= _EVALUATED_TOGETHER:
            self.evaluate_finished()

    def report_running(self, updates: Sequence[RunningUpdate]) -> None:
        """Report the updates that are training right now."""
        rows = [
            {
                "candidate_id": update.key,
                "repeat": update.repeat,
                "slot": update.slot,
                "step": update.step,
                "steps": update.steps,
                "losses": update.losses,
            }
            for update in updates
        ]
        details = {"running": rows}
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates", details=details))

    def evaluate_finished(self) -> None:
        """Evaluate and record every candidate whose repeats have all been trained."""
        finished = [self._candidates[key] for key in self._finished()]
        if not finished:
            return
        domain = self._session.domain
        requests = [
            EvalRequest(
                result.adapter,
                tuple(domain.exam(self._tasks[candidate.task_id].questions)),
                model_state=f"{candidate.id}/{repeat}",
                phase="after",
                candidate_id=candidate.id,
                repeat=repeat,
            )
            for candidate in finished
            for repeat, result in sorted(self._results[candidate.id].items())
        ]
        answers: dict[str, list[Answer]] = defaultdict(list)
        for request, given in zip(requests, self._session.examiner.evaluate(requests), strict=True):
            answers[request.candidate_id or ""] += given
        measured = {one.id: self._measure(one, answers[one.id]) for one in finished}
        verdicts = list(self._gates.check([self._subject(one) for one in measured.values()]))
        with transaction(self._session.db):
            for subject, gates in verdicts:
                self._record(measured[subject.id], gates)
                del self._results[subject.id]

    def _finished(self) -> list[str]:
        return [key for key, results in self._results.items() if len(results) == self._repeats]

    def _measure(self, candidate: Candidate, answers: list[Answer]) -> _Measurement:
        """Put together what the exam on the candidate's own task says, and keep the adapter that could go live."""
        session, results = self._session, self._results[candidate.id]
        files = {
            repeat: adapter_files(result.adapter, session.base.folder) for repeat, result in sorted(results.items())
        }
        hashes = {repeat: hash_adapter(of_repeat) for repeat, of_repeat in files.items()}
        keep_adapter(session.workspace, files[0])
        answers = [dataclasses.replace(answer, model_state=hashes[answer.repeat]) for answer in answers]
        task = self._tasks[candidate.task_id]
        before = [self._before[question.id] for question in task.questions]
        reward_ids, audit_ids = (
            [question.id for question in task.questions if question.split == split] for split in ("reward", "audit")
        )
        reward = reward_of_answers(before, answers, reward_ids)
        audit_gain = reward_of_answers(before, answers, audit_ids).mean if audit_ids else None
        return _Measurement(candidate, task, hashes, answers, reward, audit_gain)

    def _subject(self, measured: _Measurement) -> GateSubject:
        """Return what the gates judge: the model that would go live if the candidate were accepted."""
        candidate = measured.candidate
        model = ModelRef(ModelState(measured.hashes[0]), self._results[candidate.id][0].adapter)
        return GateSubject(candidate.id, candidate, measured.task, model, measured.reward.mean, measured.audit_gain)

    def _record(self, measured: _Measurement, gates: list[GateResult]) -> None:
        candidate_id = measured.candidate.id
        results = self._results[candidate_id]
        record_examined(
            self._session.db,
            candidate_id,
            updates=[self._update(results[repeat], measured.hashes[repeat]) for repeat in sorted(results)],
            answers=measured.answers,
            gates=[*self._screening[candidate_id], *gates],
            reward_mean=measured.reward.mean,
            reward_std=measured.reward.std,
            audit_gain=measured.audit_gain,
            adapter_hash=measured.hashes[0],
        )

    def _update(self, result: InnerResult, adapter_hash: str) -> InnerUpdate:
        settings = self._session.settings
        hyperparameters = settings.inner_update.model_dump(mode="json", exclude={"repeats", "slots"})
        if self._replay_record:
            protection = settings.protection.model_dump(mode="json")
            hyperparameters["protection"] = {**protection, **self._replay_record}
        return InnerUpdate(
            candidate_id=result.key,
            repeat=result.repeat,
            seed=result.seed,
            hyperparameters=hyperparameters,
            steps=result.steps,
            trained_tokens=result.tokens,
            elapsed_s=result.elapsed_s,
            losses=result.losses,
            adapter_hash=adapter_hash,
            finished_at=utc_now(),
        )


def _refuse(session: Session, candidate_id: str, gates: Sequence[GateResult]) -> Candidate:
    """Record a candidate without a finished inner update: it has gates, and nothing else."""
    return record_examined(
        session.db,
        candidate_id,
        updates=[],
        answers=[],
        gates=gates,
        reward_mean=None,
        reward_std=None,
        audit_gain=None,
        adapter_hash=None,
    )
