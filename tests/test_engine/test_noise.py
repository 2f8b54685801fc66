"""The noise floor of suites: what other batches of the same model lose, measured once and only shown."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.exams.noise import measure_noise, noise_floor
from engine.executors.local import LocalExecutor
from engine.generation.prompts import Completion
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.loop.session import Session
from engine.model.base import BaseModel, wrap_model
from engine.retention.suites import Choices, RetentionPrompt, Suite
from engine.settings.sections import ExamSettings, Settings
from store.database import create_database, fetch_value
from store.verify_rows import check_recorded_rows
from store.workspace import Workspace
from tests.tiny_models import random_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from engine.generation.prompts import TextPrompt

PROMPTS = tuple(
    RetentionPrompt(f"What is number {number}?", False, ("blue",), "exact", {}, "", "suite.yaml:1")
    for number in range(30)
)
SUITE = Suite("facts", "suite.yaml:1", PROMPTS, ())


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return wrap_model(random_model("qwen2"), build_tokenizer(), name="m", fingerprint="f")


@pytest.fixture
def session(tmp_path: Path, base: BaseModel) -> Iterator[Session]:
    db = create_database(tmp_path / "seal.db")
    yield Session(Workspace(tmp_path), db, Settings(exam=ExamSettings(max_new_tokens=4)), base)
    assert check_recorded_rows(db)[1] == []
    db.close()


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is asked, batch by batch, of a model that is wrong about number 7 in small batches and always about 8."""
    asked: list[list[str]] = []

    def complete(_: LocalExecutor, prompts: Sequence[TextPrompt], *__: Any, **___: Any) -> list[Completion]:
        asked.append([prompt.text for prompt in prompts])
        wrong = ["number 8?"] if len(prompts) == len(PROMPTS) else ["number 7?", "number 8?"]
        return [Completion("red" if any(word in prompt.text for word in wrong) else "blue", 9, 1) for prompt in prompts]

    monkeypatch.setattr(LocalExecutor, "complete", complete)
    return asked


def test_a_suite_is_asked_again_in_other_batches_and_only_the_figures_are_kept(
    session: Session, batches: list[list[str]]
) -> None:
    assert measure_noise(session.examiner, [SUITE]) == 1
    noise = session.examiner.noise(SUITE)
    assert noise is not None
    assert (noise.suite, noise.prompts, noise.right_answers, noise.lost, noise.askings) == ("facts", 30, 29, 1, 3)
    assert [len(batch) for batch in batches] == [30, 16, 14, 24, 6]
    assert set(Counter(text for batch in batches for text in batch).values()) == {3}
    assert batches[1] + batches[2] != batches[3] + batches[4] != batches[0]
    assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == 30


def test_a_floor_is_measured_once_and_again_only_if_answers_may_differ(
    session: Session, batches: list[list[str]]
) -> None:
    measure_noise(session.examiner, [SUITE])
    asked = len(batches)
    reordered = Suite("other name", "other.yaml:1", PROMPTS[::-1], ())
    assert measure_noise(session.examiner, [SUITE, reordered, Suite("none", "none.yaml:1", (), ("An anchor.",))]) == 0
    assert len(batches) == asked
    fewer = Suite("facts", "suite.yaml:1", PROMPTS[:29], ())
    assert session.examiner.noise(fewer) is None
    longer = session.under(session.settings.model_copy(update={"exam": ExamSettings(max_new_tokens=5)}))
    assert measure_noise(longer.examiner, [SUITE]) == 1


def test_prompts_with_choices_are_asked_again_too(session: Session) -> None:
    chosen = RetentionPrompt(
        "The sky is", True, ("blue",), "likelihood", {}, "", "s:1", choices=Choices(("blue", "red"), " ", False)
    )
    measure_noise(session.examiner, [Suite("sky", "s:1", (chosen, PROMPTS[0]), ())])
    noise = session.examiner.noise(Suite("sky", "s:1", (chosen, PROMPTS[0]), ()))
    assert noise is not None
    assert (noise.prompts, noise.lost) == (2, 0)


def test_the_floor_is_the_most_that_one_asking_loses_of_another() -> None:
    first = {"a": True, "b": True, "c": False}
    assert noise_floor([first, first]) == 0
    assert noise_floor([first, {"a": False, "b": False, "c": True}]) == 2
    assert noise_floor([first, {**first, "a": False}, {**first, "c": True}]) == 2
    assert noise_floor([first]) == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=20))
def test_a_floor_depends_on_no_order_of_askings(answers: list[tuple[bool, bool, bool]]) -> None:
    askings = [{str(place): row[number] for place, row in enumerate(answers)} for number in range(3)]
    assert noise_floor(askings) == noise_floor(askings[::-1]) <= len(answers)
