"""The second half of the E-step: inner updates in the bank, exams in mixed batches, rewards and gates.

What passes the gates on its own task meets the last ones (`last_gates.py`), whatever its role: any of them may be
accepted. A candidate is recorded whole, in one transaction, as soon as all its repeats are examined; what
is recorded is never measured again.
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from engine.bank.job import InnerJob, InnerResult, RunningUpdate, TrainingSequence
from engine.bank.training import InnerUpdateBank
from engine.continual.build_plan import build_replay_plan
from engine.continual.replay_plan import ReplayPlan, replay_rates
from engine.exams.exam import EvalRequest, evaluate
from engine.gates.retention import GateSubject
from engine.gates.reward import verdicts
from engine.gates.stages import PostTrainingGates
from engine.loop.candidate_cache import keep_adapter
from engine.loop.reward import Reward, reward_of_answers
from engine.lora.files import adapter_files
from engine.runtime.progress import Progress
from engine.seeds import derive_seed
from engine.session import Session, recipe_of
from store.adapter_files import hash_adapter
from store.answers import ModelState, base_answers, record_base_answers
from store.candidates import record_examined
from store.clock import utc_now
from store.database import transaction
from store.records import Answer, Candidate, GateResult, InnerUpdate, Question, Task
from store.version_tags import state_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

_EXAMINED_TOGETHER = 16
_RUNNING_TOLD_EVERY_S = 1.0


def evaluate_candidates(
    session: Session,
    candidates: Sequence[Candidate],
    tasks: Sequence[Task],
    rule_verdicts: Mapping[str, list[GateResult]],
) -> None:
    """Train and examine every candidate that is still only proposed, all of one live version.

    `rule_verdicts` holds what the rules said of each of them (`gates/guardrails.py`), by id.
    """
    todo = [candidate for candidate in candidates if candidate.state == "proposed"]
    if not todo:
        return
    live_version = todo[0].live_version
    live = session.live_adapter(live_version)
    last_gates = PostTrainingGates(session, live, live_version)
    before = answers_before_update(session, live, live_version, [q for task in tasks for q in task.questions])
    protection = build_replay_plan(session, live_version)
    repeats = session.settings.inner_update.repeats
    jobs = [
        inner_job(session, live, candidate.sequences, protection, key=candidate.id, repeat=repeat)
        for candidate in todo
        for repeat in range(repeats)
    ]
    slots, coordinates = min(session.slots, len(jobs)), protection.coordinates
    bank = InnerUpdateBank(session.base, session.inner_spec, slots, coordinates=coordinates)
    evaluator = CandidateEvaluator(
        session, last_gates, todo, tasks, before, rule_verdicts=rule_verdicts, protected=protection.described
    )
    for result in bank.train(jobs, on_tick=_throttled(lambda: evaluator.report_running(bank.running()))):
        evaluator.take(result)
    evaluator.evaluate_finished()


def inner_job(
    session: Session,
    live: Adapter | None,
    sequences: Sequence[str],
    protection: ReplayPlan,
    *,
    key: str,
    repeat: int,
) -> InnerJob:
    """Make the inner update of one repeat of a self-edit; key and repeat give its seed."""
    seed = derive_seed("inner update", session.settings.round.seed, key, repeat)
    tokens = tuple(TrainingSequence(tuple(_cut(session.base, text))) for text in sequences)
    start = session.starting_adapter(live, seed)
    recipe = protection.recipe(recipe_of(session.settings.inner_update), len(tokens))
    beside = replay_rates(session.settings.protection, recipe.batch_size)
    companions = protection.companions(beside, sequences)
    return InnerJob(f"{key}/{repeat}", tokens, recipe, seed, start, companions)


def answers_before_update(
    session: Session, live: Adapter | None, live_version: int | None, questions: Sequence[Question]
) -> dict[str, Answer]:
    """Answers of the model as it stands, by question id: each question is asked once for each live version."""
    state = state_name(live_version)
    found = base_answers(session.db, [question.id for question in questions], state, session.base.fingerprint)
    missing = tuple({q.id: q for q in questions if q.id not in found}.values())
    if missing:
        [answers] = evaluate(session.base, [EvalRequest(live, missing, state, "before")], session.settings.exam)
        record_base_answers(session.db, answers)
        found.update({answer.question_id: answer for answer in answers})
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Measurement:
    """What the exam on its own task says of a candidate; `hashes` are those of its adapters by repeat."""

    candidate_id: str
    hashes: dict[int, str]
    answers: list[Answer]
    reward: Reward
    audit_gain: float | None
    gates: list[GateResult]


class CandidateEvaluator:
    """Collects inner updates as they finish and examines candidates whose repeats are all there."""

    def __init__(
        self,
        session: Session,
        last_gates: PostTrainingGates,
        candidates: Sequence[Candidate],
        tasks: Sequence[Task],
        before: dict[str, Answer],
        *,
        rule_verdicts: Mapping[str, list[GateResult]],
        protected: dict[str, Any],
    ) -> None:
        self._session, self._last_gates, self._before = session, last_gates, before
        self._rule_verdicts, self._protected = rule_verdicts, protected
        self._candidates = {candidate.id: candidate for candidate in candidates}
        self._tasks = {task.id: task for task in tasks}
        self._repeats = session.settings.inner_update.repeats
        self._total, self._done = len(candidates) * self._repeats, 0
        self._results: dict[str, dict[int, InnerResult]] = defaultdict(dict)

    def take(self, result: InnerResult) -> None:
        """Keep a finished inner update; evaluate candidates once enough of them have all their repeats."""
        candidate_id, repeat = result.key.rsplit("/", 1)
        self._results[candidate_id][int(repeat)] = result
        self._done += 1
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates"))
        if len(self._finished()) * self._repeats >= _EXAMINED_TOGETHER:
            self.evaluate_finished()

    def report_running(self, updates: Sequence[RunningUpdate]) -> None:
        """Report the updates that are training right now."""
        details = {"running": [_running_row(update) for update in updates]}
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates", details=details))

    def evaluate_finished(self) -> None:
        """Evaluate and record every candidate whose repeats have all been trained."""
        finished = self._finished()
        sittings = [
            EvalRequest(
                result.adapter,
                tuple(self._task(candidate_id).questions),
                model_state=f"{candidate_id}/{repeat}",
                phase="after",
                candidate_id=candidate_id,
                repeat=repeat,
            )
            for candidate_id in finished
            for repeat, result in sorted(self._results[candidate_id].items())
        ]
        if not sittings:
            return
        answers: dict[str, list[Answer]] = defaultdict(list)
        for sitting, given in zip(
            sittings, evaluate(self._session.base, sittings, self._session.settings.exam), strict=True
        ):
            answers[sitting.candidate_id or ""] += given
        measured = [self._measure(candidate_id, answers[candidate_id]) for candidate_id in finished]
        at_risk = [updated for one in measured if (updated := self._at_risk(one))]
        last = self._last_gates.verdicts(at_risk)
        with transaction(self._session.db):
            for one in measured:
                self._record(one, last.get(one.candidate_id, []))
                del self._results[one.candidate_id]

    def _finished(self) -> list[str]:
        return [key for key, results in self._results.items() if len(results) == self._repeats]

    def _task(self, candidate_id: str) -> Task:
        return self._tasks[self._candidates[candidate_id].task_id]

    def _measure(self, candidate_id: str, answers: list[Answer]) -> _Measurement:
        """Put together what the exam on the candidate's own task says, and keep the adapter that could go live."""
        session, results = self._session, self._results[candidate_id]
        files = {repeat: adapter_files(result.adapter, session.base.name) for repeat, result in sorted(results.items())}
        hashes = {repeat: hash_adapter(of_repeat) for repeat, of_repeat in files.items()}
        keep_adapter(session.workspace, files[0])
        answers = [dataclasses.replace(answer, model_state=hashes[answer.repeat]) for answer in answers]
        reward, audit = self._rewards(candidate_id, answers)
        audit_gain = None if audit is None else audit.mean
        gates = list(self._rule_verdicts[candidate_id])
        gates += verdicts(candidate_id, reward.mean, audit_gain, session.settings.gates, utc_now())
        return _Measurement(candidate_id, hashes, answers, reward, audit_gain, gates)

    def _at_risk(self, measured: _Measurement) -> GateSubject | None:
        """What would go live if somebody accepted it; None for what a gate stops."""
        candidate = self._candidates[measured.candidate_id]
        if any(gate.stops for gate in measured.gates):
            return None
        adapter = self._results[candidate.id][0].adapter
        return GateSubject(candidate.id, self._task(candidate.id), adapter, ModelState(measured.hashes[0]))

    def _record(self, measured: _Measurement, last: list[GateResult]) -> None:
        candidate_id, hashes = measured.candidate_id, measured.hashes
        results = self._results[candidate_id]
        record_examined(
            self._session.db,
            candidate_id,
            updates=[self._update(candidate_id, repeat, results[repeat], hashes[repeat]) for repeat in sorted(results)],
            answers=measured.answers,
            gates=[*measured.gates, *last],
            reward_mean=measured.reward.mean,
            reward_std=measured.reward.std,
            audit_gain=measured.audit_gain,
            adapter_hash=hashes[0],
        )

    def _rewards(self, candidate_id: str, answers: list[Answer]) -> tuple[Reward, Reward | None]:
        questions = self._task(candidate_id).questions
        before = [self._before[question.id] for question in questions]
        by_split = {split: [q.id for q in questions if q.split == split] for split in ("reward", "audit")}
        reward = reward_of_answers(before, answers, by_split["reward"])
        return reward, reward_of_answers(before, answers, by_split["audit"]) if by_split["audit"] else None

    def _update(self, candidate_id: str, repeat: int, result: InnerResult, hashed: str) -> InnerUpdate:
        settings = self._session.settings.inner_update
        return InnerUpdate(
            candidate_id=candidate_id,
            repeat=repeat,
            seed=derive_seed("inner update", self._session.settings.round.seed, candidate_id, repeat),
            hyperparameters=settings.model_dump(mode="json", exclude={"repeats", "slots"}) | self._protection(),
            steps=result.steps,
            trained_tokens=result.tokens,
            elapsed_s=result.elapsed_s,
            losses=result.losses,
            adapter_hash=hashed,
            finished_at=utc_now(),
        )

    def _protection(self) -> dict[str, Any]:
        """What was trained beside the self-edit, where anything was."""
        if not self._protected:
            return {}
        return {"protection": {**self._session.settings.protection.model_dump(mode="json"), **self._protected}}


def _throttled(tell: Callable[[], None]) -> Callable[[int], None]:
    """Return what a bank calls at every tick: it tells now and then, because reading losses waits for the device."""
    told_at = float("-inf")

    def on_tick(_: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _RUNNING_TOLD_EVERY_S:
            told_at = time.monotonic()
            tell()

    return on_tick


def _running_row(update: RunningUpdate) -> dict[str, Any]:
    candidate_id, repeat = update.key.rsplit("/", 1)
    return {
        "candidate_id": candidate_id,
        "repeat": int(repeat),
        "slot": update.slot,
        "step": update.step,
        "steps": update.steps,
        "losses": update.losses,
    }


def _cut(base: BaseModel, text: str) -> list[int]:
    """Encode a training sequence; what is longer than the window loses its end."""
    return base.encode_training(text)[: base.window_tokens]
