"""What every rung of a ladder is made of: write self-edits, train on them, ask. Everything follows the settings."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.bank.encode import encode_example
from engine.bank.job import InnerJob, TrainingSequence
from engine.continual.build_plan import encode_anchors, measure_anchors
from engine.continual.own_answers import cached_own_answers
from engine.continual.replay_plan import ReplayPlan, replay_rates
from engine.executors.local import LocalExecutor
from engine.generation.prompts import TextPrompt
from engine.generation.sampling import Sampling
from engine.graders.registry import grade_answer
from engine.graders.text_form import comparable
from engine.loop.session import recipe_of
from engine.lora.adapter import fresh_adapter, make_spec
from engine.retention.general_suites import general_retention
from engine.seeds import derive_seed
from store.hashing import hash_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine.domains.domain import ExamItem, TrainingExample
    from engine.lora.adapter import Adapter
    from engine.model.base import BaseModel
    from engine.retention.suites import RetentionPrompt
    from engine.settings.sections import Settings
    from store.records import Question, Task


@dataclass(frozen=True, slots=True)
class PassageFigures:
    """Answers about one passage: how many of them were right, equal to an expected answer, cut off, and their F1.

    `reworded` is how many were right when the same questions were put in other words; `general` how many of some
    prompts of general ability the base and the updated model answer right, and how many were asked.
    """

    questions: int
    right: int
    equal: int
    cut: int
    f1: float
    reworded: int | None = None
    general: GeneralFigures | None = None


@dataclass(frozen=True, slots=True)
class GeneralFigures:
    """Prompts of general ability that were put to a model before and after an update."""

    asked: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class EditedPassage:
    """What one passage was taught with: a self-edit, or examples that no self-edit stands for."""

    task: Task
    examples: tuple[TrainingExample, ...]


@dataclass(frozen=True)
class GeneralAbility:
    """The prompts of general ability, and the identities of those that the base answers right.

    Each passage's update is asked `each` of them, drawn by hash: all together show what an update costs.
    """

    prompts: tuple[RetentionPrompt, ...]
    right: frozenset[str]
    each: int

    def drawn(self, task_id: str) -> list[RetentionPrompt]:
        """Return the prompts that the update about a passage is asked."""
        return sorted(self.prompts, key=lambda one: hash_json([task_id, one.identity]))[: self.each]

    def right_before(self, prompts: Sequence[RetentionPrompt]) -> int:
        """Return how many of these the base answers right."""
        return sum(one.identity in self.right for one in prompts)


def questions_with_answers(task: Task) -> str:
    """Return a task's questions with their answers as a self-edit has them."""
    return "\n".join(f"Question: {one.text}\nAnswer: {one.answers[0]}" for one in task.questions)


def general_prompts() -> tuple[RetentionPrompt, ...]:
    """Return the prompts of the suites that come with the project."""
    return tuple(one for one in general_retention().prompts if not one.raw and one.choices is None)


def reworded(question: str) -> str:
    """Return a question put in other words: inside a sentence, so that no word of it is where training had it."""
    inner = question.strip().rstrip("?.! ")
    return f"Here is something that I would like to know: {inner[:1].lower()}{inner[1:]}. What is the answer?"


