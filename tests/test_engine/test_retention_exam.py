"""Exams and drift of many states of a tiny model: which answers are reused, and the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.exams.exam import ModelRef
from engine.executors.local import LocalExecutor
from engine.generation import divergence as drift_module
from engine.generation.likelihoods import Chunk, acting, log_probabilities
from engine.graders.registry import GraderError
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.loop.session import Session
from engine.lora.adapter import Adapter, fresh_adapter, make_spec
from engine.model.base import BaseModel, wrap_model
from engine.model.encoding import TextEncoder
from engine.retention.suites import RetentionPrompt
from engine.settings.sections import ExamSettings, Settings
from store.answers import ModelState
from store.database import create_database, fetch_value
from store.errors import WrongUseError
from store.tasks import add_tasks
from store.workspace import Workspace
from tests.test_console.cli_scenario import make_task
from tests.tiny_models import ARCHITECTURES, random_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.generation.prompts import Completion, TextPrompt
    from store.records import Drift, RetentionAnswer

ANCHORS = ("The battery of Zorp lasts 5 days.", "It is blue.", "Question: Who owns it?\nAnswer: Ada\n")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def any_base(request: pytest.FixtureRequest) -> BaseModel:
    return wrap_model(random_model(request.param), build_tokenizer(), name="m", fingerprint="f")


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return wrap_model(random_model("qwen2"), build_tokenizer(), name="m", fingerprint="f")


@pytest.fixture
def session(tmp_path: Path, base: BaseModel) -> Iterator[Session]:
    db = create_database(tmp_path / "seal.db")
    settings = Settings(exam=ExamSettings(max_new_tokens=4))
    yield Session(Workspace(tmp_path), db, settings, base)
    db.close()


def adapter(base: BaseModel, seed: int, size: float = 0.1) -> Adapter:
    """An adapter that changes what the model says: both factors are random."""
    spec = make_spec(base.model, rank=2, alpha=4.0, target_modules="all-linear")
    found = fresh_adapter(spec, seed)
    generator = torch.Generator().manual_seed(seed)
    for _, b in found.weights.values():
        b.normal_(0.0, size, generator=generator)
    return found


def prompt(text: str, *answers: str, raw: bool = False, grader: str = "exact") -> RetentionPrompt:
    return RetentionPrompt(text, raw, answers or ("blue",), grader, {}, "", "suite.yaml:1")


def examinees(base: BaseModel, *seeds: int) -> list[ModelRef]:
    return [
        ModelRef(ModelState("base"), None),
        *(ModelRef(ModelState(f"sha256:{seed}"), adapter(base, seed)) for seed in seeds),
    ]


def texts(found: Sequence[dict[str, RetentionAnswer]]) -> list[list[str]]:
    return [[answer.text for answer in answers.values()] for answers in found]


def test_each_state_answers_for_itself_and_no_question_is_answered_twice(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [prompt(f"What is number {number}?") for number in range(4)]
    asked: list[int] = []
    complete = LocalExecutor.complete

    def counted(executor: LocalExecutor, prompts: Sequence[TextPrompt], *others: Any, **named: Any) -> list[Completion]:
        asked.append(len(prompts))
        return complete(executor, prompts, *others, **named)

    monkeypatch.setattr(LocalExecutor, "complete", counted)
    both = examinees(session.base, 1, 2)
    first = session.examiner.suite_answers(prompts, both)
    assert len({tuple(row) for row in texts(first)}) == 3
    assert session.examiner.suite_answers(prompts, both) == first
    more = session.examiner.suite_answers([*prompts, prompt("One more?")], [both[0], *examinees(session.base, 3)[1:]])
    assert asked == [12, 6]
    assert {key: more[0][key] for key in first[0]} == first[0]
    assert [list(row) for row in first] == [[one.identity for one in prompts]] * 3
    alone = [session.examiner.suite_answers(prompts, [one]) for one in both]
    assert [answers[0] for answers in alone] == first


def test_a_mixed_batch_answers_as_each_adapter_alone(session: Session, base: BaseModel, tmp_path: Path) -> None:
    prompts = [prompt(f"What is number {number}?") for number in range(4)]
    mixed = session.examiner.suite_answers(prompts, examinees(base, 1, 2))
    other = Session(Workspace(tmp_path), create_database(tmp_path / "other.db"), session.settings, base)
    alone = [other.examiner.suite_answers(prompts, [one])[0] for one in examinees(base, 1, 2)]
    other.db.close()
    assert texts(mixed) == texts(alone)


def test_a_prompt_does_not_get_the_template_of_questions(session: Session) -> None:
    found = session.examiner.suite_answers([prompt("It is"), prompt("It is", raw=True)], examinees(session.base))
    assert len(set(texts(found)[0])) == 2


def test_a_change_of_what_an_answer_depends_on_needs_a_new_answer(session: Session) -> None:
    one = [prompt("What is number 1?")]
    session.examiner.suite_answers(one, examinees(session.base))
    longer = session.settings.model_copy(update={"exam": ExamSettings(max_new_tokens=5)})
    session.under(longer).examiner.suite_answers(one, examinees(session.base))
    other_base = wrap_model(random_model("qwen2", seed=5), build_tokenizer(), name="m", fingerprint="other")
    Session(session.workspace, session.db, session.settings, other_base).examiner.suite_answers(
        one, examinees(other_base)
    )
    session.examiner.suite_answers([prompt("What is number 1?", "red")], examinees(session.base))
    assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == 4


def test_answers_are_graded_as_the_prompt_says(session: Session) -> None:
    (said,) = session.examiner.suite_answers([prompt("What is number 1?")], examinees(session.base))
    (text,) = [answer.text for answer in said.values()]
    (graded,) = session.examiner.suite_answers([prompt("What is number 1?", text)], examinees(session.base))
    assert [answer.correct for answer in said.values()] == [False]
    assert [answer.correct for answer in graded.values()] == [True]


def test_a_grader_that_fails_names_the_prompt_and_nothing_is_kept(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("engine.graders.text_graders.ExactGrader.grade", fail)
    with pytest.raises(GraderError, match=r"suite\.yaml:1.*What is number 1"):
        session.examiner.suite_answers([prompt("What is number 1?")], examinees(session.base))
    assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == 0


def test_questions_of_tasks_are_kept_under_the_state_that_answered(session: Session) -> None:
    task = make_task()
    add_tasks(session.db, [task])
    found = session.examiner.question_answers(task.questions, examinees(session.base, 1))
    assert [[answer.model_state for answer in row.values()] for row in found] == [["base"] * 2, ["sha256:1"] * 2]
    assert {answer.phase for row in found for answer in row.values()} == {"before", "after"}
    assert session.examiner.question_answers(task.questions, examinees(session.base, 1)) == found
    assert fetch_value(session.db, "SELECT count(*) FROM answers") == 4


def kl_one_by_one(base: BaseModel, found: Adapter | None) -> tuple[float, float, int]:
    """KL as its definition says, one anchor and one position at a time, through the engine's own switch."""
    values: list[float] = []
    for anchor in ANCHORS:
        tokens = torch.tensor([base.encoder.start(anchor)])
        with torch.inference_mode():
            before = base.model(input_ids=tokens).logits[0].double().log_softmax(-1)
            with acting(base, found, tokens.numel()):
                after = base.model(input_ids=tokens).logits[0].double().log_softmax(-1)
        values += [float((p.exp() * (p - q)).sum()) for p, q in zip(before, after, strict=True)]
    return sum(values) / len(values), max(values), len(values)


