"""`lab experiment forgetting`: lineages of edits under several methods side by side, and each method's forgetting
matrix.

SEAL's own figure (arXiv 2506.10943, section 5) asks about all edits so far after every edit. Here all lineages of a
method are trained side by side in one bank, and known things that no edit touches are asked about too.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from itertools import compress, zip_longest
from statistics import mean
from typing import TYPE_CHECKING, Any

from engine.bank.job import InnerJob
from engine.bank.training import InnerUpdateBank
from engine.continual.curvature import measure_curvature
from engine.continual.distillation import distill
from engine.continual.perturbed_anchors import perturb_anchors
from engine.continual.replay_plan import NEWEST, ReplayPlan, naming_none_of
from engine.executors.local import LocalExecutor
from engine.generation.prompts import TextPrompt
from engine.lab.forgetting.world import LineageQuestion
from engine.lora.adapter import fresh_adapter, make_spec
from engine.runtime.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.bank.job import TrainingSequence
    from engine.continual.perturbed_anchors import PerturbedAnchor
    from engine.lab.forgetting.methods import ForgettingMethod
    from engine.lab.forgetting.world import ForgettingWorld, Lineage
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.runtime.progress import Report

SCHEMA = 2
RANK, ALPHA = 16, 32.0


@dataclass
class _ArmState:
    """One lineage under one method: its adapter, what it has trained on, and its matrix so far."""

    lineage: Lineage
    adapter: Adapter | None = None
    memory: list[tuple[TrainingSequence, ...]] = field(default_factory=list)  # of each edit, without its passage
    before: list[float] = field(default_factory=list)
    rows: list[list[float]] = field(default_factory=list)


@dataclass
class _Cost:
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of this process: other work on the machine affects these far less
    tokens: int = 0
    steps: int = 0


def experiment(
    base: BaseModel,
    world: ForgettingWorld,
    methods: Sequence[ForgettingMethod],
    *,
    lineages: int,
    edits: int,
    seed: int,
    report: Report,
) -> dict[str, Any]:
    """Run every method over the same lineages; returns figures that JSON can carry (shares 0 … 1, seconds, tokens).

    The methods take turns from edit to edit, so whatever slows the machine down for a while slows all of them.
    """
    methods = [world.scaled(method) for method in methods]
    drawn = [world.draw(seed, place, edits) for place in range(lineages)]
    bench = _ForgettingBench(base, world, seed, methods)
    known = bench.known(drawn)
    runs = [(method, [_ArmState(lineage) for lineage in drawn], _Cost()) for method in methods]
    for place in range(edits):
        for turn, (method, running, cost) in enumerate(runs):
            done = place * len(runs) + turn
            report(Progress("inner updates", done, edits * len(runs), "edits", note=f"{method.name}: edit {place + 1}"))
            bench.edit(method, running, place, cost)
    results = {
        method.name: _figures(method, running, bench.untouched(running), cost, known) for method, running, cost in runs
    }
    return {
        "schema": SCHEMA,
        "seed": seed,
        "lineages": lineages,
        "edits": edits,
        "anchors": bench.anchor_count,
        "curvature_seconds": bench.curvature_s,
        "methods": results,
    }


class _ForgettingBench:
    """What all methods share."""

    def __init__(self, base: BaseModel, world: ForgettingWorld, seed: int, methods: Sequence[ForgettingMethod]) -> None:
        self._base, self._world, self._seed = base, world, seed
        self._executor = LocalExecutor(base)
        self._spec = make_spec(base.model, rank=RANK, alpha=ALPHA, target_modules="all-linear")
        protected = any(method.curvature or method.rates.anchors for method in methods)
        self._anchors = world.anchors(base, seed) if protected else ()
        began = time.perf_counter()
        perturbed = self._perturbed()
        measured = [*self._anchors, *(one.sequence for one in perturbed)]
        curvature = any(method.curvature for method in methods)
        self._preconditioner = measure_curvature(base, measured, seed).preconditioner() if curvature else None
        self.curvature_s = time.perf_counter() - began if curvature else None
        self._distilled = tuple(distill(base, perturbed))

    @property
    def anchor_count(self) -> int:
        """How many texts the updates rehearse."""
        return len(self._anchors)

    def known(self, lineages: Sequence[Lineage]) -> list[float]:
        """Return the base's accuracy on what each lineage leaves untouched; the same questions are asked once."""
        asked = list[tuple[LineageQuestion, ...]]()
        for lineage in lineages:
            if lineage.untouched not in asked:
                asked.append(lineage.untouched)
        found = self.accuracies([None] * len(asked), asked)
        return [found[asked.index(lineage.untouched)] for lineage in lineages]

    def _perturbed(self) -> list[PerturbedAnchor]:
        """Return perturbed anchors, except those that chance named like a known thing, which no method may touch."""
        perturbed = perturb_anchors(self._base, self._anchors)
        texts = self._base.tokenizer.batch_decode([one.sequence.tokens for one in perturbed])
        return list(compress(perturbed, self._world.made_up(texts)))

    def edit(self, method: ForgettingMethod, running: list[_ArmState], place: int, cost: _Cost) -> None:
        """Train every lineage on its edit at a place, and ask it about all its edits so far."""
        asked = [one.lineage.edits[place].questions for one in running]
        for one, accuracy in zip(running, self.accuracies([one.adapter for one in running], asked), strict=True):
            one.before.append(accuracy)
        self._train(method, running, place, cost)
        self._ask_all(running, place)

    def untouched(self, running: Sequence[_ArmState]) -> list[float]:
        """Return the accuracy of each lineage on known things that none of its edits touched."""
        return self.accuracies([one.adapter for one in running], [one.lineage.untouched for one in running])

    def accuracies(self, adapters: Sequence[Adapter | None], asked: Sequence[Sequence[LineageQuestion]]) -> list[float]:
        """Ask each adapter its questions, in one mixed batch."""
        found = self._verdicts(asked, adapters)
        return [mean(next(found) for _ in of_lineage) for of_lineage in asked]

    def _verdicts(
        self, asked: Sequence[Sequence[LineageQuestion]], adapters: Sequence[Adapter | None]
    ) -> Iterator[bool]:
        """Ask each adapter its questions; returns whether the answers are right, one after another."""
        prompts = [
            TextPrompt(one.prompt, index, self._world.max_new_tokens, self._world.stop)
            for index, of_lineage in enumerate(asked)
            for one in of_lineage
        ]
        given = self._executor.complete(prompts, adapters)
        questions = (one for of_lineage in asked for one in of_lineage)
        return (one.is_right(answer.text) for one, answer in zip(questions, given, strict=True))

    def _train(self, method: ForgettingMethod, running: list[_ArmState], place: int, cost: _Cost) -> None:
        jobs = [self._job(method, one, place, index) for index, one in enumerate(running)]
        preconditioner = self._preconditioner if method.curvature else None
        bank = InnerUpdateBank(self._base, self._spec, len(jobs), preconditioner=preconditioner)
        began, cpu_began = time.perf_counter(), time.process_time()
        for result in bank.train(jobs):
            running[int(result.key)].adapter = result.adapter
            cost.tokens += result.tokens
            cost.steps += result.steps
        cost.seconds += time.perf_counter() - began
        cost.cpu_seconds += time.process_time() - cpu_began
        for one, job in zip(running, jobs, strict=True):
            one.memory.append(job.sequences[:-1])  # the last is the passage

    def _job(self, method: ForgettingMethod, one: _ArmState, place: int, index: int) -> InnerJob:
        seed = self._seed * 1_000_003 + index * 1009 + place
        texts = one.lineage.edits[place].sequences
        sequences = tuple(self._world.encode(self._base, text, answers_only=method.answers_only) for text in texts)
        older, newest = _in_turn(one.memory[:-NEWEST]), _in_turn(one.memory[-NEWEST:])
        earlier = [text for edit in one.lineage.edits[:place] for text in edit.sequences]
        distilled = tuple(naming_none_of(self._distilled, earlier)) if method.rates.perturbed_anchors else ()
        preconditioner = self._preconditioner if method.curvature else None
        protection = ReplayPlan(older, newest, self._anchors, distilled, preconditioner, edits=place)
        start = one.adapter or fresh_adapter(self._spec, seed)
        recipe = protection.recipe(method.recipe, len(sequences))
        replay_groups = protection.replay_groups(method.rates, texts)
        return InnerJob(str(index), sequences, recipe, seed, start, replay_groups)

    def _ask_all(self, running: list[_ArmState], place: int) -> None:
        asked = [[q for edit in one.lineage.edits[: place + 1] for q in edit.questions] for one in running]
        found = self._verdicts(asked, [one.adapter for one in running])
        for one in running:
            edits = one.lineage.edits[: place + 1]
            one.rows.append([mean(next(found) for _ in edit.questions) for edit in edits])