class LadderBench:
    """Writes, trains and asks on one base, under one seed."""

    def __init__(self, base: BaseModel, settings: Settings, seed: int, cache_folder: Path) -> None:
        self._base, self._settings, self._seed = base, settings, seed
        self._cache_folder = cache_folder
        self.executor = LocalExecutor(base, settings.inner_update.slots)
        self.domain = settings.make_domain()
        inner, policy = settings.inner_update, settings.policy_training
        self._spec = make_spec(base.model, rank=inner.rank, alpha=inner.alpha, target_modules=_targets(inner))
        self._policy_spec = make_spec(base.model, rank=policy.rank, alpha=policy.alpha, target_modules=_targets(policy))
        self.trained_tokens = 0

    def write(self, policy: Adapter | None, tasks: Sequence[Task], per_task: int, stage: str) -> list[list[str]]:
        """Sample self-edits of each task with a policy; None is the base."""
        edits = self._settings.self_edit
        prompts = [
            TextPrompt(
                self.domain.prompt(task),
                0,
                edits.max_new_tokens,
                "end",
                seed=derive_seed("ladder", self._seed, stage, task.id, position),
            )
            for task in tasks
            for position in range(per_task)
        ]
        sampling = Sampling(edits.temperature, edits.top_p)
        texts = [one.text for one in self.executor.complete(prompts, [policy], sampling=sampling)]
        return [texts[at : at + per_task] for at in range(0, len(texts), per_task)]

    def compiled(self, task: Task, *self_edits: str) -> EditedPassage:
        """Return what self-edits are trained on together, the passage once; without any, the passage alone."""
        plans = [self.domain.compile(self_edit, task).examples for self_edit in self_edits or ("",)]
        own = {example.text: example for plan in plans for example in plan[:-1]}
        return EditedPassage(task, (*own.values(), plans[0][-1]))

    def gold(self, task: Task) -> EditedPassage:
        """Return the exam's own questions with their answers: what the exam can be taught at most."""
        return self.compiled(task, questions_with_answers(task))

    def figures(
        self, passages: Sequence[EditedPassage], stage: str, *, other_words: bool, general: GeneralAbility | None = None
    ) -> list[PassageFigures]:
        """Train an adapter on each passage, all at once, and ask it the passage's questions."""
        adapters = self._train(passages, stage)
        tasks = [one.task for one in passages]
        found = self.ask(tasks, adapters, other_words=other_words)
        if general is None:
            return found
        asked = [general.drawn(task.id) for task in tasks]
        right = self.answered_right(asked, adapters)
        return [
            replace(one, general=GeneralFigures(len(prompts), general.right_before(prompts), sum(verdicts)))
            for one, prompts, verdicts in zip(found, asked, right, strict=True)
        ]

    def answered_right(
        self, asked: Sequence[Sequence[RetentionPrompt]], adapters: Sequence[Adapter | None]
    ) -> list[list[bool]]:
        """Ask each adapter its prompts of general ability; returns whether each answer is right."""
        prompts = [
            [(one.as_question(), self.domain.question_prompt(one.text)) for one in of_adapter] for of_adapter in asked
        ]
        return [
            [grade_answer(question, text).correct for question, (text, _) in given]
            for given in self._asked(prompts, adapters)
        ]

    def ask(
        self,
        tasks: Sequence[Task],
        adapters: Sequence[Adapter | None],
        *,
        in_view: bool = False,
        other_words: bool = True,
    ) -> list[PassageFigures]:
        """Ask each adapter the questions of its task; `in_view` puts the passage before them."""
        items = [self.domain.open_exam(task) if in_view else self.domain.exam(task.questions) for task in tasks]
        answers = self._answers(items, adapters)
        again: list[int | None] = [None] * len(tasks)
        if other_words and not in_view:
            prompts = [[(one, self.domain.question_prompt(reworded(one.text))) for one in t.questions] for t in tasks]
            again = [
                sum(grade_answer(question, text).correct for question, (text, _) in given)
                for given in self._asked(prompts, adapters)
            ]
        return [_figures(given, count) for given, count in zip(answers, again, strict=True)]

    def train_policy(self, policy: Adapter | None, pairs: Sequence[tuple[str, str]], stage: str) -> Adapter:
        """Train a policy on prompts with their self-edits, with loss on the self-edits; None starts from the base."""
        base = self._base
        sequences = []
        for prompt, text in pairs:
            asked = base.encoder.prompt(prompt)
            tokens = (*asked, *base.encoder.text(text), *base.encoder.turn_end)
            if text.strip() and len(tokens) <= base.window_tokens:
                sequences.append(TrainingSequence(tokens, loss_start=len(asked)))
        seed = derive_seed("ladder policy", self._seed, stage)
        start = fresh_adapter(self._policy_spec, seed) if policy is None else policy
        job = InnerJob(stage, tuple(sequences), recipe_of(self._settings.policy_training), seed, start)
        [result] = self.executor.train([job], self._policy_spec)
        self.trained_tokens += result.tokens
        return result.adapter

    @cached_property
    def _plan(self) -> ReplayPlan:
        """What every inner update rehearses, as in a new workspace on this base: its own everyday answers."""
        settings, base, cache = self._settings.protection, self._base, self._cache_folder
        if not settings.uses_anchors:
            return ReplayPlan()
        texts = cached_own_answers(self.executor, self.domain, general_retention().anchor_prompts, cache)
        anchors = encode_anchors(base, self.domain, texts)
        known = measure_anchors(base, anchors, settings, cache)
        rehearsed = tuple(anchors) if settings.anchor_ratio else ()
        return ReplayPlan((), (), rehearsed, known.distilled, known.preconditioner)

    def _train(self, passages: Sequence[EditedPassage], stage: str) -> list[Adapter]:
        plan = self._plan
        own = recipe_of(self._settings.inner_update)
        rates = replay_rates(self._settings.protection, own.batch_size)
        jobs = []
        for place, one in enumerate(passages):
            encoded = (encode_example(self._base, example) for example in one.examples)
            texts = [example.text for example in one.examples]
            seed = derive_seed("ladder update", self._seed, stage, one.task.id, hash_json(texts))
            sequences = tuple(sequence for sequence in encoded if sequence is not None)
            recipe, replay = plan.recipe(own, len(sequences)), plan.replay_groups(rates, texts)
            jobs.append(InnerJob(str(place), sequences, recipe, seed, fresh_adapter(self._spec, seed), replay))
        results = list(self.executor.train(jobs, self._spec, preconditioner=plan.preconditioner))
        self.trained_tokens += sum(one.tokens for one in results)
        found = {one.key: one.adapter for one in results}
        return [found[str(place)] for place in range(len(passages))]

    def _answers(
        self, items: Sequence[Sequence[ExamItem]], adapters: Sequence[Adapter | None]
    ) -> list[list[tuple[Question, tuple[str, bool]]]]:
        return self._asked([[(one.question, one.prompt) for one in of_task] for of_task in items], adapters)

    def _asked(
        self, prompts: Sequence[Sequence[tuple[Question, str]]], adapters: Sequence[Adapter | None]
    ) -> list[list[tuple[Question, tuple[str, bool]]]]:
        most, stop = self._settings.exam.max_new_tokens, self.domain.stop
        asked = [
            TextPrompt(prompt, adapter, most, stop) for adapter, of_task in enumerate(prompts) for _, prompt in of_task
        ]
        given = iter(self.executor.complete(asked, adapters))
        return [
            [(question, (one.text, one.cut)) for question, _ in of_task for one in [next(given)]] for of_task in prompts
        ]


def described(figures: Sequence[PassageFigures]) -> list[dict[str, Any]]:
    """Return figures as JSON has them."""
    return [asdict(one) for one in figures]


def _figures(given: Sequence[tuple[Question, tuple[str, bool]]], in_other_words: int | None) -> PassageFigures:
    graded = [(question, text, grade_answer(question, text).correct) for question, (text, _) in given]
    return PassageFigures(
        questions=len(given),
        right=sum(correct for _, _, correct in graded),
        equal=sum(comparable(text) in map(comparable, question.answers) for question, text, _ in graded),
        cut=sum(cut for _, (_, cut) in given),
        f1=sum(max(_f1(text, answer) for answer in question.answers) for question, text, _ in graded),
        reworded=in_other_words,
    )


def _f1(text: str, expected: str) -> float:
    words, others = comparable(text).split(), comparable(expected).split()
    shared = (Counter(words) & Counter(others)).total()
    return 2 * shared / (len(words) + len(others)) if shared else 0.0


def _targets(section: Any) -> Any:
    return section.target_modules if section.target_modules == "all-linear" else list(section.target_modules)
