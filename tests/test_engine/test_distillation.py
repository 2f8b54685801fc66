"""What the base says of look-alikes, and that learning it changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from engine.bank.encode import encode_example
from engine.bank.job import InnerJob, Recipe
from engine.bank.training import InnerUpdateBank
from engine.continual import distillation as distilling
from engine.continual.distillation import TOP_TOKENS, cached_distillation, distill
from engine.continual.perturbed_anchors import PerturbedAnchor, perturb_anchors
from engine.continual.tensor_cache import cached_file, write_tensors
from engine.domains.domain import TrainingExample
from engine.domains.knowledge.compile import answer_start
from engine.lab.forgetting.lineages import anchor_texts
from engine.loop.session import open_session
from engine.lora.adapter import fresh_adapter, make_spec
from engine.model.base import BaseModel, load_base
from tests.system.workspaces import small_workspace

if TYPE_CHECKING:
    from pathlib import Path


def anchor(text: str) -> TrainingExample:
    return TrainingExample(text, answer_start(text))


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_base("bundled")


@pytest.fixture(scope="module")
def perturbed(base: BaseModel) -> list[PerturbedAnchor]:
    texts = [*anchor_texts(0, 120), *(f"A box of {name} is red." for name in ("Palmar", "Solfux", "Zorkel"))]
    found = perturb_anchors(
        base, [one for text in texts for one in [encode_example(base, anchor(text))] if one is not None]
    )
    assert len({len(one.asked) for one in found}) > 3
    return found


@torch.no_grad()
def said_alone(base: BaseModel, asked: tuple[int, ...]) -> torch.Tensor:
    """Probabilities [vocabulary] of what comes next."""
    said: torch.Tensor = base.model(torch.tensor([asked])).logits[0, -1].softmax(-1)
    return said


def test_each_is_taught_the_likeliest_tokens_that_the_base_says_there(
    base: BaseModel, perturbed: list[PerturbedAnchor]
) -> None:
    for one, distilled in zip(perturbed, distill(base, perturbed), strict=True):
        said, likely = said_alone(base, one.asked), distilled.sequence.soft_target
        assert likely is not None
        assert (distilled.named, distilled.parts) == (one.named, one.parts)
        assert distilled.sequence.tokens[:-1] == one.asked
        assert distilled.sequence.tokens[-1] == int(said.argmax())
        values, tokens = said.topk(TOP_TOKENS)
        assert torch.tensor(likely.probabilities) == pytest.approx(values / values.sum(), abs=1e-4)
        assert set(likely.tokens[:5]) == set(tokens[:5].tolist())
        assert sum(likely.probabilities) == pytest.approx(1.0, abs=1e-4)


def test_of_none_there_is_nothing_to_teach(base: BaseModel) -> None:
    assert distill(base, []) == []


def test_what_the_base_says_is_learnt_without_moving_it(base: BaseModel, perturbed: list[PerturbedAnchor]) -> None:
    spec = make_spec(base.model, rank=4, alpha=8.0, target_modules="all-linear")
    soft = tuple(one.sequence for one in distill(base, perturbed)[:20])
    hard = tuple(replace(one, soft_target=None) for one in soft)
    recipe = Recipe(epochs=1, learning_rate=1e-3, batch_size=20, schedule="constant", max_grad_norm=1e9)
    start = fresh_adapter(spec, 0)
    moved = {}
    for name, sequences in (("soft", soft), ("hard", hard)):
        job = InnerJob(name, sequences, recipe, 0, start)
        bank = InnerUpdateBank(base, spec, 1)
        [_] = bank.train([job])
        assert bank._stack.gradients is not None
        moved[name] = float(bank._stack.gradients.norm())
    assert moved["soft"] < 0.05 * moved["hard"]


def test_the_base_is_distilled_once_and_again_if_the_file_is_damaged(
    tmp_path: Path, perturbed: list[PerturbedAnchor], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    ask = distilling._top_tokens

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return ask(*arguments)

    monkeypatch.setattr(distilling, "_top_tokens", counted)
    workspace = small_workspace(tmp_path / "w")
    with open_session(workspace, "test") as session:
        first, identity = cached_distillation(session.base, session.workspace.cache_folder, perturbed)
        assert cached_distillation(session.base, session.workspace.cache_folder, perturbed) == (first, identity)
        assert len(calls) == 1
        [file] = (workspace.cache_folder / "distilled").glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:100])
        assert cached_distillation(session.base, session.workspace.cache_folder, perturbed) == (first, identity)
        assert len(calls) == 2
        fewer, other = cached_distillation(session.base, session.workspace.cache_folder, perturbed[1:])
        assert fewer == first[1:]
        assert other != identity
        assert len(calls) == 3


def _rows(count: int, width: int = TOP_TOKENS, token: int = 5) -> dict[str, torch.Tensor]:
    return {"tokens": torch.full((count, width), token), "probabilities": torch.full((count, width), 1 / width)}


@pytest.mark.parametrize(
    "tensors",
    [
        _rows(4),
        _rows(6),
        _rows(5, width=TOP_TOKENS - 1),
        _rows(5, token=1_000_000),
        _rows(5, token=-1),
        {"tokens": _rows(5)["tokens"]},
        {**_rows(5), "tokens": torch.full((5, TOP_TOKENS), 0.5)},
        {**_rows(5), "probabilities": torch.ones(5, TOP_TOKENS, dtype=torch.long)},
    ],
)
def test_a_file_with_other_content_is_distilled_again(
    tmp_path: Path, perturbed: list[PerturbedAnchor], tensors: dict[str, torch.Tensor]
) -> None:
    with open_session(small_workspace(tmp_path / "w"), "test") as session:
        first, identity = cached_distillation(session.base, session.workspace.cache_folder, perturbed[:5])
        file = cached_file(session.workspace.cache_folder, "distilled", identity)
        intact = file.read_bytes()
        write_tensors(file, tensors)
        assert cached_distillation(session.base, session.workspace.cache_folder, perturbed[:5]) == (first, identity)
        assert file.read_bytes() == intact