def drifts(base: BaseModel, session: Session, *seeds: int) -> list[Drift]:
    return Session(session.workspace, session.db, session.settings, base).examiner.drift(
        ANCHORS, examinees(base, *seeds)
    )


@pytest.mark.parametrize("tokens_at_once", [1, 1024])
def test_drift_is_the_kl_of_every_position_whatever_the_batches(
    any_base: BaseModel, session: Session, monkeypatch: pytest.MonkeyPatch, tokens_at_once: int
) -> None:
    monkeypatch.setattr(drift_module, "TOKENS_PER_CHUNK", tokens_at_once)
    measured = drifts(any_base, session, 1, 2)
    for one, seed in zip(measured[1:], (1, 2), strict=True):
        mean, worst, tokens = kl_one_by_one(any_base, adapter(any_base, seed))
        assert one.tokens == tokens
        assert one.mean_kl == pytest.approx(mean, rel=1e-3)
        assert one.worst_kl == pytest.approx(worst, rel=1e-3)
        assert 0 < one.mean_kl < one.worst_kl
    assert measured[1].mean_kl != measured[2].mean_kl


def test_the_base_has_no_drift_and_an_adapter_that_does_nothing_has_none(session: Session, base: BaseModel) -> None:
    idle = ModelRef(ModelState("sha256:idle"), adapter(base, 1, size=0.0))
    assert [one.worst_kl for one in session.examiner.drift(ANCHORS, [*examinees(base), idle])] == [0.0, 0.0]


def test_drift_is_measured_once_and_the_base_runs_once_a_chunk(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[bool] = []
    forward = log_probabilities

    def counted(base: BaseModel, chunk: Chunk, found: Adapter | None) -> torch.Tensor:
        runs.append(found is None)
        return forward(base, chunk, found)

    monkeypatch.setattr(drift_module, "log_probabilities", counted)
    first = drifts(session.base, session, 1, 2)
    assert runs == [True, False, False]
    assert drifts(session.base, session, 2, 1) == [first[0], first[2], first[1]]
    assert len(runs) == 3
    assert len(drifts(session.base, session, 3)) == 2
    assert runs == [True, False, False, True, False]


def test_anchors_without_a_token_are_refused(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TextEncoder, "start", lambda *_: [])
    with pytest.raises(WrongUseError, match="no token"):
        session.examiner.drift(["\u200b"], examinees(session.base))
