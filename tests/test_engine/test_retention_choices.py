"""Choices by likelihood on a tiny model: log-likelihoods as defined, and each state chooses for itself."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from engine.exams.exam import ModelRef
from engine.generation import likelihoods as choosing
from engine.generation.likelihoods import acting, choose_options, log_likelihoods, most_likely, option_spans
from engine.generation.prompts import ChoicePrompt
from engine.lab.bundled_model.tokenizer import build_tokenizer
from engine.loop.session import Session
from engine.lora.adapter import Adapter, fresh_adapter, make_spec
from engine.model.base import BaseModel, wrap_model
from engine.retention.suites import Choices, RetentionPrompt
from engine.settings.sections import ExamSettings, Settings
from store.answers import ModelState
from store.database import create_database, fetch_value
from store.errors import WrongUseError
from store.workspace import Workspace
from tests.tiny_models import ARCHITECTURES, random_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A token each but the last, so that a random model does not always like the shortest best.
OPTIONS = ("white", "black", "days", "the", "in", "dark green")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def base(request: pytest.FixtureRequest) -> BaseModel:
    return wrap_model(random_model(request.param), build_tokenizer(), name="m", fingerprint="f")


@pytest.fixture
def session(tmp_path: Path, base: BaseModel) -> Iterator[Session]:
    db = create_database(tmp_path / "seal.db")
    yield Session(Workspace(tmp_path), db, Settings(exam=ExamSettings(max_new_tokens=4)), base)
    db.close()


def adapter(base: BaseModel, seed: int) -> Adapter:
    found = fresh_adapter(make_spec(base.model, rank=2, alpha=4.0, target_modules="all-linear"), seed)
    generator = torch.Generator().manual_seed(seed)
    for _, b in found.weights.values():
        b.normal_(0.0, 0.2, generator=generator)
    return found


def prompt(text: str, *, per_character: bool = False, answer: str = "white") -> RetentionPrompt:
    choices = Choices(OPTIONS, " ", per_character)
    return RetentionPrompt(text, True, (answer,), "likelihood", {}, "", "suite.yaml:2", choices=choices)


def choice(text: str, *, per_character: bool = False, adapter: int = 0) -> ChoicePrompt:
    return ChoicePrompt(text, OPTIONS, " ", per_character, adapter, "suite.yaml:2")


def one_by_one(base: BaseModel, found: Adapter | None, text: str) -> list[float]:
    """Log-likelihoods as their definition says: an option at a time, a token at a time."""
    values = []
    for option in OPTIONS:
        start, tokens = base.encoder.start(text), base.encoder.start(f"{text} {option}")
        assert tokens[: len(start)] == start
        with torch.inference_mode(), acting(base, found, len(tokens)):
            logits = base.model(input_ids=torch.tensor([tokens])).logits[0].double().log_softmax(-1)
        values.append(sum(float(logits[at - 1, tokens[at]]) for at in range(len(start), len(tokens))))
    return values


@pytest.mark.parametrize("tokens_at_once", [1, 1024])
@pytest.mark.parametrize("per_character", [False, True])
def test_each_state_chooses_its_likeliest_option_whatever_the_batches(
    base: BaseModel, monkeypatch: pytest.MonkeyPatch, tokens_at_once: int, per_character: bool
) -> None:
    monkeypatch.setattr(choosing, "TOKENS_PER_CHUNK", tokens_at_once)
    adapters = [None, adapter(base, 1), adapter(base, 2)]
    texts = [f"What is number {number}?\nAnswer:" for number in range(4)]
    asked = [choice(text, per_character=per_character, adapter=index) for text in texts for index in range(3)]
    wanted = []
    for one in asked:
        found = adapters[one.adapter]
        values = one_by_one(base, found, one.text)
        assert log_likelihoods(base, found, option_spans(base, one)) == pytest.approx(values, rel=1e-4)
        divided = [value / len(option) for value, option in zip(values, OPTIONS, strict=True)]
        measured = divided if per_character else values
        wanted.append(OPTIONS[measured.index(max(measured))])
    assert choose_options(base, adapters, asked) == wanted
    assert per_character or len(set(wanted)) > 1


def test_a_space_at_the_end_of_a_prompt_belongs_to_the_option(base: BaseModel) -> None:
    with_space = replace(choice("What is it? "), delimiter="")
    assert option_spans(base, with_space) == option_spans(base, choice("What is it?"))


def test_choices_and_written_answers_mix_and_nothing_is_answered_twice(session: Session) -> None:
    written = RetentionPrompt("What is it?", True, ("blue",), "exact", {}, "", "suite.yaml:3")
    both = [ModelRef(ModelState("base"), None), ModelRef(ModelState("sha256:1"), adapter(session.base, 1))]
    chosen = choose_options(session.base, [None], [choice("Which?")])[0]
    right, wrong = prompt("Which?", answer=chosen), prompt("Which?", answer=f"not {chosen}")
    found = session.examiner.suite_answers([right, written, wrong], both)
    assert [row.keys() for row in found] == [{right.identity, written.identity, wrong.identity}] * 2
    assert [found[0][one.identity].correct for one in (right, wrong)] == [True, False]
    assert {found[0][one.identity].text for one in (right, wrong)} == {chosen}
    assert session.examiner.suite_answers([wrong, right, written], both) == found
    assert fetch_value(session.db, "SELECT count(*) FROM retention_answers") == 6


def test_a_prompt_longer_than_the_window_is_named(base: BaseModel) -> None:
    with pytest.raises(WrongUseError, match=r"suite\.yaml:2: prompt and choice have .* window has"):
        choose_options(base, [None], [choice("What is it? " * 2000)])


def test_of_equally_likely_options_the_first_is_chosen() -> None:
    one = replace(choice("x"), options=("a", "b", "cc"))
    assert most_likely(one, [-2.0, -1.0, -1.0]) == "b"
    assert most_likely(replace(one, per_character=True), [-2.0, -1.0, -1.0]) == "cc"


def test_choices_are_part_of_a_prompts_identity() -> None:
    bare = RetentionPrompt("x", True, ("blue",), "likelihood", {}, "", "p")
    others = [
        prompt("x"),
        prompt("x", per_character=True),
    ]
    assert len({one.identity for one in (bare, *others)}) == 3
