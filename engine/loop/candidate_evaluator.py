"""Examines inner updates as they finish, asks the gates, and records candidates.

Repeats are recorded as soon as they are examined. A candidate's exam is recorded in one transaction once it needs no
more repeats and all gates have spoken, whatever its role: any candidate may be accepted. What is recorded is never
measured again.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from engine.exams.exam import EvalRequest, ModelRef
from engine.gates.evidence import RacingEvidence, TrainingEvidence
from engine.gates.gate import GateSubject
from engine.gates.names import RACING_GATE, TRAINING_GATE
from engine.loop.candidate_cache import keep_adapter
from engine.loop.measured_repeats import (
    MeasuredRepeat,
    contender_of,
    first_adapter,
    is_out,
    recorded_repeats,
    resumed_repeats,
)
from engine.loop.racing import Race, next_updates, open_contenders, why_stopped
from engine.loop.reward import reward_of_answers
from engine.loop.screen import ScreenedCandidates, refuse_candidate
from engine.lora.files import adapter_files
from engine.runtime.progress import Progress
from store.adapter_files import hash_adapter
from store.answers import ModelState
from store.candidates import get_candidate, record_examined, record_repeats
from store.clock import utc_now
from store.database import transaction
from store.records import Answer, Candidate, GateResult, InnerUpdate, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.bank.job import FailedUpdate, InnerResult, RunningUpdate
    from engine.gates.stages import StageGates
    from engine.loop.racing import Contender, RacingRule
    from engine.loop.reward import Reward
    from engine.loop.session import Session
    from store.records import Split


_EXAMINED_TOGETHER = 16


class CandidateEvaluator:
    """Collects inner updates as they finish, examines them, and evaluates candidates that need no more of them."""

    def __init__(
        self,
        session: Session,
        gates: StageGates,
        screened: ScreenedCandidates,
        tasks: Sequence[Task],
        before: dict[str, Answer],
        *,
        rule: RacingRule,
        replay_record: dict[str, Any],
    ) -> None:
        """Find what is measured already. Verdicts from before training are recorded with the exam."""
        self._session, self._gates, self._before = session, gates, before
        self._screening, self._replay_record, self._rule = screened.verdicts, replay_record, rule
        self._candidates = {candidate.id: candidate for candidate in screened.candidates}
        self._tasks = {task.id: task for task in tasks}
        self._of_repeats = session.settings.inner_update.repeats
        self._repeats = {
            one.id: resumed_repeats(session, one) if one.state == "proposed" else recorded_repeats(session.db, one)
            for one in screened.candidates
        }
        self._mode = session.settings.round.selection
        self._out = {one.id for one in screened.candidates if is_out(session.db, one, self._mode)}
        self._judged = {one.id for one in screened.candidates if one.state != "proposed"}
        self._trained: list[InnerResult] = []
        self._done, self._total = 0, 0

    def next_updates(self) -> list[tuple[Candidate, int]]:
        """Return the repeats to train next, all tasks together; first judge those that are decided. None at the end."""
        while True:
            races = self._races()
            updates = [update for race, field in races for update in next_updates(race, field)]
            if updates:
                still_open = [one for race, field in races for one in open_contenders(race, field)]
                missing = sum(self._of_repeats - len(one.right_per_repeat) for one in still_open)
                self._total = self._done + max(missing, len(updates))
                return [(self._candidates[key], repeat) for key, repeat in updates]
            decided = {one.candidate_id for race, field in races for one in open_contenders(race, field)} - self._judged
            if not decided:
                return []
            self._judge([self._candidates[key] for key in self._candidates if key in decided])

    def refuse(self, failed: FailedUpdate) -> None:
        """Refuse a candidate one of whose updates failed; its other repeats no longer count."""
        self._done += 1
        if failed.key in self._out:
            return
        self._out.add(failed.key)
        self._judged.add(failed.key)
        self._trained = [result for result in self._trained if result.key != failed.key]
        rate = self._session.settings.inner_update.learning_rate
        found = TrainingEvidence(failed.repeat, failed.steps, failed.bad_step, failed.last_loss, rate)
        verdict = GateResult(failed.key, TRAINING_GATE, passed=False, evidence=found.as_json(), decided_at=utc_now())
        refuse_candidate(self._session, failed.key, [*self._screening[failed.key], verdict])
        title = self._tasks[self._candidates[failed.key].task_id].title
        self._session.say(f"A self-edit for “{title}” is refused because its training {found.describe()[0]}.")

    def take(self, result: InnerResult) -> None:
        """Keep a finished inner update; examine them once they are enough."""
        self._done += 1
        if result.key not in self._out:
            self._trained.append(result)
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates"))
        if len(self._trained) >= _EXAMINED_TOGETHER:
            self.examine_trained()

    def report_running(self, updates: Sequence[RunningUpdate]) -> None:
        """Report the updates that are training right now. Raises TimeUpError if the session's time is up."""
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
        self._session.require_time()

    def examine_trained(self) -> None:
        """Examine and record the inner updates that have finished, and judge candidates that have all their repeats."""
        trained, self._trained = sorted(self._trained, key=lambda one: (one.key, one.repeat)), []
        if not trained:
            return
        requests = [
            EvalRequest(
                result.adapter,
                tuple(self._session.domain.exam(self._task_of(result.key).questions)),
                model_state=f"{result.key}/{result.repeat}",
                phase="after",
                candidate_id=result.key,
                repeat=result.repeat,
            )
            for result in trained
        ]
        for result, answers in zip(trained, self._session.examiner.evaluate(requests), strict=True):
            self._repeats[result.key][result.repeat] = self._measured(result, answers)
        examined = {result.key for result in trained}
        complete = {key for key in examined if len(self._repeats[key]) == self._of_repeats}
        self._record_repeats(examined - complete)
        self._judge([self._candidates[key] for key in self._candidates if key in complete])

    def judge_stopped(self) -> None:
        """Evaluate the candidates that the races have stopped, on the repeats that they have."""
        self._judge([one for key, one in self._candidates.items() if key not in self._judged])
        self._session.report(Progress("inner updates", self._done, self._done, "inner updates"))

    def _task_of(self, candidate_id: str) -> Task:
        return self._tasks[self._candidates[candidate_id].task_id]

    def _races(self) -> list[tuple[Race, list[Contender]]]:
        """Return the race of each task with those that may still be kept."""
        settings, found = self._session.settings.round, []
        for task in self._tasks.values():
            reward = {question.id for question in task.questions if question.split == "reward"}
            row = tuple(self._before[question.id].correct for question in task.questions if question.id in reward)
            race = Race(self._rule, self._mode, settings.best_k, settings.threshold, self._of_repeats, (row,))
            field = [
                contender_of(one, self._repeats[one.id], reward, is_judged=one.id in self._judged)
                for one in self._candidates.values()
                if one.task_id == task.id and one.id not in self._out
            ]
            found.append((race, field))
        return found

    def _measured(self, result: InnerResult, answers: list[Answer]) -> MeasuredRepeat:
        """Put together one repeat; the adapter of the first, which could go live, is kept."""
        files = adapter_files(result.adapter, self._session.base.folder)
        hashed = keep_adapter(self._session.workspace, files) if result.repeat == 0 else hash_adapter(files)
        return MeasuredRepeat(
            self._update(result, hashed),
            [dataclasses.replace(answer, model_state=hashed) for answer in answers],
            result.adapter if result.repeat == 0 else None,
        )

    def _record_repeats(self, candidate_ids: Collection[str]) -> None:
        """Record what is new of candidates that need more repeats, and free their adapters."""
        new = [one for key in sorted(candidate_ids) for one in self._repeats[key].values() if not one.is_recorded]
        record_repeats(self._session.db, [one.update for one in new], [answer for one in new for answer in one.answers])
        for key in candidate_ids:
            self._repeats[key] = {
                repeat: dataclasses.replace(one, adapter=None, is_recorded=True)
                for repeat, one in self._repeats[key].items()
            }

    def _judge(self, candidates: Sequence[Candidate]) -> None:
        """Ask the gates about candidates and record them, those that are judged together in one transaction."""
        if not candidates:
            return
        stopped = self._verdicts_of_race()
        for start in range(0, len(candidates), _EXAMINED_TOGETHER):
            batch = candidates[start : start + _EXAMINED_TOGETHER]
            verdicts = list(self._gates.check([self._subject(one) for one in batch]))
            with transaction(self._session.db):
                for subject, gates in verdicts:
                    self._record(subject, [*self._screening[subject.id], *stopped.get(subject.id, ()), *gates])
            for one in batch:
                self._judged.add(one.id)
                if is_out(self._session.db, get_candidate(self._session.db, one.id), self._mode):
                    self._out.add(one.id)

    def _verdicts_of_race(self) -> dict[str, list[GateResult]]:
        """Return the notes that say why candidates have fewer repeats than the settings ask for, by candidate."""
        found = {}
        for race, field in self._races():
            for one in field:
                reason = why_stopped(race, one, field) if one.candidate_id not in self._judged else None
                if reason is not None and len(one.right_per_repeat) < self._of_repeats:
                    evidence = RacingEvidence(len(one.right_per_repeat), self._of_repeats, self._rule, reason)
                    kept = reason == "decided"
                    found[one.candidate_id] = [
                        GateResult(one.candidate_id, RACING_GATE, kept, evidence.as_json(), utc_now(), "note")
                    ]
        return found

    def _reward(self, candidate: Candidate, split: Split) -> Reward | None:
        """Return the reward on the questions of a split over the repeats so far; None if it has no questions."""
        questions = self._task_of(candidate.id).questions
        ids = [question.id for question in questions if question.split == split]
        if split == "audit" and not ids:
            return None
        before = [self._before[question.id] for question in questions]
        after = [answer for one in self._repeats[candidate.id].values() for answer in one.answers]
        return reward_of_answers(before, after, ids)

    def _subject(self, candidate: Candidate) -> GateSubject:
        """Return what the gates judge: the model that would go live if the candidate were accepted."""
        repeats = self._repeats[candidate.id]
        state = ModelState(repeats[0].update.adapter_hash or "")
        model = ModelRef(state, first_adapter(self._session, repeats))
        reward, audit = self._reward(candidate, "reward"), self._reward(candidate, "audit")
        return GateSubject(
            candidate.id,
            candidate,
            self._task_of(candidate.id),
            model,
            None if reward is None else reward.mean,
            None if audit is None else audit.mean,
        )

    def _record(self, subject: GateSubject, gates: list[GateResult]) -> None:
        """Record a candidate's exam, with those of its repeats that are not in the store yet, and free its adapter."""
        repeats = self._repeats[subject.id]
        new = [one for _, one in sorted(repeats.items()) if not one.is_recorded]
        reward = self._reward(self._candidates[subject.id], "reward")
        record_examined(
            self._session.db,
            subject.id,
            updates=[one.update for one in new],
            answers=[answer for one in new for answer in one.answers],
            gates=gates,
            reward_mean=subject.reward_mean,
            reward_std=None if reward is None else reward.std,
            audit_gain=subject.audit_gain,
            adapter_hash=repeats[0].update.adapter_hash,
        )
        self._repeats[subject.id] = {at: dataclasses.replace(one, adapter=None) for at, one in repeats.items()}

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
