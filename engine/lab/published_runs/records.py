"""A published SEAL run (`rank_iter*.json`, `eval_iter*.json`) as records of the store.

What SEAL measured is taken as it is: its verdicts come from a judge model and are never graded again, so questions have
the grader "published", which is not registered. Figures are recomputed from the verdicts, and each difference from the
file's own figures is reported. Seeds, losses and adapters were not published; they are 0, empty and None.

SEAL asked the untouched model again for every candidate and repeat; its answers are kept as each candidate's "before".
A question that a passage asks twice stays twice, because SEAL counted it twice.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from engine.domains.knowledge.compile import compile_sequences
from engine.domains.knowledge.templates import prompt_for
from engine.lab.published_runs.files import (
    PublishedArticle,
    PublishedCompletion,
    PublishedFile,
    differences,
    parse_published_file,
    refusal,
)
from engine.loop.reward import Reward, measure_reward
from store.clock import utc_now
from store.hashing import hash_bytes, hash_json
from store.records import Answer, Candidate, InnerUpdate, Question, Role, Round, Task

PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class PublishedCandidate:
    """A self-edit before its exam (state proposed), and everything that SEAL measured about it."""

    candidate: Candidate
    updates: list[InnerUpdate]
    answers: list[Answer]
    reward: Reward


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """A run as records. `differences` are the figures of the file that its own verdicts contradict."""

    content_hash: str
    tasks: list[Task]
    round: Round
    candidates: list[PublishedCandidate]
    differences: list[str]


def read_published_run(path: Path, *, round_number: int = 1) -> PublishedRun:
    """Read a published run; raises WrongUseError that names every problem in its format.

    Ids depend on content alone, so a second import of the same file gives the same candidates.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise refusal(path, [f"cannot be read: {error.strerror or error}"]) from error
    run = parse_published_file(content, path)
    now = utc_now()
    importer = _Importer(run, path.name, hash_bytes(content), round_number, now)
    tasks: dict[str, Task] = {}
    candidates: list[PublishedCandidate] = []
    next_position: Counter[str] = Counter()
    for article in run.articles:
        task = importer.task(article)
        tasks.setdefault(task.id, task)
        for completion in article.completions:
            candidates.append(importer.candidate(task, article, completion, next_position[task.id]))
            next_position[task.id] += 1
    return PublishedRun(importer.content_hash, list(tasks.values()), importer.round(), candidates, differences(run))


def numbered(run: PublishedRun, round_number: int) -> PublishedRun:
    """Return the run under another round number, such as the one that the store assigned."""
    candidates = [
        replace(published, candidate=replace(published.candidate, round_number=round_number))
        for published in run.candidates
    ]
    return replace(run, round=replace(run.round, number=round_number), candidates=candidates)


@dataclass(frozen=True, slots=True)
class _Importer:
    """Makes the records of one file."""

    run: PublishedFile
    source: str
    content_hash: str
    round_number: int
    now: str

    def task(self, article: PublishedArticle) -> Task:
        asked = [(question.question, question.answer) for question in article.completions[0].repeats()[0]]
        task_id = hash_json([PUBLISHED, article.title, article.context, asked])
        questions = [
            Question(
                id=hash_json([task_id, position, text, answer]),
                task_id=task_id,
                position=position,
                text=text,
                answers=[answer],
                grader=PUBLISHED,
                grader_options={},
                split="reward",
            )
            for position, (text, answer) in enumerate(asked)
        ]
        return Task(
            id=task_id,
            title=article.title,
            context=article.context,
            source=self.source,
            added_at=self.now,
            imported=True,
            questions=questions,
        )

    def round(self) -> Round:
        published = self.run.model_dump(mode="json", exclude={"articles", "overall"})
        return Round(
            number=self.round_number,
            state="done",
            seed=0,
            settings={"source": self.source, "content_hash": self.content_hash, PUBLISHED: published},
            started_at=self.now,
            live_version=None,
            policy_version=None,
            finished_at=self.now,
            summary=dict(self.run.overall),
            imported=True,
        )

    def candidate(
        self, task: Task, article: PublishedArticle, completion: PublishedCompletion, position: int
    ) -> PublishedCandidate:
        candidate_id = hash_json([PUBLISHED, self.content_hash, task.id, position, completion.text])
        as_asked_here = article.prompt == prompt_for("implications", article.title, article.context)
        candidate = Candidate(
            id=candidate_id,
            round_number=self.round_number,
            task_id=task.id,
            position=position,
            role=self._role(),
            edit_format="implications" if as_asked_here else PUBLISHED,
            prompt=article.prompt,
            completion=completion.text,
            sampling={},
            seed=0,
            state="proposed",
            created_at=self.now,
            sequences=compile_sequences(
                completion.text,
                title=article.title,
                context=article.context,
                splitting="paper",
                paper_lines=self.run.split_newlines,
            ),
            imported=True,
        )
        repeats = completion.repeats()
        reward = measure_reward(
            [[question.baseline_correct for question in questions] for questions in repeats],
            [[question.adapter_correct for question in questions] for questions in repeats],
        )
        updates = [self._update(candidate_id, repeat) for repeat in range(len(repeats))]
        return PublishedCandidate(candidate, updates, _answers(candidate_id, task, completion), reward)

    def _role(self) -> Role:
        """Recognise an evaluation run by the folder that SEAL keeps those in."""
        return "held_out" if "eval" in PurePosixPath(self.run.dataset).parts else "train"

    def _update(self, candidate_id: str, repeat: int) -> InnerUpdate:
        return InnerUpdate(
            candidate_id=candidate_id,
            repeat=repeat,
            seed=0,
            hyperparameters=dict(self.run.lora_params),
            steps=0,
            trained_tokens=0,
            elapsed_s=0.0,
            losses=[],
            adapter_hash=None,
            finished_at=self.now,
        )


def _answers(candidate_id: str, task: Task, completion: PublishedCompletion) -> list[Answer]:
    found = []
    for repeat, questions in enumerate(completion.repeats()):
        for question, published in zip(task.questions, questions, strict=True):
            right_before, right_after = published.baseline_correct, published.adapter_correct
            found += [
                Answer(question.id, candidate_id, repeat, "before", "base", published.baseline_answer,
                       float(right_before), right_before),
                Answer(question.id, candidate_id, repeat, "after", PUBLISHED, published.adapter_answer,
                       float(right_after), right_after),
            ]  # fmt: skip
    return found
