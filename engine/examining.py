"""The second half of the E-step: inner updates in the bank, exams in mixed batches, rewards and gates.

A candidate is recorded whole, in one transaction, as soon as all its repeats are examined; what is recorded is never
measured again.
"""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from engine.bank.job import InnerJob, InnerResult, RunningUpdate, TrainingSequence
from engine.bank.training import InnerUpdateBank
from engine.candidate_cache import keep_adapter
from engine.exam import Sitting, hold_exam
from engine.gates import verdicts
from engine.lora.files import adapter_files
from engine.progress import Progress
from engine.reward import Reward, reward_of_answers
from engine.seeds import derive_seed
from engine.session import Session, recipe_of
from store.adapter_files import hash_adapter
from store.base_answers import base_answers, record_base_answers
from store.candidates import record_examined
from store.clock import utc_now
from store.database import transaction
from store.records import Answer, Candidate, InnerUpdate, Question, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel

_EXAMINED_TOGETHER = 16
_RUNNING_TOLD_EVERY_S = 1.0


def examine(session: Session, candidates: Sequence[Candidate], tasks: Sequence[Task]) -> None:
    """Train and examine every candidate that is still only proposed, all of one live version."""
    todo = [candidate for candidate in candidates if candidate.state == "proposed"]
    if not todo:
        return
    questions = {task.id: tuple(task.questions) for task in tasks}
    live_version = todo[0].live_version
    live = session.live_adapter(live_version)
    before = examine_untouched(session, live, live_version, [q for task in tasks for q in task.questions])
    repeats = session.settings.inner_update.repeats
    jobs = [
        inner_job(session, live, candidate.sequences, key=candidate.id, repeat=repeat)
        for candidate in todo
        for repeat in range(repeats)
    ]
    bank = InnerUpdateBank(session.base, session.inner_spec, min(session.slots, len(jobs)))
    desk = _Desk(session, {candidate.id: candidate for candidate in todo}, questions, before, total=len(jobs))
    for result in bank.train(jobs, on_tick=_told_seldom(lambda: desk.tell_running(bank.running()))):
        desk.take(result)
    desk.examine_finished()


def inner_job(session: Session, live: Adapter | None, sequences: Sequence[str], *, key: str, repeat: int) -> InnerJob:
    """Make the inner update of one repeat of a self-edit; key and repeat give its seed."""
    seed = derive_seed("inner update", session.settings.round.seed, key, repeat)
    tokens = tuple(TrainingSequence(tuple(_cut(session.base, text))) for text in sequences)
    start = session.starting_adapter(live, seed)
    return InnerJob(f"{key}/{repeat}", tokens, recipe_of(session.settings.inner_update), seed, start)


def examine_untouched(
    session: Session, live: Adapter | None, live_version: int | None, questions: Sequence[Question]
) -> dict[str, Answer]:
    """Answers of the model as it stands, by question id: each question is asked once for each live version."""
    state = "base" if live_version is None else f"v{live_version:04d}"
    found = base_answers(session.db, [question.id for question in questions], state)
    missing = tuple({q.id: q for q in questions if q.id not in found}.values())
    if missing:
        [answers] = hold_exam(session.base, [Sitting(live, missing, state, "before")], session.settings.exam)
        record_base_answers(session.db, answers)
        found.update({answer.question_id: answer for answer in answers})
    return found


class _Desk:
    """Collects inner updates as they finish and examines candidates whose repeats are all there."""

    def __init__(
        self,
        session: Session,
        candidates: dict[str, Candidate],
        questions: dict[str, tuple[Question, ...]],
        before: dict[str, Answer],
        total: int,
    ) -> None:
        self._session, self._candidates, self._questions, self._before = session, candidates, questions, before
        self._total, self._done = total, 0
        self._repeats = session.settings.inner_update.repeats
        self._results: dict[str, dict[int, InnerResult]] = defaultdict(dict)

    def take(self, result: InnerResult) -> None:
        candidate_id, repeat = result.key.rsplit("/", 1)
        self._results[candidate_id][int(repeat)] = result
        self._done += 1
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates"))
        if len(self._finished()) * self._repeats >= _EXAMINED_TOGETHER:
            self.examine_finished()

    def tell_running(self, updates: Sequence[RunningUpdate]) -> None:
        details = {"running": [_running_row(update) for update in updates]}
        self._session.report(Progress("inner updates", self._done, self._total, "inner updates", details=details))

    def examine_finished(self) -> None:
        finished = self._finished()
        sittings = [
            Sitting(
                result.adapter,
                self._questions[self._candidates[candidate_id].task_id],
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
            sittings, hold_exam(self._session.base, sittings, self._session.settings.exam), strict=True
        ):
            answers[sitting.candidate_id or ""] += given
        with transaction(self._session.db):
            for candidate_id in finished:
                self._record(candidate_id, answers[candidate_id])
                del self._results[candidate_id]

    def _finished(self) -> list[str]:
        return [key for key, results in self._results.items() if len(results) == self._repeats]

    def _record(self, candidate_id: str, answers: list[Answer]) -> None:
        session, results = self._session, self._results[candidate_id]
        files = {repeat: adapter_files(result.adapter, session.base.name) for repeat, result in sorted(results.items())}
        hashes = {repeat: hash_adapter(of_repeat) for repeat, of_repeat in files.items()}
        keep_adapter(session.workspace, files[0])
        answers = [dataclasses.replace(answer, model_state=hashes[answer.repeat]) for answer in answers]
        reward, audit = self._rewards(candidate_id, answers)
        audit_gain = None if audit is None else audit.mean
        gates = verdicts(candidate_id, reward.mean, audit_gain, session.settings.gates, utc_now())
        record_examined(
            session.db,
            candidate_id,
            updates=[self._update(candidate_id, repeat, results[repeat], hashes[repeat]) for repeat in sorted(results)],
            answers=answers,
            gates=gates,
            reward_mean=reward.mean,
            reward_std=reward.std,
            audit_gain=audit_gain,
            adapter_hash=hashes[0],
        )

    def _rewards(self, candidate_id: str, answers: list[Answer]) -> tuple[Reward, Reward | None]:
        questions = self._questions[self._candidates[candidate_id].task_id]
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
            hyperparameters=settings.model_dump(mode="json", exclude={"repeats", "slots"}),
            steps=result.steps,
            trained_tokens=result.tokens,
            elapsed_s=result.elapsed_s,
            losses=result.losses,
            adapter_hash=hashed,
            finished_at=utc_now(),
        )


def _told_seldom(tell: Callable[[], None]) -> Callable[[int], None]:
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
