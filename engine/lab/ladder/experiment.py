"""`lab ladder`: how much of a passage a model answers without it, from the untouched base to gold answers.

The rungs of SEAL's table for a single passage (arXiv 2506.10943, section 4.2): the base, with and without the passage
in view, the bare passage, self-edits of the untrained policy and after each round of ReST^EM, a teacher's self-edits,
and the exam's own answers. Each part is written to a folder as soon as it is done, so an experiment that was
interrupted goes on from there. The folder holds texts; the result holds figures alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from engine.lab.ladder.bench import (
    EditedPassage,
    GeneralAbility,
    LadderBench,
    PassageFigures,
    described,
    general_prompts,
    questions_with_answers,
)
from engine.lora.adapter import make_spec
from engine.lora.files import adapter_files, read_adapter
from engine.runtime.progress import Progress
from store.adapter_files import ADAPTER_NAMES
from store.durable import write_file, write_folder
from store.errors import WrongUseError
from store.hashing import hash_json
from store.share import Share

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from engine.lab.ladder.passages import Passages
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.runtime.progress import Report
    from engine.settings.sections import Settings
    from store.records import Task

SCHEMA = 1
_TOGETHER = 10  # updates that are trained together, and lost together by an interruption


@dataclass(frozen=True, slots=True)
class LadderSize:
    """How much is measured: rounds, self-edits of a train passage in each, and of a held-out passage on each rung.

    `joined` self-edits are trained on together wherever a policy is measured on held-out passages. Before the
    first round the policy learns to write the questions of `warm_up_passages` other passages, and the teacher's
    self-edits about `warm_up_taught` others. `general` is how many prompts of general ability each update of a rung is
    asked; 0 leaves them out.
    """

    rounds: int = 2
    per_task: int = 3
    held_out_edits: int = 1
    joined: int = 1
    warm_up_passages: int = 0
    warm_up_taught: int = 0
    general: int = 28


@dataclass(frozen=True)
class Ladder:
    """One ladder: one base, one draw of passages, one seed. `folder` keeps what is done."""

    base: BaseModel
    settings: Settings
    passages: Passages
    size: LadderSize
    seed: int
    folder: Path
    report: Report

    @cached_property
    def _bench(self) -> LadderBench:
        return LadderBench(self.base, self.settings, self.seed, self.folder / "cache")

    def climb(self) -> dict[str, Any]:
        """Measure every rung; returns figures that JSON can carry.

        Raises WrongUseError if the folder holds another experiment.
        """
        self._require_same()
        held_out = self.passages.held_out
        rungs = {
            "base": self._measured("base", lambda: self._bench.ask(held_out, [None] * len(held_out))),
            "passage in view": self._measured(
                "in-view", lambda: self._bench.ask(held_out, [None] * len(held_out), in_view=True)
            ),
            "bare passage": self._taught("bare", [self._bench.compiled(task, "") for task in held_out]),
        }
        rungs["untrained self-edits"] = self._by_policy("untrained", None)
        policy: Adapter | None = None
        warm_up = self._warm_up()
        if warm_up:
            policy = self._policy("policy-warm", None, warm_up)
            rungs["warmed up"] = self._by_policy("warm", policy)
        rounds = []
        for number in range(1, self.size.rounds + 1):
            done = self._e_step(number, policy)
            rounds.append(done["figures"])
            if done["kept"]:
                policy = self._policy(f"policy-{number}", policy, done["kept"])
            rungs[f"after round {number}"] = self._by_policy(f"round-{number}", policy)
        taught = [task for task in held_out if task.id in self.passages.taught]
        if taught:
            edits = [self._bench.compiled(task, self.passages.taught[task.id]) for task in taught]
            rungs["teacher's self-edits"] = self._taught("teacher", edits)
        rungs["gold answers"] = self._taught("gold", [self._bench.gold(task) for task in held_out])
        return {"rungs": {name: _summed(one) for name, one in rungs.items()}, "rounds": rounds}

    def _by_policy(self, stage: str, policy: Adapter | None) -> list[dict[str, Any]]:
        held_out, joined = self.passages.held_out, self.size.joined
        count = self.size.held_out_edits * joined
        written = self._stage(f"{stage}-written", lambda: self._bench.write(policy, held_out, count, "held out"))
        return self._taught(stage, self._compiled(held_out, written, joined))

    def _warm_up(self) -> list[tuple[str, str]]:
        """Return what the policy is trained on before the first round: a teacher's self-edits, others' questions."""
        asked = _first(self.passages.others, self.size.warm_up_passages, "--warm-up-passages")
        told = _first(self.passages.taught_others, self.size.warm_up_taught, "--warm-up-taught")
        prompt, taught = self._bench.domain.prompt, self.passages.taught
        return [
            *self.passages.warm_up,
            *((prompt(task), taught[task.id]) for task in told),
            *((prompt(task), questions_with_answers(task)) for task in asked),
        ]

    def _compiled(self, tasks: Sequence[Task], written: Sequence[Sequence[str]], joined: int) -> list[EditedPassage]:
        return [
            self._bench.compiled(task, *texts[at : at + joined])
            for task, texts in zip(tasks, written, strict=True)
            for at in range(0, len(texts), joined)
        ]

    def _taught(self, stage: str, edits: Sequence[EditedPassage]) -> list[dict[str, Any]]:
        return self._said(stage, self._trained(edits, stage, other_words=True, general=self._general))

    @cached_property
    def _general(self) -> GeneralAbility | None:
        """Which prompts of general ability the base answers right."""
        if not self.size.general:
            return None
        prompts = general_prompts()
        [right] = self._stage("general-base", lambda: self._bench.answered_right([prompts], [None]))
        known = frozenset(one.identity for one, is_right in zip(prompts, right, strict=True) if is_right)
        return GeneralAbility(prompts, known, self.size.general)

    def _trained(
        self, edits: Sequence[EditedPassage], stage: str, *, other_words: bool, general: GeneralAbility | None = None
    ) -> list[dict[str, Any]]:
        """Train and ask part by part, so that an interruption loses one part at most."""
        found: list[dict[str, Any]] = []
        for at in range(0, len(edits), _TOGETHER):
            part = edits[at : at + _TOGETHER]
            figures = partial(self._bench.figures, part, stage, other_words=other_words, general=general)
            found += self._part(f"{stage}-{at:04d}", figures)
            self.report(Progress("inner updates", len(found), len(edits), stage))
        return found

    def _e_step(self, number: int, policy: Adapter | None) -> dict[str, Any]:
        """Write and measure the self-edits of one round; the best of each passage that gained anything is kept."""
        train, per_task, stage = self.passages.train, self.size.per_task, f"e-step-{number}"
        before = self._part("train-base", lambda: self._bench.ask(train, [None] * len(train), other_words=False))
        written = self._stage(f"{stage}-written", lambda: self._bench.write(policy, train, per_task, stage))
        after = self._trained(self._compiled(train, written, 1), stage, other_words=False)
        gains = [one["right"] - before[place // per_task]["right"] for place, one in enumerate(after)]
        kept = []
        for place, (task, texts) in enumerate(zip(train, written, strict=True)):
            of_task = gains[place * per_task : (place + 1) * per_task]
            if max(of_task) > 0:
                kept.append((self._bench.domain.prompt(task), texts[of_task.index(max(of_task))]))
        figures = {
            "right_before": sum(one["right"] for one in before),
            "right_after": sum(one["right"] for one in after) / per_task,
            "questions": sum(one["questions"] for one in before),
            "kept": len(kept),
            "of": len(train),
        }
        self.report(Progress("exam", 0, 0, note=f"{stage}: {len(kept)} of {len(train)} passages have a self-edit kept"))
        return {"figures": figures, "kept": kept}

    def _policy(self, stage: str, start: Adapter | None, pairs: Sequence[Sequence[str]]) -> Adapter:
        folder = self.folder / stage
        if not folder.is_dir():
            self.report(Progress("policy", 0, 0, note=f"{stage}: training on {len(pairs)} self-edits"))
            trained = self._bench.train_policy(start, [(prompt, text) for prompt, text in pairs], stage)
            write_folder(folder, adapter_files(trained, self.base.folder))
        files = {name: (folder / name).read_bytes() for name in ADAPTER_NAMES}
        every = make_spec(self.base.model, rank=1, alpha=1.0, target_modules="all-linear")
        return read_adapter(files, every, str(folder))

    def _measured(self, stage: str, measure: Callable[[], list[PassageFigures]]) -> list[dict[str, Any]]:
        return self._said(stage, self._part(stage, measure))

    def _part(self, name: str, measure: Callable[[], list[PassageFigures]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._stage(name, lambda: described(measure()))
        return found

    def _said(self, stage: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        right, questions = sum(one["right"] for one in found), sum(one["questions"] for one in found)
        self.report(Progress("exam", 0, 0, note=f"{stage}: {Share(right, questions, len(found)).in_words()}"))
        return found

    def _stage(self, name: str, measure: Callable[[], Any]) -> Any:
        file = self.folder / f"{name}.json"
        if not file.is_file():
            write_file(file, json.dumps(measure()).encode())
        return json.loads(file.read_bytes())

    def _require_same(self) -> None:
        tasks = (*self.passages.train, *self.passages.held_out)
        parts = [SCHEMA, self.base.described(), self.settings.model_dump(mode="json"), self.seed]
        parts += [{**asdict(self.size), "rounds": None}, list(map(list, self.passages.warm_up))]
        identity = hash_json([*parts, [[task.id, len(task.questions)] for task in tasks]])
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "identity.json"
        if not file.is_file():
            write_file(file, json.dumps(identity).encode())
        elif json.loads(file.read_bytes()) != identity:
            raise WrongUseError(
                f"{self.folder} holds another experiment: another model, other settings or other passages.",
                next_step="name another folder with --work, or delete this one",
            )


def _first(tasks: Sequence[Task], count: int, option: str) -> Sequence[Task]:
    """Return the first tasks; raises WrongUseError if there are too few."""
    if len(tasks) < count:
        raise WrongUseError(f"There are only {len(tasks)} other passages to warm up on.", next_step=f"lower {option}")
    return tasks[:count]


def _summed(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum the figures of a rung; the interval counts passages, since the answers about one depend on each other."""
    questions = sum(one["questions"] for one in found)
    share = Share(sum(one["right"] for one in found), questions, len(found))
    again = [one["reworded"] for one in found if one["reworded"] is not None]
    return {
        "accuracy": share.value,
        "right": share.right,
        "questions": questions,
        "passages": len(found),
        "interval_95": list(share.interval()),
        "equal": sum(one["equal"] for one in found) / questions,
        "f1": sum(one["f1"] for one in found) / questions,
        "cut": sum(one["cut"] for one in found) / questions,
        "reworded": sum(again) / questions if again else None,
        "general": {key: sum(one["general"][key] for one in found) for key in ("asked", "before", "after")}
        if all(one.get("general") for one in found)
        else None,
        "per_passage": [[one["right"], one["questions"], one["reworded"]] for one in found],
    }