def _in_turn(of_edits: Sequence[tuple[TrainingSequence, ...]]) -> tuple[TrainingSequence, ...]:
    return tuple(sequence for of_rank in zip_longest(*of_edits) for sequence in of_rank if sequence)


def _figures(
    method: ForgettingMethod, running: list[_ArmState], untouched: list[float], cost: _Cost, known: list[float]
) -> dict[str, Any]:
    gained = [row[place] - one.before[place] for one in running for place, row in enumerate(one.rows)]
    kept = [one.rows[-1][place] - before for one in running for place, before in enumerate(one.before)]
    edits = len(running[0].rows)
    return {
        "about": method.about,
        "recipe": asdict(method.recipe),
        "right_after_its_own_edit": mean(row[-1] for one in running for row in one.rows),
        "right_after_the_first_edit": mean(one.rows[0][0] for one in running),
        "right_at_the_end": mean(value for one in running for value in one.rows[-1]),
        "kept_of_gained": sum(kept) / sum(gained) if sum(gained) else None,
        "untouched_before": mean(known),
        "untouched_after": mean(untouched),
        "seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "tokens": cost.tokens,
        "steps": cost.steps,
        "matrix": [
            [mean(one.rows[row][column] for one in running) for column in range(row + 1)] for row in range(edits)
        ],
        "lineages": [
            {"before": one.before, "matrix": one.rows, "untouched_before": was, "untouched_after": now}
            for one, was, now in zip(running, known, untouched, strict=True)
        ],
    }
